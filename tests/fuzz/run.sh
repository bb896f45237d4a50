#!/usr/bin/env bash
# run.sh FUZZER MAKE_ODD_FILES SECONDS [OPTION...]: the odd files of the tests, changed for so long by libFuzzer, are decoded or refused and nothing worse. What it finds lies in the folder that it
# names; FUZZER FILE shows it again.
set -euo pipefail
fuzzer=$(realpath "$1") make_odd_files=$(realpath "$2") seconds=$3
folder=$(mktemp -d)
"$make_odd_files" "$folder/odd"
mkdir "$folder/found"
cd "$folder"
export GLIBC_TUNABLES=glibc.malloc.tcache_count=0    # small blocks too come with the byte that the target asks of malloc
if ! "$fuzzer" -max_total_time="$seconds" -seed=1 -max_len=16384 -timeout=20 -rss_limit_mb=1024 "${@:4}" found odd > said 2>&1; then
  tail -n 60 said
  echo "what it is lies in $folder"
  exit 1
fi
grep "^Done" said
rm -r "$folder"
