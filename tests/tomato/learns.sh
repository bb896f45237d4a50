#!/usr/bin/env bash
# The main job learns, with one seed as with another: half of its epochs on the generated leaves tell at least four pictures of five apart.
source "$(dirname "$0")/trainer.bash"

for seed in 1 3; do
  answers 0 train --epochs 8 --seed "$seed" --out "run $seed"
  best=$(sed -nE 's/^best validation accuracy ([0-9.]+) %.*/\1/p' said)
  awk -v best="$best" 'BEGIN { exit !(best >= 80) }' || fail "seed $seed ends at ${best:-no} % of the validation pictures"
done
