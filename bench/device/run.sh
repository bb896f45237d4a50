#!/usr/bin/env bash
# Tests and measures what build.sh built, on a machine with a GPU: bench/device/run.sh [SECONDS [STAGE...]], in the root of the tree. It ends in that time (540), and a stage
# ends when its own is over. What is said goes to $OUT too (gpu_out unless set). The stages, all in this order unless some are named:
#   warm       PyTorch's compiler begins, beside what follows
#   tests      every test program
#   memcheck, racecheck    the same under compute-sanitizer
#   kernels    bench_gpu --kernels: every launch of a step
#   bench      Lamina and PyTorch in turns; bench.md has the medians and their ratios
#   ncu        Nsight Compute on the launches of one step
# $ROWS and $MODES are those of speed_torch_gpu.py, $ROUNDS is 5, $TESTS a pattern of test programs for the sanitizers.
set -uo pipefail
cd "$(dirname "$0")/../.."
limit=${1:-540}
shift || true
stages=("$@")
if ((!$#)); then stages=(warm tests memcheck racecheck kernels bench); fi
out=${OUT:-gpu_out}
mkdir -p "$out"
if [[ ! -d gpu_build ]]; then tar -xzf gpu_build.tgz; fi
nccl=$(python3 -c 'import nvidia.nccl as n; print(n.__path__[0] + "/lib")' 2> /dev/null)
export LD_LIBRARY_PATH=$PWD/gpu_build/lib:$nccl:${LD_LIBRARY_PATH:-} PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
rows=${ROWS:-leaf 64 64,leaf 64 256,leaf 128 64,leaf 128 256,leaf 256 64,leaf 256 256,resnet18 64 64,resnet18 64 256}
modes=${MODES:-eager,compiled-graph}
number=${NUMBER:-bf16}
torch=(python3 bench/peers/speed_torch_gpu.py --rows "$rows" --modes "$modes" --number "$number")
failed=0 warming=

left() { echo $((limit - SECONDS < 1 ? 1 : limit - SECONDS)); }
# within MOST COMMAND...: for at most so many seconds, and no longer than are left.
within() {
  local most=$1 rest
  rest=$(left)
  timeout -k 5 $((most < rest ? most : rest)) "${@:2}"
}
say() { printf '%4d s  %s\n' $SECONDS "$*" | tee -a "$out/run.txt"; }

# programs STAGE MOST ALL LOG PREFIX...: every test program for at most MOST seconds, as long as there are some of ALL; its output goes to LOG, and what became of it is said.
programs() {
  local stage=$1 most=$2 end=$((SECONDS + $3)) log=$out/$4 name program code begin
  for program in gpu_build/test_*; do
    name=${program#gpu_build/test_}
    if [[ $stage != tests && ! $name =~ ${TESTS:-.} ]]; then continue; fi
    if ((SECONDS >= end || SECONDS >= limit)); then say "$stage $name: no time"; continue; fi
    printf '\n===== %s %s\n' "$stage" "$name" >> "$log"
    begin=$SECONDS
    within "$most" "${@:5}" "$program" >> "$log" 2>&1
    code=$?
    case $code in
      0) say "$stage $name: passed, $((SECONDS - begin)) s" ;;
      77) say "$stage $name: skipped, no GPU" ;;
      124 | 137) say "$stage $name: NOT DONE in $most s"; failed=1 ;;
      *)
        say "$stage $name: FAILED ($code)"
        failed=1
        awk '/^===== /{ text = ""; lines = 0 } { if (++lines < 25) text = text $0 "\n" } END { printf "%s", text }' "$log"
        ;;
    esac
  done
}

say "$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm --format=csv,noheader 2>&1 | head -n 1)"
for stage in "${stages[@]}"; do
  case $stage in
    warm)
      within 150 "${torch[@]}" --warm --within 140 > "$out/torch.txt" 2>&1 &
      warming=$!
      ;;
    tests) programs tests 60 150 tests.txt ;;
    memcheck) programs memcheck 60 120 sanitizer.txt compute-sanitizer --tool memcheck --error-exitcode 9 ;;
    racecheck) programs racecheck 60 120 sanitizer.txt compute-sanitizer --tool racecheck --error-exitcode 9 ;;
    kernels)
      within 60 gpu_build/bench_gpu --number "$number" --rows "$rows" --kernels > "$out/kernels.txt" 2>&1 || { say "bench_gpu --kernels: FAILED"; failed=1; }
      cat "$out/kernels.txt"
      ;;
    bench)
      if [[ -n $warming ]]; then wait "$warming" || true; fi
      say "PyTorch is compiled"
      most=$(($(left) - 15))
      within "$most" "${torch[@]}" --rounds "${ROUNDS:-5}" --within $((most - 20)) --beside "gpu_build/bench_gpu --number $number --seconds 0.15 --rows '$rows'" \
        > "$out/bench.jsonl" 2>> "$out/torch.txt" || { say "the rounds: FAILED, or not done"; failed=1; }
      tail -n 40 "$out/torch.txt" | grep -v Warning
      python3 bench/device/table.py "$out" | tee -a "$out/run.txt"
      ;;
    ncu)
      within 90 ncu --clock-control none --section SpeedOfLight --section LaunchStats --section Occupancy --launch-count "${LAUNCHES:-40}" --csv --page raw \
        --metrics gpu__time_duration.sum,dram__bytes.sum,sm__inst_executed_pipe_tensor.sum,l1tex__data_bank_conflicts_pipe_lsu.sum \
        gpu_build/bench_gpu --once --number "$number" --rows "${rows%%,*}" > "$out/ncu.csv" 2>&1 || { say "ncu: FAILED"; failed=1; }
      ;;
    *) say "there is no stage $stage"; failed=1 ;;
  esac
done
if [[ -n $warming ]]; then kill "$warming" 2> /dev/null; fi
say "$( ((failed)) && echo "something FAILED" || echo "all is well")"
exit $failed
