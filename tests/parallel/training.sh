#!/usr/bin/env bash
# Trainings with replicas end with the bytes of one by itself, with threads and with processes; and where a replica is killed, is stopped or throws, the others end in time and say who, and the
# training goes on from its checkpoint with any number of replicas, to the same bytes. training.sh [TRAINING_RANKS MPIRUN [TIMES]]: so many times for each way to go wrong, 2 unless it says more.
source "$(dirname "$0")/ranks.bash"
times=${3:-2}

# processes N OUT ARGUMENT...: leaves what they say in said and the exit code in code.
processes() {
  code=0
  timeout 120 "$mpirun" -np "$1" "$ranks" "$2" mpi "$1" "${@:3}" > said 2>&1 < /dev/null || code=$?
  [[ $code != 124 ]] || fail "$1 ranks, ${*:3}: they do not end"
}
same() { cmp -s "one/$1" "$2/$1" || fail "$2/$1 is not that of one replica"; }
same_run() { same last.safetensors "$1" && same best.safetensors "$1" && cmp -s <(cut -d, -f1-6 one/history.csv) <(cut -d, -f1-6 "$1/history.csv") || fail "the history of $1 is not that of one replica"; }

"$ranks" one threads 1 > said 2>&1 || fail "one replica does not train"
for n in 2 4 8; do
  "$ranks" "threads-$n" threads $n > said 2>&1 || fail "$n threads do not train"
  same_run "threads-$n"
  processes $n "processes-$n"
  [[ $code == 0 ]] || fail "$n processes do not train"
  same_run "processes-$n"
done

# At a random step, a random rank of a random number; then another number goes on.
RANDOM=${SEED:-1}
numbers=(2 4)
for kind in killed stopped throws; do
  for ((i = 0; i < times; ++i)); do
    n=${numbers[RANDOM % 2]} m=${numbers[RANDOM % 2]} rank=$((RANDOM % n)) step=$((RANDOM % 52)) out="$kind-$i"
    begin=$(date +%s%N)
    processes "$n" "$out" "$kind" "$rank" "$step"
    milliseconds=$((($(date +%s%N) - begin) / 1000000))
    what="$kind: rank $rank of $n in step $step"
    [[ $code != 0 ]] || fail "$what: it ends as if all were well"
    ((milliseconds < 60000)) || fail "$what: it ends after $milliseconds ms"
    case $kind in
      killed) words="rank $rank \(process [0-9]+\) is gone" ;;
      stopped) words="rank $rank did not come within 5 s" ;;
      throws) words="rank $rank gave up, .*: it was told to go wrong in step $step" ;;
    esac
    [[ $(grep -cE "$words" said) -ge $((n - 1)) ]] || fail "$what: not all others say '$words'"
    processes "$m" "$out"
    [[ $code == 0 ]] || fail "$what: $m ranks do not go on"
    same_run "$out"
  done
done
echo "each way to go wrong $times times: all others said who, and each training went on to the same bytes"
