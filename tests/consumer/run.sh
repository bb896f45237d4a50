#!/usr/bin/env bash
# Builds and runs somebody else's program against Lamina: run.sh WAY SOURCE BUILD COMPILER, where BUILD is a configured build of SOURCE and the way is
#   find_package      a CMake project and an installed Lamina
#   add_subdirectory  a CMake project that holds Lamina's source
#   fetch_content     a CMake project that takes it through FetchContent
#   pkg_config        a Meson project and an installed Lamina
#   cuda              both, and a file that nvcc compiles
#   wrong_classes     a trainer for a number of classes that is none
#   missing_header    a machine without one of the libraries: one sentence names the Debian package
set -euo pipefail
way=$1 source=$2 build=$3
export CXX=$4
here=$source/tests/consumer
version=$(sed -nE 's/^#define LAMINA_VERSION_[A-Z]+ ([0-9]+)$/\1/p' "$source/include/lamina/version.hpp" | paste -sd.)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset DESTDIR

install() { cmake --install "$build" --prefix "$folder/prefix" > "$folder/log"; }
# refuses WORDS ARGUMENT...: cmake stops, and says the words.
refuses() {
  if cmake -B "$folder/build" "${@:2}" > "$folder/log" 2>&1; then
    echo "cmake went on with ${*:2}"
    exit 1
  fi
  if ! tr -s ' \n' ' ' < "$folder/log" | grep -qF -- "$1"; then
    echo "cmake does not say '$1':"
    cat "$folder/log"
    exit 1
  fi
  rm -rf "$folder/build"
}
# quietly COMMAND...: what it says is shown only if it fails.
quietly() { "$@" > "$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }; }

case $way in
  find_package)
    install
    quietly cmake -S "$here/find_package" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$folder/prefix" -DLAMINA_VERSION="$version"
    quietly cmake --build "$folder/build"
    "$folder/build/consumer"
    # The portable one takes the level it is told, or that of this processor; the lower ones run anywhere.
    says() { [[ $("${@:2}") == "$1" ]] || { echo "${*:2} does not say $1"; exit 1; }; }
    if [[ $(uname -m) == x86_64 ]]; then
      says "4 word" env LAMINA_PROCESSOR=x86-64 "$folder/build/anywhere" word
      lanes=4
      if grep -qw avx2 /proc/cpuinfo; then lanes=8; fi
      says "$lanes word" env LAMINA_PROCESSOR=x86-64-v3 "$folder/build/anywhere" word
      if grep -qw avx512vl /proc/cpuinfo; then lanes=16; fi
      says "$lanes word" "$folder/build/anywhere" word
      rm "$folder/build/anywhere-"*
      if "$folder/build/anywhere" 2> "$folder/log"; then echo "it ran without its programs"; exit 1; fi
      grep -q "belong beside this program" "$folder/log"
    fi
    ;;
  add_subdirectory | fetch_content)
    quietly cmake -S "$here/add_subdirectory" -B "$folder/build" -DLAMINA_SOURCE="$source" -DLAMINA_FETCH="$([[ $way == fetch_content ]] && echo ON || echo OFF)"
    quietly cmake --build "$folder/build"
    "$folder/build/consumer"
    ;;
  pkg_config)
    if ! command -v meson > /dev/null || ! command -v pkg-config > /dev/null; then
      echo "skipped: no meson or no pkg-config here"
      exit 0
    fi
    install
    mkdir "$folder/source"
    cp "$here/main.cpp" "$here/pkg_config/meson.build" "$folder/source"
    export PKG_CONFIG_PATH=$folder/prefix/share/pkgconfig
    [[ $(pkg-config --modversion lamina) == "$version" ]]
    quietly meson setup "$folder/build" "$folder/source"
    quietly meson compile -C "$folder/build"
    "$folder/build/consumer"
    ;;
  cuda)
    install
    for from in -DCMAKE_PREFIX_PATH="$folder/prefix" -DLAMINA_SOURCE="$source"; do
      quietly cmake -S "$here/cuda" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_COMPILER="$(sed -n 's/^LAMINA_NVCC:[A-Z]*=//p' "$build/CMakeCache.txt")" -DLAMINA_CUDA_ARCHITECTURES=80 "$from"
      quietly cmake --build "$folder/build"
      "$folder/build/consumer"
      rm -rf "$folder/build"
    done
    ;;
  wrong_classes)
    for classes in abc 1 0 -3 010; do
      refuses "LAMINA_TOMATO_CLASSES is $classes: give the number of class folders, 2 or more" -S "$source" -DLAMINA_TESTS=OFF -DLAMINA_BENCH=OFF -DLAMINA_TOMATO_CLASSES=$classes
    done
    ;;
  missing_header)
    install
    refuses "Lamina needs Eigen3, stb; on Debian: apt-get install libeigen3-dev libstb-dev" -S "$source" \
      -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON -DLAMINA_STB_INCLUDE=LAMINA_STB_INCLUDE-NOTFOUND -DCMAKE_FIND_ROOT_PATH="$folder" -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY
    refuses "apt-get install doctest-dev" -S "$source" -DCMAKE_DISABLE_FIND_PACKAGE_doctest=ON
    refuses "Lamina needs TBB; on Debian: apt-get install libtbb-dev" -S "$here/find_package" -DCMAKE_PREFIX_PATH="$folder/prefix" -DCMAKE_DISABLE_FIND_PACKAGE_TBB=ON
    ;;
esac
