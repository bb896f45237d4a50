#!/usr/bin/env bash
# Every header compiles alone, and twice over: headers_alone.sh ROOT COMPILER OPTIONS_FILE. Left out is what needs a library that is optional, and what a test includes first and so compiles alone.
source "$(dirname "$0")/lint.bash"

first_of_tests() {
  [[ -f tests/tests.txt ]] || return 0
  local source header
  grep -v '^#' tests/tests.txt | while read -r source _; do
    header=$(sed -n '/^#include/{ s/^#include <\(lamina\/.*\)>$/\1/p; q }' "tests/$source")
    if [[ -n $header ]] && grep -qx '#pragma once' "include/$header"; then echo "$header"; fi
  done
}

faults() {
  local compiler=$1 options=$2 words
  (cd include && find lamina -name '*.hpp') | grep -vxFf <(first_of_tests) | grep -vE '^lamina/(cuda/|(parallel/|io/|data/)?(cuda|cudnn|nccl|mpi|onnx|turbojpeg)\.hpp$)' | sort | while read -r header; do
    if ! words=$(printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        "$compiler" -Iinclude "@$options" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ - 2>&1); then
      echo "include/$header does not compile alone:"
      head -n 12 <<< "$words"
    fi
  done
}

self_test() {
  printf '#pragma once\n#include <vector>\nstruct Good { std::vector<int> v; };\n' | put include/lamina/core/lint_sample_good.hpp
  printf '#error never read\n' | put include/lamina/cuda/lint_sample.hpp
  expect
  printf '#pragma once\nstruct Bad { std::vector<int> v; };\n' | put include/lamina/core/lint_sample_bad.hpp
  expect "include/lamina/core/lint_sample_bad.hpp does not compile alone"
  for name in first second; do printf '#pragma once\nstruct Bad { std::vector<int> v; };\n' | put include/lamina/core/lint_sample_$name.hpp; done
  printf '#include <lamina/core/lint_sample_first.hpp>\n#include <lamina/core/lint_sample_second.hpp>\n' | put tests/sample.cpp
  printf 'sample.cpp long\n' | put tests/tests.txt
  expect "include/lamina/core/lint_sample_second.hpp does not compile alone"
  printf 'struct Twice {};\n' | put include/lamina/lint_sample_twice.hpp
  expect "include/lamina/lint_sample_twice.hpp does not compile alone"
}

lint "$@"
