#!/usr/bin/env bash
# ThreadSanitizer over what threads say to each other without oneTBB, which it cannot see through: races.sh ROOT COMPILER OPTIONS_FILE. Before that it shows, with a race, that it sees one.
set -euo pipefail
export LC_ALL=C
root=$1 compiler=$2 options=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# What programs are started with: setarch, where addresses are drawn from more places than the sanitizer expects.
run=()
# made NAME SOURCE...: compiles a program.
made() {
  local name=$1
  shift
  "$compiler" "@$options" "-I$root/tests" "-DLAMINA_SOURCE_DIR=\"$root\"" -O1 -g -w -fsanitize=thread "$@" -o "$folder/$name" -pthread
}
cat > "$folder/sample.cpp" << 'END'
#include <thread>
int main(int words, char**) {
  int shared = 0;
  std::thread other([&] { shared = words; });
  if (words > 1) shared = 2;
  other.join();
  return shared - words;
}
END
if ! made sample "$folder/sample.cpp" 2> "$folder/said"; then
  echo "skipped: $compiler has no ThreadSanitizer here"
  exit 77
fi
if ! "$folder/sample" &> /dev/null; then
  run=(setarch -R)
fi
if ! "${run[@]}" "$folder/sample" &> /dev/null; then
  echo "skipped: programs with ThreadSanitizer do not run here"
  exit 77
fi
if "${run[@]}" "$folder/sample" race &> "$folder/said"; then
  echo "self-test of races: a race was not seen"
  exit 1
fi

for test in core/shared_tasks parallel/communicator; do
  made "$(basename "$test")" "$root/tests/$test.cpp" "$root/tests/support/main.cpp"
  "${run[@]}" "$folder/$(basename "$test")"
done
