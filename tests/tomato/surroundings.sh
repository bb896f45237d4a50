#!/usr/bin/env bash
# What happens around a training: its reader goes, its standard streams are closed, it cannot write, its pictures are taken away.
source "$(dirname "$0")/trainer.bash"
"$make_leaves" leaves 3 64
train=(train leaves --batch 8 --epochs 3 --threads 1 --out)
answers 0 "${train[@]}" whole

# --- nobody reads what it prints
code=0
"$tomato" "${train[@]}" unread 2> complained > >(exec true) || code=$?
[[ $code == 1 ]] || fail "a training whose reader has gone ends with $code and not with 1"
grep -qF "tomato: cannot write to standard output" complained || fail "it does not say that nobody reads"
same_run whole unread

# --- closed streams: the lock of the folder holds a process id and nothing else
(exec >&- 2>&- && exec "$tomato" "${train[@]}" closed) || fail "a training with closed streams ends with $?"
grep -qxE '[0-9]+' closed/.lock && [[ $(wc -l < closed/.lock) == 1 ]] || fail "the lock of the folder holds what was printed"
same_run whole closed

# --- an error ends it: the report says so, and no longer reloads itself
answers 0 "${train[@]}" broken --stop-after 3
mkdir broken/last.safetensors.partial
refuses 1 "cannot write broken/last.safetensors: broken/last.safetensors.partial is in the way and is not a file; take it away" "${train[@]}" broken
grep -q '<strong>Stopped</strong>, 1 of 3 epochs: cannot write broken/last.safetensors' broken/report.html || fail "the report does not say what ended the training"
! grep -qi 'http-equiv="refresh"' broken/report.html || fail "the report of a training that has ended still reloads itself"
rmdir broken/last.safetensors.partial
answers 0 "${train[@]}" broken
same_run whole broken

# --- memory ends
if (ulimit -v 8000000 && "$tomato" --version > said 2>&1); then    # a program of AddressSanitizer takes more addresses
  (ulimit -v 300000 && refuses 1 "there is no memory for" train leaves --size 256 --batch 20 --threads 1 --out large)
  (ulimit -v 450000 && refuses 1 "take a smaller batch" train leaves --size 256 --batch 20 --threads 1 --out large)
fi

# --- the pictures go while it trains; a rate of nearly nothing keeps the network wrong
cp -r leaves gone
rm said
"$tomato" train gone --batch 8 --epochs 1000000 --threads 1 --lr 1e-9 --out run > said 2> complained &
pid=$!
# lasts WORDS FILE: until the file holds the words, the training goes on.
lasts() {
  until grep -qsF "$1" "$2"; do
    kill -0 "$pid" 2> /dev/null || fail "the training ends when its pictures go"
    sleep 0.01
  done
}
lasts "epoch 1/" said
rm -r gone/*
lasts "no picture" run/report.html
code=0
kill "$pid" && wait "$pid" || code=$?
[[ $code == 143 ]] || fail "a training whose pictures have gone ends with $code"
