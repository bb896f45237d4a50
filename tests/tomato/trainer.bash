# What every test of the trainer shares. A test is called NAME.sh TOMATO MAKE_LEAVES [TOMATO_OF_TWO], the last being the trainer built for two classes, and works in an
# empty folder that goes when it ends.
set -eEuo pipefail
export LC_ALL=C
trap 'echo "$(basename "$0"), line $LINENO: $BASH_COMMAND"' ERR
tomato=$(realpath "$1") make_leaves=$(realpath "$2")
folder=$(mktemp -d)
trap leave EXIT
leave() {
  jobs -p | xargs -r kill -KILL 2> /dev/null || true
  rm -rf "$folder"
}
cd "$folder"

# fail WORDS: ends the test, with what the program said last.
fail() {
  echo "$(basename "$0"): $*"
  head -n 20 said complained 2> /dev/null || true
  exit 1
}

# answers CODE ARGUMENT...: runs tomato, which has to end with this code. What it prints goes to the files said and complained.
answers() {
  local expected=$1 code=0
  shift
  "$tomato" "$@" > said 2> complained || code=$?
  [[ $code == "$expected" ]] || fail "tomato $* ends with $code and not with $expected"
}

# refuses CODE WORDS ARGUMENT...: tomato ends with this code and one sentence that holds the words. A code of 2 has a second line, which says where help is;
# `lines=N refuses ...` allows more.
refuses() {
  local code=$1 words=$2 lines=${lines:-$1}
  shift 2
  answers "$code" "$@"
  grep -qF -- "$words" complained || fail "tomato $* does not complain of '$words'"
  [[ $(wc -l < complained) -le $lines ]] || fail "tomato $* complains in more than $lines lines"
  [[ $(wc -L < complained) -le 400 ]] || fail "tomato $* complains in a line of more than 400 letters"
  [[ $(cat complained) == "tomato: "* ]] || fail "tomato $* does not complain by name"
  ! grep -q '[[:cntrl:]]' complained || fail "tomato $* sends control characters to the terminal"
  ! grep -qE 'exception|filesystem error|std::|terminate|what\(\)' complained || fail "tomato $* complains in the words of a programmer"
}

# same FILE FILE: byte by byte.
same() { cmp -s "$1" "$2" || fail "$1 and $2 are different"; }

# same_run FOLDER FOLDER: two trainings ended alike. Only seconds may differ.
same_run() {
  same "$1/last.safetensors" "$2/last.safetensors"
  same "$1/best.safetensors" "$2/best.safetensors"
  cmp -s <(cut -d, -f1-6 "$1/history.csv") <(cut -d, -f1-6 "$2/history.csv") || fail "the histories of $1 and $2 are different"
  cmp -s <(metrics "$1") <(metrics "$2") || fail "the metrics of $1 and $2 are different"
  for run in "$1" "$2"; do
    grep -q '<strong>Finished</strong>' "$run/report.html" && grep -q 'class="heat"' "$run/report.html" || fail "$run/report.html does not tell of a finished training"
  done
}
metrics() { grep -vE '"(seconds|command)":' "$1/metrics.json"; }
