#!/usr/bin/env bash
# Breaks the library in one place at a time, and a test must see it: mutants.sh ROOT COMPILER [WORDS]. mutants.txt says where and how, and which test; with words, of those with these words in
# their names. Each is made in a copy of the tree, and must compile. Two are at work at a time. With --some before them one of sixteen is tried, and the others are only made; that the tests pass as they are, others show then. mutants.sh --self-test ROOT COMPILER shows that it sees what is wrong with a list.
set -euo pipefail
export LC_ALL=C
self_test=no
if [[ $1 == --self-test ]]; then
  self_test=yes
  shift
fi
some=no
if [[ $1 == --some ]]; then
  some=yes
  shift
fi
root=$1 compiler=$2 words=${3-}
list=$root/tests/cuda/mutants.txt seconds=60
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if [[ $self_test == yes ]]; then
  list=$folder/list seconds=5
  # item NAME OLD NEW [CASES]
  item() { printf "name: %s\nfile: include/lamina/cuda/sum.hpp\ntest: cuda/sum.cpp %s\n- %s\n+ %s\n\n" "$1" "${4:-sums of whole*}" "$2" "$3"; }
  {
    item broken "double mine = 0;" "double mine = 1;"
    item "as good as before" "double mine = 0;" "double mine = 0.;"
    item "of no end" "double mine = 0;" "double mine = 0; for (volatile bool on = true; on;) {}"
    item "of words that are not there" "double nobody" "double mine"
    item "of words that are there twice" "double" "float"
    item "not C++" "double mine = 0;" "double mine = ;"
    item "of no test case" "double mine = 0;" "double mine = 1;" "nobody*"
  } > "$list"
fi
export CCACHE_SLOPPINESS=pch_defines,time_macros
compile=("$compiler" -std=c++20 -O0 -w -Iinclude -Itests)
if command -v ccache > /dev/null && [[ $(basename "$compiler") != *ccache* ]]; then
  compile=(ccache "${compile[@]}")
fi

# tree FOLDER: what a test is made of.
tree() {
  mkdir -p "$1/tests"
  cp -rp "$root/include" "$1/"
  cp -rp "$root/tests/support" "$root/tests/cuda" "$1/tests/"
}

# An item of the list is a file of lines; field NAME ITEM prints what stands behind the name.
field() { sed -n "s/^$1: *//p" "$2"; }

# broken ITEM FOLDER: replaces the lines after `-` by those after `+`, or says why it cannot.
broken() {
  local file
  file=$2/$(field file "$1")
  if [[ ! -f $file ]]; then
    echo "there is no $(field file "$1")"
    return 1
  fi
  awk '
    FNR == NR {
      if (/^-( |$)/) old = old (olds++ ? "\n" : "") substr($0, 3)
      if (/^\+( |$)/) new = new (news++ ? "\n" : "") substr($0, 3)
      next
    }
    { text = text $0 "\n" }
    END {
      at = index(text, old)
      if (!at || old == "") { print "the words are not there"; exit 1 }
      if (index(substr(text, at + 1), old)) { print "the words are there more than once"; exit 1 }
      printf "%s%s%s", substr(text, 1, at - 1), new, substr(text, at + length(old)) > out
    }' out="$file.broken" "$1" "$file" || return 1
  mv "$file.broken" "$file"
}

# tested ITEM FOLDER: compiles the test of an item and runs it. Leaves its words in FOLDER/said; ends with 0 if it passed, 1 if it failed, 2 if it is no test.
tested() {
  local test cases file common=()
  read -r test cases <<< "$(field test "$1")"
  file=$(field file "$1")
  if [[ -f $folder/common.hpp.gch ]] && ! grep -qxF -- "$file" "$folder/in_common"; then
    common=(-fpch-preprocess -include ../common.hpp)
  fi
  cd "$2"
  if ! "${compile[@]}" "${common[@]}" -c "tests/$test" -o test.o > said 2>&1; then
    sed -n '/error/{s/^/it does not compile: /;p;q}' said
    return 2
  fi
  "$compiler" test.o ../main.o -ltbb -o test > said 2>&1 || { echo "it does not link: $(head -n 1 said)"; return 2; }
  local status=0
  timeout "$([[ -n $file ]] && echo "$seconds" || echo 300)" ./test --abort-after=1 --test-case="${cases:-*}" > said 2>&1 || status=$?
  if grep -q 'test cases: *0 ' said; then
    echo "it has no test case '$cases'"
    return 2
  fi
  ((status == 0)) || return 1
}

