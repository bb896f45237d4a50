# What every lint shares. A lint defines `faults`, which looks at the tree in the current folder and prints a line per fault, and `self_test`, which
# shows on samples that it sees them; then it says `lint "$@"`.
set -euo pipefail
export LC_ALL=C

sample=$(mktemp -d)
trap 'rm -rf "$sample"' EXIT

# put FILE: makes a file of the sample from standard input.
put() { mkdir -p "$sample/$(dirname "$1")" && cat > "$sample/$1"; }

# expect WORDS: the faults of the sample hold the words. expect (alone): the sample has no faults. The next sample begins empty.
expect() {
  local found
  found=$(cd "$sample" && faults "${arguments[@]}")
  if [[ $# == 0 && -n $found ]] || [[ $# == 1 && $found != *"$1"* ]]; then
    echo "self-test of $(basename "$0"): expected '${1:-no fault}', found '$found'"
    exit 1
  fi
  rm -rf "${sample:?}"/*
}

# lint ROOT ARGUMENT...: the self-test, then the tree.
lint() {
  local root=$1 found
  arguments=("${@:2}")
  self_test
  found=$(cd "$root" && faults "${arguments[@]}")
  if [[ -n $found ]]; then
    echo "$found"
    exit 1
  fi
}
