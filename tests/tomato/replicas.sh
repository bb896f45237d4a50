#!/usr/bin/env bash
# The same command with any number of replicas, in threads or in processes, gives the same network to the byte; one that was stopped goes on with another number; and what cannot be is told.
source "$(dirname "$0")/trainer.bash"
mpirun=${4-}
"$make_leaves" leaves 3 72    # the last batch of an epoch is half a batch

# train OUT ARGUMENT...
train() { answers 0 train leaves --batch 8 --epochs 2 --out "$@"; }
train one
for n in 2 4; do
  train "replicas-$n" --replicas $n
  same_run one "replicas-$n"
done
train stopped --replicas 4 --stop-after 5
train stopped --replicas 2
same_run one stopped

refuses 1 "a batch has 8 shares, which 3 replicas cannot divide: take 1, 2, 4 or 8 of them" train leaves --batch 8 --out three --replicas 3
train fast --replicas 3 --parallel fast
refuses 1 "holds a training begun with other settings" train leaves --batch 8 --epochs 2 --out fast --replicas 2 --parallel fast
for parallel in dataparallel mirrored; do
  train $parallel --replicas 2 --parallel $parallel --recipe keras
done
refuses 1 "--tune with replicas" train leaves --batch 8 --out tuned --replicas 2 --device cuda --tune tuned.json
refuses 2 "is not a whole number from 1 to 1024" train leaves --out none --replicas 0
: > leaves/"$(ls leaves | head -n 1)"/empty.jpg
lines=2 refuses 1 "picture cannot be used" train leaves --out empty --replicas 2

if [[ -n $mpirun ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
  timeout 120 "$mpirun" -np 2 "$tomato" train leaves --batch 8 --epochs 1 --out skipped --on-bad-image skip > said 2> complained < /dev/null || fail "two processes do not train without a bad picture"
  [[ $(grep -c "1 picture cannot be used and is left out" said) == 1 && $(grep -cF "empty.jpg cannot be used" complained) == 1 ]] || fail "two processes do not name a bad picture once"
  rm leaves/*/empty.jpg
  timeout 120 "$mpirun" -np 2 "$tomato" train leaves --batch 8 --epochs 2 --out processes > said 2> complained < /dev/null || fail "two processes do not train"
  same_run one processes
  [[ $(grep -c "training and .* validation pictures of 10 classes" said) == 1 ]] || fail "other processes than the first print"
  ! timeout 120 "$mpirun" -np 2 "$tomato" train leaves --batch 8 --out both --replicas 2 > said 2> complained < /dev/null || fail "replicas in two processes are no mistake"
  grep -q "say one or the other" complained || fail "replicas in two processes are not told"
fi
