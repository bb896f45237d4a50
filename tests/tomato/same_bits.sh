#!/usr/bin/env bash
# The same command gives the same network to the byte: on any number of threads, and again. Another seed gives another.
source "$(dirname "$0")/trainer.bash"
"$make_leaves" leaves 3 72    # to be resized, and the last batch of an epoch is half a batch

# train OUT ARGUMENT...
train() { answers 0 train leaves --batch 8 --epochs 2 --out "$@"; }

train first --threads 1
for threads in 1 2 3 8; do
  train "threads-$threads" --threads "$threads"
  same_run first "threads-$threads"
done

train another --seed 2
for file in last best; do
  ! cmp -s "first/$file.safetensors" "another/$file.safetensors" || fail "seeds 1 and 2 give the same $file.safetensors"
done

for recipe in pytorch keras; do
  train "$recipe-1" --recipe "$recipe" --threads 1
  train "$recipe-3" --recipe "$recipe" --threads 3
  same_run "$recipe-1" "$recipe-3"
  ! cmp -s first/last.safetensors "$recipe-1/last.safetensors" || fail "--recipe $recipe changes nothing"
done
