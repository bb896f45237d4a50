#!/usr/bin/env bash
# Installs what bench/compare and bench/study compare with, from PyPI, into a virtual environment outside the tree, and builds onednn.cpp there: bench/peers/install.sh [build]
# The environment is $LAMINA_PEERS, or lamina-peers in the cache folder. It takes 9 GB: PyPI's torch for Linux brings the CUDA libraries with it.
# What cannot be installed is told and left out; its row then says "not installed". It may be run again; with `build` it only builds.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
env=${LAMINA_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/lamina-peers}
wanted_gb=10
failed=0

fail() { echo "install.sh: $*" >&2; failed=1; }
install() {
  echo "install.sh: pip install $*"
  nice "$env/bin/python" -m pip install --quiet --no-input "$@" || fail "could not install $*"
}
# build NAME PREFIX: onednn.cpp with the oneDNN under PREFIX. Its own libraries are found by the old kind of rpath, which holds for what a library needs too.
build() {
  [ -e "$2/include/oneapi/dnnl/dnnl.hpp" ] || return
  echo "install.sh: $1"
  nice "${CXX:-g++}" -std=c++20 -O3 -march=native -fopenmp -Wall -Wextra -I "$2/include" "$here/onednn.cpp" -o "$env/bin/$1" \
    -L "$2/lib" -ldnnl "-Wl,--disable-new-dtags,-rpath,$2/lib" ||
    fail "onednn.cpp does not build with the oneDNN in $2"
}

if [ "${1:-}" != build ]; then
  mkdir -p "$env" || exit 1
  if [ ! -x "$env/bin/python" ]; then
    free_gb=$(df -Pk "$env" | awk 'NR == 2 { print int($4 / 1048576) }')
    if [ "$free_gb" -lt "$wanted_gb" ]; then
      echo "install.sh: $env has $free_gb GB free and the peers take $wanted_gb: set LAMINA_PEERS to a folder with more" >&2
      exit 1
    fi
    python3 -m venv "$env" || { echo "install.sh: no virtual environment (Debian: python3-venv)" >&2; exit 1; }
  fi
  install torch torchvision
  install tensorflow-cpu keras scipy pillow
  # The current oneDNN runs its CPU on SYCL; the last one on PyPI with OpenMP is older, and at times faster.
  install onednn onednn-devel
  install --prefix "$env/onednn-openmp" onednn-cpu-gomp onednn-devel-cpu-gomp
  # torch.compile writes C++ that includes Python.h.
  "$env/bin/python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    echo "install.sh: torch.compile needs Python.h (Debian: python3-dev)" >&2
fi
build lamina-onednn-sycl "$env"
build lamina-onednn-openmp "$env/onednn-openmp"
exit $failed
