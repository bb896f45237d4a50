#!/usr/bin/env bash
# What README.md shows of an example (a block after <!-- from FILE -->) stands in that file, line for line.
source "$(dirname "$0")/lint.bash"

faults() {
  awk '
    /^<!-- from .* -->$/ { file = $3; next }
    file && /^```/ && !open { open = 1; count = 0; next }
    open && /^```/ {
      held = 0; lines = 0
      while ((getline line < file) > 0) text[++lines] = line
      close(file)
      for (i = 1; i + count - 1 <= lines && !held; ++i) {
        held = 1
        for (k = 1; k <= count && held; ++k) if (text[i + k - 1] != block[k]) held = 0
      }
      if (!held) print "README.md, line " NR ": this block does not stand in " file
      delete text; open = 0; file = ""; next
    }
    open { block[++count] = $0 }' README.md
}

self_test() {
  printf '// lesson\nint a;\n\nint b;\n' | put examples/a.cpp
  printf '<!-- from examples/a.cpp -->\n```cpp\nint a;\n\nint b;\n```\n' | put README.md
  expect
  printf '// lesson\nint a;\n' | put examples/a.cpp
  printf 'text\n<!-- from examples/a.cpp -->\n```cpp\nint c;\n```\n' | put README.md
  expect "this block does not stand in examples/a.cpp"
}

lint "$@"
