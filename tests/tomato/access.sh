#!/usr/bin/env bash
# Folders that the user may not read, search or write: one sentence says which. Another user is needed for that, and only root can become one.
source "$(dirname "$0")/trainer.bash"
other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
cp "$tomato" program
chmod 755 . program
if [[ $(id -u) != 0 ]] || ! "${other[@]}" "$folder/program" --version > said 2>&1; then
  echo "skipped: this is not root, there is no setpriv, or another user cannot run the trainer here"
  exit 77
fi
umask 022
"$make_leaves" leaves 3 64
answers 0 train leaves --batch 8 --epochs 1 --out run
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${other[*]}" "$folder/program" > as_other
chmod 755 as_other
tomato=$folder/as_other
mkdir -m 700 closed && mkdir -m 777 open
mkdir pictures && cp leaves/Tomato___healthy/* pictures && mkdir -m 700 pictures/closed

refuses 1 'cannot make the folder "closed/x" of --out: Permission denied' train leaves --out closed/x
refuses 1 'cannot make the folder "leaves/x/y" of --out: Permission denied' train leaves --out leaves/x/y
refuses 1 "cannot look at closed/x/train (Permission denied)" train closed/x --out open/run
refuses 1 "closed" train closed --out open/run
refuses 1 "closed" evaluate run closed
refuses 1 "closed/best.safetensors" predict closed pictures
refuses 1 "cannot look at closed/last.safetensors (Permission denied)" predict closed/last.safetensors pictures
refuses 1 "cannot look at closed/leaf.png (Permission denied)" predict run closed/leaf.png
refuses 1 "the folder closed cannot be read (Permission denied)" predict run closed
refuses 1 "the folder pictures/closed cannot be read (Permission denied)" predict run pictures
[[ ! -s said ]] || fail "predict answers though it refuses"
mv pictures/closed pictures/.closed
answers 0 predict run pictures
