#!/usr/bin/env bash
# Who may include whom.
source "$(dirname "$0")/lint.bash"

faults() {
  find include/lamina -name '*.hpp' | sort | xargs awk '
    BEGIN {
      # A folder of include/lamina and the folders its headers may include; headers beside the folders gather them and may include all.
      may["core"] = "core"
      may["cpu"] = "core cpu"
      may["cuda"] = "core cuda"
      may["data"] = "core data"
      may["nn"] = "core nn"
      may["train"] = "core nn train"
      may["parallel"] = "core nn train parallel"
      may["io"] = "core nn train io"

      # A third-party header and the files of include/lamina it may be in.
      third["^(Eigen|unsupported)/"] = "cpu/gemm"
      third["^(one)?(tbb|api/tbb)(/|\\.h$)"] = "(core/threads|cpu/|data/check)"
      third["^stb"] = "data/stb_image"
      third["^turbojpeg"] = "data/turbojpeg"
      third["^nlohmann/"] = "io/"
      third["^(google|onnx)/"] = "io/"
      third["^turbojpeg\\.h$"] = "data/(turbojpeg|decode)"
      third["^(cuda|cublas|curand|nvtx3|driver_types|device_launch|vector_types|math_constants|mma\\.h|cooperative_groups|cub/|thrust/)"] = "cuda/"
      third["^cudnn"] = "cuda/cudnn"
      third["^nccl\\.h$"] = "parallel/nccl"
      third["^mpi\\.h$"] = "parallel/mpi"

      # What the C library and the compiler bring is as good as the standard.
      system_header = "^(sys/[a-z]+|unistd|fcntl|poll|signal|dlfcn|pthread|sched|netdb|netinet/[a-z]+|arpa/inet|[a-z0-9]*intrin|arm_[a-z]+|cxxabi)(\\.h)?$"
      banned = "^(iostream|regex|ranges)$"
    }
    function fault(words) { printf "%s:%d: %s\n", FILENAME, FNR, words }
    # a/b/../c -> a/c
    function plain(path) {
      gsub(/\/\.\//, "/", path)
      while (sub(/[^\/]+\/\.\.\//, "", path)) {}
      return path
    }
    function own(path,    from, to, target) {
      if (path !~ /^include\/lamina\//) { fault("includes " path ", which is outside include/lamina"); return }
      if ((getline target < path) < 0) fault("includes " path ", which does not exist")
      close(path)
      from = FILENAME; sub(/^include\/lamina\//, "", from)
      to = path; sub(/^include\/lamina\//, "", to)
      if (from !~ /\// ) return
      sub(/\/.*/, "", from)
      if (!(from in may)) { fault("the folder " from " has no place in tests/lints/includes.sh: say there what it may include"); return }
      if (to !~ /\//) { if (to !~ /^version\.hpp$/) fault(from " may not include " to ", which gathers everything"); return }
      sub(/\/.*/, "", to)
      if (index(" " may[from] " ", " " to " ") == 0) fault(from " may not include " to "; it may include: " may[from])
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
      split($0, part, "\"")
      path = FILENAME; sub(/[^\/]*$/, "", path)
      own(part[2] ~ /^lamina\// ? "include/" part[2] : plain(path part[2]))
      next
    }
    /^[ \t]*#[ \t]*include[ \t]*</ {
      split($0, part, /[<>]/)
      name = part[2]
      if (name ~ /^lamina\//) { own("include/" name); next }
      if (name ~ banned) { fault("<" name "> has no place in include/"); next }
      place = FILENAME; sub(/^include\/lamina\//, "", place)
      for (t in third) if (name ~ t) {
        if (place !~ "^" third[t]) fault("<" name "> may only be in " third[t])
        next
      }
      if (name ~ /[.\/]/ && name !~ system_header) fault("<" name "> is of a library that tests/lints/includes.sh does not know: say there where it may be")
    }'
}

# header FILE INCLUDE...
header() { printf '#include %s\n' "${@:2}" | put "include/lamina/$1"; }

self_test() {
  header core/shape.hpp '<vector>' '<sys/types.h>'
  header cpu/gemm.hpp '<Eigen/Core>' '<tbb/parallel_for.h>' '"../core/shape.hpp"' '<immintrin.h>' '<arm_neon.h>'
  header nn/conv.hpp '"../core/shape.hpp"'
  header nn/dense.hpp '"conv.hpp"' '<lamina/core/shape.hpp>'
  header lamina.hpp '"nn/conv.hpp"' '"cpu/gemm.hpp"'
  expect

  header cpu/conv.hpp; header nn/conv.hpp '"../cpu/conv.hpp"'
  expect "include/lamina/nn/conv.hpp:1: nn may not include cpu"
  header nn/conv.hpp; header core/shape.hpp '<vector>' '<lamina/nn/conv.hpp>'
  expect "include/lamina/core/shape.hpp:2: core may not include nn"
  header train/fit.hpp; header data/iterator.hpp '"../core/../train/fit.hpp"'
  expect "data may not include train"
  header lamina.hpp; header nn/conv.hpp '"../lamina.hpp"'
  expect "nn may not include lamina.hpp"
  header nn/conv.hpp '"nowhere.hpp"'
  expect "include/lamina/nn/nowhere.hpp, which does not exist"
  header nn/conv.hpp '"../../../tests/a.hpp"'
  expect "outside include/lamina"
  header odd/a.hpp '"b.hpp"'; header odd/b.hpp
  expect "the folder odd has no place"
  header cpu/conv.hpp '<Eigen/Core>'
  expect "<Eigen/Core> may only be in cpu/gemm"
  header core/a.hpp '<tbb/parallel_for.h>'
  expect "<tbb/parallel_for.h> may only be in"
  header train/a.hpp '<nlohmann/json.hpp>'
  expect "<nlohmann/json.hpp> may only be in io/"
  header data/image.hpp '<stb/stb_image.h>'
  expect "<stb/stb_image.h> may only be in data/stb_image"
  header data/decode.hpp '<turbojpeg.h>'
  expect "<turbojpeg.h> may only be in data/turbojpeg"
  header cpu/a.hpp '<cuda_runtime.h>'
  expect "<cuda_runtime.h> may only be in cuda/"
  header cuda/cuda.hpp '<cudnn.h>'
  expect "<cudnn.h> may only be in cuda/cudnn"
  header parallel/mpi.hpp '<mpi.h>'; header parallel/local_group.hpp '<mpi.h>'
  expect "include/lamina/parallel/local_group.hpp:1: <mpi.h> may only be in parallel/mpi"
  header parallel/solo.hpp; header train/a.hpp '"../parallel/solo.hpp"'
  expect "train may not include parallel"
  header core/a.hpp '<boost/any.hpp>'
  expect "<boost/any.hpp> is of a library"
  for name in iostream regex ranges; do
    header io/a.hpp "<$name>"
    expect "<$name> has no place in include/"
  done
}

lint "$@"
