#!/usr/bin/env bash
# Programs that must not compile, all beside this file: run.sh KIND COMPILER OPTIONS_FILE, where KIND is g++, clang++ or nvcc. The compiler must refuse each with exactly one error that holds the words
# of its first lines, `// expect: words` for every compiler and `// expect g++: words` for one kind. Before that it shows, with samples, that it sees what is wrong.
set -euo pipefail
export LC_ALL=C
kind=$1 compiler=$2 options=$3 cases=$(dirname "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Most begin with lamina.hpp, which takes a compiler longer than all the rest of them. g++ and clang++ read it once; nvcc, which cannot, is given those that begin with less, and those with words for it.
header=$(sed -n 's/^-I\(.*\)/\1\/lamina\/lamina.hpp/p' "$options" | head -n 1)
case $kind in
  g++)
    mkdir "$folder/lamina"
    "$compiler" "@$options" -w -x c++-header "$header" -o "$folder/lamina/lamina.hpp.gch"
    command=("$compiler" "-I$folder" "@$options" -fsyntax-only) ;;
  clang++)
    "$compiler" "@$options" -w -x c++-header "$header" -o "$folder/lamina.pch"
    command=("$compiler" -include-pch "$folder/lamina.pch" "@$options" -fsyntax-only) ;;
  nvcc) command=("$compiler" --options-file "$options" -x cu -cuda -o /dev/null) ;;
esac

# refused CASE: prints what is wrong with the case, and nothing if all is well.
refused() {
  local case=$1 output expected errors
  expected=$(awk -v kind="$kind" '!/^\/\//{ exit } /^\/\/ expect/ { who = $3; sub(/:.*/, "", who); if ($2 == "expect:" || who == kind) { sub(/^[^:]*: */, ""); print } }' "$case")
  if [[ -z $expected ]]; then
    echo "no line '// expect: words' or '// expect $kind: words' at the top of the case"
    return
  fi
  if output=$("${command[@]}" "$case" 2>&1); then
    echo "it compiles"
    return
  fi
  errors=$(grep -cE '(^|[ :])error( #?[0-9A-Z-]+)?: ' <<< "$output" || true)
  if [[ $errors != 1 ]]; then
    echo "it ends in $errors errors, and one is what a reader can use"
  fi
  while read -r words; do
    if ! grep -qF -- "$words" <<< "$output"; then
      echo "nowhere says '$words'"
    fi
  done <<< "$expected"
}

# sample WORDS: the case on standard input is found to be WORDS (nothing: all is well).
sample() {
  cat > "$folder/sample.cpp"
  found=$(refused "$folder/sample.cpp")
  if [[ -n $1 && $found != *"$1"* ]] || [[ -z $1 && -n $found ]]; then
    echo "self-test of compile_fail: expected '${1:-nothing}', found '$found'"
    exit 1
  fi
}
sample "" <<< $'// expect: too long\n// expect g++: static assertion failed\n// expect nvcc: static assertion failed\n// expect clang++: static\nstatic_assert(sizeof(int) == 1, "an int is too long");'
sample "" <<< $'// expect: too long\ntemplate <class T> void f(T t) { static_assert(sizeof t == 1, "too long"); }\nint main() { f(1); }'
sample "it compiles" <<< $'// expect: too long\nint main() {}'
sample "nowhere says 'too short'" <<< $'// expect: too long\n// expect: too short\nstatic_assert(sizeof(int) == 1, "too long");'
sample "2 errors" <<< $'// expect: too long\nstatic_assert(sizeof(int) == 1, "too long");\nstatic_assert(sizeof(int) == 2, "too long");'
sample "no line '// expect: words'" <<< $'// expect icc: too long\nstatic_assert(sizeof(int) == 1, "too long");'

count=0 failed=0
for case in "$cases"/*.cpp; do
  if [[ $kind == nvcc ]] && grep -q lamina/lamina.hpp "$case" && ! grep -q '^// expect nvcc' "$case"; then continue; fi
  found=$(refused "$case")
  count=$((count + 1))
  if [[ -n $found ]]; then
    printf '%s, %s:\n%s\n' "$case" "$kind" "$found"
    failed=$((failed + 1))
  fi
done
echo "$count programs, $failed of them not refused as they say"
((count > 0 && failed == 0))
