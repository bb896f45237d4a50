#!/usr/bin/env bash
# No file of the project names a folder of somebody's machine.
source "$(dirname "$0")/lint.bash"

faults() {
  { grep -rnIE --exclude-dir=.git --exclude-dir=build --exclude-dir=run '(^|[^A-Za-z0-9_.$}*])/(work|farm|root|home|Users|tmp/[a-z_]*jobs)/' . || true; } |
    sed 's|^\./|a path of one machine: |'
}

self_test() {
  printf 'see https://example.org/work/a and ../home/b and $HOME/root/c\n' | put README.md
  expect
  printf 'first\nopen("/%s/someone/data")\n' home | put include/lamina/a.hpp
  expect "a path of one machine: include/lamina/a.hpp:2:"
  printf '/%s/main\n' work | put .ci/run
  expect ".ci/run:1:"
}

lint "$@"
