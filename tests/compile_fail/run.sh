#!/usr/bin/env bash
# One program that must not compile: run.sh CASE.cpp KIND COMPILER OPTIONS_FILE, where KIND is g++, clang++ or nvcc. The compiler must refuse it with exactly one error that holds the words of the
# case's first lines, `// expect: words` for every compiler and `// expect g++: words` for one kind. run.sh --self-test KIND COMPILER OPTIONS_FILE shows that it sees what is wrong.
set -euo pipefail
export LC_ALL=C

# refused CASE KIND COMPILER OPTIONS_FILE: prints what is wrong with the case, and nothing if all is well.
refused() {
  local case=$1 kind=$2 compiler=$3 options=$4 command output expected errors
  command=("$compiler" "@$options" -fsyntax-only "$case")
  if [[ $kind == nvcc ]]; then
    command=("$compiler" --options-file "$options" -x cu -cuda -o /dev/null "$case")
  fi
  expected=$(awk -v kind="$kind" '!/^\/\//{ exit } /^\/\/ expect/ { who = $3; sub(/:.*/, "", who); if ($2 == "expect:" || who == kind) { sub(/^[^:]*: */, ""); print } }' "$case")
  if [[ -z $expected ]]; then
    echo "no line '// expect: words' or '// expect $kind: words' at the top of the case"
    return
  fi
  if output=$("${command[@]}" 2>&1); then
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

if [[ $1 == --self-test ]]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  # sample WORDS: the case on standard input is found to be WORDS (nothing: all is well).
  sample() {
    cat > "$folder/sample.cpp"
    found=$(refused "$folder/sample.cpp" "${@:2}")
    if [[ -n $1 && $found != *"$1"* ]] || [[ -z $1 && -n $found ]]; then
      echo "self-test of compile_fail: expected '${1:-nothing}', found '$found'"
      exit 1
    fi
  }
  sample "" "${@:2}" <<< $'// expect: too long\n// expect g++: static assertion failed\n// expect nvcc: static assertion failed\n// expect clang++: static\nstatic_assert(sizeof(int) == 1, "an int is too long");'
  sample "" "${@:2}" <<< $'// expect: too long\ntemplate <class T> void f(T t) { static_assert(sizeof t == 1, "too long"); }\nint main() { f(1); }'
  sample "it compiles" "${@:2}" <<< $'// expect: too long\nint main() {}'
  sample "nowhere says 'too short'" "${@:2}" <<< $'// expect: too long\n// expect: too short\nstatic_assert(sizeof(int) == 1, "too long");'
  sample "2 errors" "${@:2}" <<< $'// expect: too long\nstatic_assert(sizeof(int) == 1, "too long");\nstatic_assert(sizeof(int) == 2, "too long");'
  sample "no line '// expect: words'" "${@:2}" <<< $'// expect icc: too long\nstatic_assert(sizeof(int) == 1, "too long");'
  exit 0
fi

found=$(refused "$@")
if [[ -n $found ]]; then
  echo "$1, $2:"
  echo "$found"
  exit 1
fi