# first words of a test that failed
reason() { awk '/(ERROR|threw|THREW|exception): /{ sub(/^[^ ]*: /, ""); if (/CHECK.*is NOT correct/) { getline; sub(/^ *values: */, "") } print substr($0, 1, 160); exit }' "$1"; }

# tried NUMBER: whether it is the one of sixteen.
tried() { (($1 % 16 == 4)); }

# one NUMBER: makes, tests and reports a mutant, or (with no file) a test as it is.
one() {
  local item=$folder/items/$1 at=$folder/$1 status=0 why
  tree "$at"
  if [[ -n $(field file "$item") ]] && ! why=$(broken "$item" "$at"); then
    echo "CANNOT BE MADE: $why" > "$item.found"
  elif [[ $some == yes && $1 == b* ]] && ! tried "$((10#${1#b}))"; then
    echo "can be made" > "$item.found"
  else
    why=$(tested "$item" "$at") || status=$?
    case $status$(field file "$item" | sed 's/..*/ broken/') in
      "0 broken") echo "SURVIVES" ;;
      "1 broken") echo "caught: $(reason "$at/said" | grep . || tail -n 1 "$at/said")" ;;
      0) echo "passes" ;;
      1) echo "FAILS AS IT IS: $(reason "$at/said" | grep . || tail -n 1 "$at/said")" ;;
      *) echo "CANNOT BE MADE: $why" ;;
    esac > "$item.found"
  fi
  rm -rf "$at"
  printf '%-52s %s\n' "$(field name "$item")" "$(cat "$item.found")"
}

# The items, and before them each test that they name as it is.
mkdir "$folder/items"
awk -v words="$words" -v some="$some" -v folder="$folder/items" '
  /^#/ { next }
  /^name: / { wanted = words == "" || index($0, words); item = sprintf("%s/b%03d", folder, ++count) }
  wanted && NF { print > item }
  wanted && /^test: / && some == "no" && !seen[$0]++ {
    whole = sprintf("%s/a%03d", folder, ++tests)
    name = $0; sub(/^test: */, "", name)
    print "name: (whole) " name > whole; print > whole; close(whole)
  }' "$list"

tree "$folder/whole"
cd "$folder/whole"
printf '#include "tests/support/gpu.hpp"\n#include <doctest/doctest.h>\n#include <algorithm>\n#include <cmath>\n#include <random>\n#include <vector>\n' > ../common.hpp
"${compile[@]}" -c tests/support/main.cpp -o ../main.o
if "$compiler" --version | grep -q 'Free Software'; then  # g++ knows a header that was copied
  "${compile[@]}" -I. -x c++-header ../common.hpp -o ../common.hpp.gch
  "$compiler" -std=c++20 -Iinclude -Itests -I. -MM ../common.hpp | tr -s "\\\\ " "\n" | sed ':again; s|[^/]*/\.\./||; t again' | grep . > ../in_common
fi

for item in "$folder"/items/*; do
  while (($(jobs -rp | wc -l) >= 2)); do wait -n; done
  one "$(basename "$item")" &
done
wait
if [[ $self_test == yes ]]; then
  found=$(cat "$folder"/items/*.found | cut -d: -f1-2)
  expected=$(printf "%s\n" "passes" "CANNOT BE MADE: it has no test case 'nobody*'" "caught: *" SURVIVES "caught: *" "CANNOT BE MADE: the words are not there" "CANNOT BE MADE: the words are there more than once" \
    "CANNOT BE MADE: it does not compile" "CANNOT BE MADE: it has no test case 'nobody*'")
  # shellcheck disable=SC2053
  [[ $found == $expected ]] || { echo "self-test of mutants: expected"; echo "$expected"; exit 1; }
  exit 0
fi
bad=$(cat "$folder"/items/*.found | grep -cvE "^(caught|passes|can be made)" || true)
items=("$folder"/items/b???)
echo "$(cat "$folder"/items/b*.found | grep -c "^caught" || true) of ${#items[@]} caught, $(cat "$folder"/items/b*.found | grep -c "^can be made" || true) only made"
((bad == 0))
