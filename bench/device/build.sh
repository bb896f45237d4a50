#!/usr/bin/env bash
# Builds for a machine with a GPU and little else what run.sh runs there: every test that includes support/gpu.hpp, and bench_gpu, into gpu_build/ with the libraries that they
# need, and packs it as gpu_build.tgz. bench/device/build.sh [NAME=SOURCE]...: more programs. $ARCHITECTURE is sm_90 unless set, $JOBS is 2, $NVCC is nvcc. $NCCL: a folder with NCCL's
# include and lib, as a Python package has it, of the version of that machine, which must have it; then the tests of NCCL are built too.
set -euo pipefail
cd "$(dirname "$0")/../.."
nvcc=${NVCC:-nvcc}
folder=gpu_build objects=build/gpu
mkdir -p $folder $objects

# rule NAME SOURCE INCLUDED...: a program.
rule() {
  echo "build $objects/$1.o: compile $2"
  echo "build $folder/$1: link $objects/$1.o ${*:3}"
}
nccl=${NCCL:-}
{
  echo "builddir = $objects"
  echo "flags = -std=c++20 -O1 -arch=${ARCHITECTURE:-sm_90} -x cu -Iinclude -Itests -Xcompiler=-Wall,-Wextra,-Wno-parentheses -DEIGEN_NO_CUDA -DLAMINA_LINK_STB -DLAMINA_LINK_TURBOJPEG" \
    "-DLAMINA_SOURCE_DIR=\\\".\\\" ${nccl:+-isystem $nccl/include} $(pkg-config --cflags eigen3 tbb nlohmann_json | sed 's/-I/-isystem /g')"
  echo "rule compile"
  echo "  command = $nvcc \$flags -MD -MF \$out.d -c \$in -o \$out"
  echo "  depfile = \$out.d"
  echo "  deps = gcc"
  echo "rule link"
  echo "  command = $nvcc -arch=${ARCHITECTURE:-sm_90} \$in -o \$out -Xlinker=--as-needed,--strip-all -ltbb -lstb -lturbojpeg ${nccl:+-Xlinker=$nccl/lib/libnccl.so.2}"
  echo "build $objects/gpu_main.o: compile tests/support/gpu_main.cu"
  grep -lE '^#include .*support/gpu.hpp"' tests/*/*.cpp | sort | while read -r source; do
    rule "test_$(sed 's|^tests/||; s|/|_|g; s|\.cpp$||' <<< "$source")" "$source" $objects/gpu_main.o
  done
  rule bench_gpu bench/bench_gpu.cu
  if [[ -n $nccl ]]; then
    for test in nccl_gpus nccl_processes; do rule "test_$test" "tests/support/$test.cu"; done
  fi
  for more in "$@"; do rule "${more%%=*}" "${more#*=}"; done
} > $objects/build.ninja
nice ninja -f $objects/build.ninja -j "${JOBS:-2}" -k 0

mkdir -p $folder/lib
for program in $(find $folder -maxdepth 1 -type f -perm /111); do
  ldd "$program" | awk '$3 ~ /^\// { print $3 }'
done | sort -u | grep -vE '/(libnccl|libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+)\.so' | xargs -r cp -Lut $folder/lib
for program in $(find $folder -maxdepth 1 -type f -perm /111); do
  if missing=$(LD_LIBRARY_PATH=$folder/lib:$nccl/lib ldd "$program" | grep "not found"); then echo "$program needs $missing"; exit 1; fi
done
tar -czf $folder.tgz $folder
echo "$(find $folder -maxdepth 1 -type f -perm /111 | wc -l) programs in $folder, $(du -sm $folder | cut -f1) MB, packed $(du -sm $folder.tgz | cut -f1)"
