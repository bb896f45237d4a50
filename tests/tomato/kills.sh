#!/usr/bin/env bash
# A training that is stopped anywhere, kill -9 included, goes on to the same bytes with the same command. kills.sh TOMATO MAKE_LEAVES TOMATO_OF_TWO [SEED of the moments]
source "$(dirname "$0")/trainer.bash"
"$make_leaves" leaves 3 64
RANDOM=${4:-1}
echo "the moments of the kills have the seed ${4:-1}"

train=(train leaves --batch 8 --epochs 4 --threads 1 --out)    # an epoch has three batches
begin=$(date +%s%N)
answers 0 "${train[@]}" whole
milliseconds=$((($(date +%s%N) - begin) / 1000000))
[[ $(cut -d, -f1 whole/history.csv | paste -sd,) == epoch,1,2,3,4 ]] || fail "history.csv has not each epoch once"

# begin OUT: trains in the background as $pid.
begin() {
  rm -f said
  "$tomato" "${train[@]}" "$1" > said 2> complained &
  pid=$!
}

# --- kill -9
meant=20 long=
if grep -qa __asan_init "$tomato"; then meant=6 long=yes; fi    # a sanitizer makes a training long
kills=0
for ((try = 1; try <= 3 * meant && kills < meant; ++try)); do
  begin killed
  sleep "$(awk -v part=$RANDOM -v most="$milliseconds" 'BEGIN { print part / 32768 * most / 1000 }')"
  if ((try % 3 == 0)); then
    until compgen -G 'killed/*.partial' > /dev/null || ! kill -0 "$pid" 2> /dev/null; do :; done    # while a file is written
  fi
  kill -KILL "$pid" 2> /dev/null || true
  code=0
  wait "$pid" 2> /dev/null || code=$?
  case $code in
    137) kills=$((kills + 1)) ;;
    0) same_run whole killed && rm -r killed ;;    # it was faster
    *) fail "a training that went on after kill -9 ends with $code" ;;
  esac
done
echo "$kills kills in $((try - 1)) trainings of $milliseconds ms"
[[ $kills == "$meant" ]] || fail "$meant kills were meant"
mkdir -p killed
for file in last.safetensors best.safetensors history.csv metrics.json report.html; do
  head -c 1000 "$tomato" > "killed/$file.partial"    # what a kill may leave behind
done
answers 0 "${train[@]}" killed
same_run whole killed

# --- between the last checkpoint and its report
rm killed/metrics.json killed/report.html
answers 0 "${train[@]}" killed
same_run whole killed

# --- a history that is lost: the rest goes on, and the report says what is missing
answers 0 "${train[@]}" forgot --stop-after 9
rm forgot/history.csv
answers 0 "${train[@]}" forgot
same whole/last.safetensors forgot/last.safetensors
grep -q '<strong>Finished</strong>, 4 of 4 epochs, of which the figures of the first 3 are lost' forgot/report.html || fail "the report does not say that three epochs are unknown"
grep -q 'best validation accuracy, epoch [1-4]</dt><dd>[0-9.]* %' forgot/report.html || fail "the report does not know the best epoch"
rm forgot/history.csv forgot/report.html forgot/metrics.json forgot/best.safetensors
answers 0 "${train[@]}" forgot
grep -q '<strong>Finished</strong>' forgot/report.html || fail "a finished run whose history and report are lost has no report again"
grep -q '"loss": null' forgot/metrics.json || fail "metrics.json does not say that the loss is lost"
grep -q '^note: history.csv is not there any more' said && grep -q '^note: best.safetensors is not there any more' said || fail "it does not say what is lost"

# --- taken up in the midst of an epoch, the page says that the training goes on
if [[ ! $long ]]; then
  answers 0 train --out taken --epochs 2 --threads 1 --stop-after 64    # an epoch has 63 batches
  grep -q '<strong>Stopped</strong>' taken/report.html || fail "the page does not say that the training was stopped"
  "$tomato" train --out taken --epochs 2 --threads 1 > said 2> complained &
  until grep -q '<strong>Running</strong>' taken/report.html; do kill -0 $! 2> /dev/null || fail "the page does not say that the training goes on"; done
  wait $!
  grep -q '<strong>Finished</strong>' taken/report.html || fail "the page does not say that the training ended"
fi

# --- signals
for signal in "INT 130" "TERM 143" "HUP 129"; do
  set -- $signal
  for ((try = 1; ; ++try)); do
    rm -rf "$1"
    begin "$1"
    until grep -qs '^epoch 1/4' said || ! kill -0 "$pid" 2> /dev/null; do sleep 0.01; done
    kill -"$1" "$pid" 2> /dev/null || true
    code=0
    wait "$pid" || code=$?
    [[ $code == 0 && $try -lt 20 ]] || break    # it was faster
  done
  [[ $code == "$2" ]] || fail "SIG$1 ends it with $code and not with $2"
  grep -q 'the same command goes on' said || fail "SIG$1: it does not say how to go on"
  [[ -s $1/last.safetensors ]] || fail "SIG$1 saves nothing"
  answers 0 "${train[@]}" "$1"
  grep -q '^going on after epoch' said || fail "it does not say that it goes on"
  same_run whole "$1"
done

# --- nohup
for ((try = 1; ; ++try)); do
  rm -rf nohup
  trap '' HUP
  begin nohup
  trap - HUP
  until grep -qs '^epoch 1/4' said || ! kill -0 "$pid" 2> /dev/null; do sleep 0.01; done
  kill -HUP "$pid" 2> /dev/null && break || [[ $try -lt 20 ]]    # it was faster
done
wait "$pid" || fail "SIGHUP ends a training that ignores it"
same_run whole nohup

# --- told to stop, in the middle of epochs and before the first has ended
for steps in 2 3 4; do
  answers 0 "${train[@]}" told --stop-after $steps
  grep -q "stopped because it was told to stop after $steps steps; the same command goes on" said || fail "--stop-after $steps does not say so"
done
answers 0 "${train[@]}" told
grep -q '^going on after epoch 3, batch 0 of 3' said || fail "2 + 3 + 4 steps are not three epochs"
same_run whole told
