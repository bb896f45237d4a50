#!/usr/bin/env bash
# Ranks that are processes keep the contract of a communicator, and if one of them goes wrong, is killed or stopped all others end in time and say who and where. mpi.sh [MPI_RANKS MPIRUN]
source "$(dirname "$0")/ranks.bash"

# goes N WAY [DEADLINE]: so many ranks; leaves their words in said and the exit code in code.
goes() {
  code=0
  timeout 60 "$mpirun" -np "$1" "$ranks" "${@:2}" > said 2>&1 < /dev/null || code=$?
  [[ $code != 124 ]] || fail "$1 ranks, $2: they do not end"
}
# ends_badly N WAY DEADLINE WORDS [RANK...]: the run fails, and each of the ranks (of all, if none is named) says a line with words, an extended regular expression that begins with "rank R".
ends_badly() {
  goes "$1" "$2" "$3"
  [[ $code != 0 ]] || fail "$1 ranks, $2: they end as if all were well"
  local rank
  for rank in ${5:-$(seq 0 $(($1 - 1)))}; do
    grep -qE "^rank $rank $4" said || fail "$1 ranks, $2: rank $rank does not say '$4'"
  done
}

for n in 1 2 4; do
  goes $n contract
  [[ $code == 0 ]] || fail "$n ranks: the contract is not kept"
  [[ $(grep -c 'test cases: *1 *| *1 passed' <(sed 's/\x1b\[[0-9;]*m//g' said)) == "$n" ]] || fail "$n ranks: not all say that they passed"
done

step='all_reduce "gradients of step 7" \(operation [0-9]+, [0-9]+ bytes of floats\)'
before='all_reduce "gradients of step 6" \(operation [0-9]+, [0-9]+ bytes of floats\)'
ends_badly 3 size 60 "of 3 cannot go on with $step: rank 0 comes to $step and rank 1 to $step: all ranks must run the same program"
ends_badly 2 leaves 60 "of 2 cannot go on with .*: rank 0 comes to $step and rank 1 to barrier \"the end\" \(operation 3\): all ranks must run the same program"
ends_badly 3 "throws while they compute" 60 "of 3 cannot go on with $step: rank 1 gave up, after $before: the disk is full" "0 2"
grep -q '^the disk is full' said || fail "rank 1 does not say what it threw"
goes 2 agreement
[[ $code != 0 ]] && grep -q "^ranks 0 and 1 do not agree: one has 'data 1' and the other 'data 2'; start all ranks with the same" said || fail "ranks that do not agree do not say so"

# Late at the beginning, or never there: they wait, not for ever.
for way in late "begun late"; do
  goes 2 "$way"
  [[ $code == 0 ]] || fail "2 ranks, $way: one that comes a second late is not waited for"
done
begin=$(date +%s%N)
goes 3 "begun never" 2
milliseconds=$((($(date +%s%N) - begin) / 1000000))
[[ $code != 0 ]] || fail "a rank never came, and the others ended as if all were well"
((milliseconds >= 2000 && milliseconds < 15000)) || fail "a rank never came, and the others ended after $milliseconds ms"
grep -qE "^rank [02] of 3 cannot begin: not all ranks came to their lamina::Mpi within 2 s; look at what the others do before it" said || fail "a rank never came, and nobody says so"

# Stopped: they wait, not for ever.
begin=$(date +%s%N)
ends_badly 4 stopped 2 "of 4 cannot go on with $step: rank 1 did not come within 2 s" "0 2 3"
milliseconds=$((($(date +%s%N) - begin) / 1000000))
((milliseconds >= 2000 && milliseconds < 15000)) || fail "a rank was stopped, and the others ended after $milliseconds ms"
! pgrep -f "^$ranks stopped" > /dev/null || fail "a rank that was stopped is still there"

# Gone: mpirun ends the others at once, who are in an operation or between two. Other launchers than Open MPI's leave them no time to say anything.
if ! "$mpirun" --version | grep -qE "Open MPI|OpenRTE"; then    # mpirun and mpiexec name themselves otherwise
  echo "skipped: what ranks say when another is killed, since this mpirun kills them too"
  exit 77
fi
goes 3 never 2
[[ $code != 0 ]] && grep -q "^MPI did not begin within 2 s: not all ranks have come to it, so this one ends; look at what they do before their lamina::Mpi" said || fail "a rank never came to MPI, and nobody says so"
ends_badly 3 killed 60 "of 3 cannot go on with $step: rank 1 \(process [0-9]+\) is gone" "0 2"
ends_badly 3 "killed while they compute" 60 "is told to end \(SIGTERM\), after $before; .*rank 1 \(process [0-9]+\) is gone" "0 2"
