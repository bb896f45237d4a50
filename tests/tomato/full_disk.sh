#!/usr/bin/env bash
# On a full disk the checkpoint before stays whole, and with more room the training goes on to the same bytes. The small disk is a tmpfs in a mount namespace
# of this test's own; where none may be made, only a limit on the size of files stands for it, and the test is skipped (77) after that.
if [[ -z ${own_mounts:-} ]] && unshare --map-root-user --mount mount -t tmpfs none /mnt 2> /dev/null; then
  own_mounts=yes exec unshare --map-root-user --mount bash "$0" "$@"
fi
source "$(dirname "$0")/trainer.bash"
"$make_leaves" leaves 3 64
train=(train leaves --batch 8 --epochs 3 --threads 1 --out)
answers 0 "${train[@]}" whole

# --- best.safetensors goes in, last.safetensors does not
answers 0 "${train[@]}" limited --stop-after 4    # one epoch and a batch
cp limited/last.safetensors before
(
  ulimit -f 8000    # units of 1024 bytes
  refuses 1 "cannot write limited/last.safetensors: File too large: a limit on the size of files is set (ulimit -f)" "${train[@]}" limited
)
same before limited/last.safetensors
[[ -z $(find limited -name '*.partial') ]] || fail "what could not be written takes up the disk"
answers 0 "${train[@]}" limited
same_run whole limited

# --- a disk that takes one checkpoint but not another beside it
if [[ -z ${own_mounts:-} ]]; then
  echo "skipped: no file system can be mounted here, so that the full disk itself is not tried; a limit on the size of files is"
  exit 77
fi
mkdir disk
mount -t tmpfs -o size=26m none disk
trap 'umount disk; leave' EXIT
refuses 1 "cannot write disk/run/last.safetensors: No space left on device: free some space there" "${train[@]}" disk/run
[[ -z $(find disk -name '*.partial') ]] || fail "what could not be written takes up the disk"
grep -q '<strong>Stopped</strong>, 1 of 3 epochs: cannot write' disk/run/report.html || fail "the report does not say that the disk was full"
answers 0 predict disk/run/last.safetensors leaves
mount -o remount,size=100m disk
answers 0 "${train[@]}" disk/run
grep -q '^going on after epoch 1, batch 0 of 3' said || fail "the full disk took the first epoch away"
same_run whole disk/run
