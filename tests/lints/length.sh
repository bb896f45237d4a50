#!/usr/bin/env bash
# No header is longer than 400 lines.
source "$(dirname "$0")/lint.bash"

faults() {
  find include -name '*.hpp' | sort | while read -r file; do
    lines=$(wc -l < "$file")
    if ((lines > 400)); then echo "$file has $lines lines: split it, 400 is the most"; fi
  done
}

self_test() {
  seq 400 | put include/lamina/a.hpp
  expect
  seq 401 | put include/lamina/core/a.hpp
  expect "include/lamina/core/a.hpp has 401 lines"
}

lint "$@"
