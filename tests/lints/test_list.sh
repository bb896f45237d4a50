#!/usr/bin/env bash
# Every test source stands in tests/tests.txt once, and everything that stands there is a test source.
source "$(dirname "$0")/lint.bash"

faults() {
  local listed there
  listed=$(sed 's/#.*//' tests/tests.txt | awk 'NF { print $1 }' | sort)
  there=$(cd tests && find . -name '*.cpp' | sed 's|^\./||' | grep -vE '^(support|compile_fail|consumer|fuzz|odr)/' | sort || true)
  uniq -d <<< "$listed" | sed '/./s|$| stands in tests/tests.txt twice|'
  comm -13 <(uniq <<< "$listed") <(echo "$there") | sed '/./s|.*|tests/& is never built: add it to tests/tests.txt|'
  comm -23 <(uniq <<< "$listed") <(echo "$there") | sed '/./s|.*|tests/tests.txt names &, which does not exist|'
}

self_test() {
  printf '# tests\ncore/a.cpp slow\n\ncore/b.cpp\n' | put tests/tests.txt
  touch_sources core/a.cpp core/b.cpp support/main.cpp odr/first.cpp fuzz/decode.cpp compile_fail/a.cpp consumer/main.cpp
  expect
  echo core/a.cpp | put tests/tests.txt
  touch_sources core/a.cpp core/deep/c.cpp
  expect "tests/core/deep/c.cpp is never built"
  printf 'core/a.cpp\ncore/b.cpp\n' | put tests/tests.txt
  touch_sources core/a.cpp
  expect "names core/b.cpp, which does not exist"
  printf 'core/a.cpp\ncore/a.cpp\n' | put tests/tests.txt
  touch_sources core/a.cpp
  expect "core/a.cpp stands in tests/tests.txt twice"
}
touch_sources() { for source in "$@"; do put "tests/$source" < /dev/null; done; }

lint "$@"
