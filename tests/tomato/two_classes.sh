#!/usr/bin/env bash
# A trainer built for two classes does all that the one for ten does.
of_two=$(realpath "$3")
source "$(dirname "$0")/trainer.bash"
"$make_leaves" leaves 6 64 2
tomato=$of_two
answers 0 train leaves --batch 4 --epochs 2 --out run
answers 0 evaluate run leaves
grep -q '^12 pictures: .*, among the first three 100.00 %' said || fail "two classes are not both among the first three"
answers 0 evaluate run leaves --json
grep -q '"top_3_accuracy": 1.0' said || fail "evaluate --json has another figure"
answers 0 predict run leaves
[[ $(wc -l < said) == 12 ]] || fail "predict does not answer every picture"

# --- a checkpoint of another number of classes
tomato=$(realpath "$1")
refuses 1 "run/best.safetensors tells 2 classes apart and this program was built for 10: build one with cmake --preset release -B build/2 -DLAMINA_TOMATO_CLASSES=2 && cmake --build build/2 --target tomato" predict run leaves
