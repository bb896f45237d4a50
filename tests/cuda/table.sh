#!/usr/bin/env bash
# Registers of every kernel that kernels.cu lists, on three generations of GPUs, its threads and bytes of shared memory, and its tensor-core instructions in the code for sm_90, beside table.txt.
#   table.sh ROOT NVCC          fails where a kernel spills registers or has a stack, where the table has other kernels, or other numbers than the compiler it names makes of them
#   table.sh ROOT NVCC --write  writes the table
# Tensor-core instructions are counted where there is nvdisasm, in the PATH or beside nvcc.
set -euo pipefail
export LC_ALL=C

root=$1 nvcc=$2 write=${3:-}
table=$root/tests/cuda/table.txt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

compile() { "$nvcc" -std=c++20 -O3 -Wno-deprecated-gpu-targets -I"$root/include" "$@" "$root/tests/cuda/kernels.cu"; }
version=$("$nvcc" --version | grep -oE 'V[0-9.]+')
nvdisasm=$(command -v nvdisasm || command -v "$(dirname "$(command -v "$nvcc")")/nvdisasm" || true)

# name: the kernels of lines with a symbol in the first column, as C++ without namespaces and spaces.
name() {
  c++filt | awk '
    { line = $0; gsub(/lamina::|kernels::|gpu::|\(anonymous namespace\)::/, "", line); sub(/^void /, "", line); gsub(/, /, ",", line); gsub(/unsigned char/, "byte", line)
      if (sub(/^entry</, "", line)) {                  # the first argument of entry<Kernel, Arguments...>
        for (i = 1; i <= length(line); ++i) {
          c = substr(line, i, 1)
          if (depth == 0 && (c == "," || c == ">")) break
          depth += (c ~ /[<{(]/) - (c ~ /[>})]/)
        }
        rest = line; sub(/.*\)/, "", rest)
        line = substr(line, 1, i - 1) rest
      }
      print line }'
}

compile -arch=sm_90 -o "$folder/list" -Xptxas -O0 > /dev/null
"$folder/list" | sort -u | awk '{ print $1 > "'"$folder"'/types"; print $2, $3 > "'"$folder"'/sizes" }'
paste -d' ' <(c++filt -t < "$folder/types" | name) "$folder/sizes" | awk '{ print "size", $0 }' > "$folder/facts"

for arch in 80 90 100; do
  "$nvcc" --list-gpu-arch | grep -qx "compute_$arch" || continue
  compile -arch=sm_$arch -Xptxas -v -cubin -o "$folder/$arch.cubin" 2> "$folder/ptxas" || { cat "$folder/ptxas"; exit 1; }
  awk -v arch=$arch '
    /entry function/ { split($0, quoted, "\x27"); kernel = quoted[2] }
    /stack frame/ { for (i = 1; i < NF; ++i) if ($(i + 1) == "bytes") spilt[kernel] += $i }
    / Used [0-9]+ registers/ { match($0, /Used [0-9]+/); print kernel, substr($0, RSTART + 5, RLENGTH - 5), spilt[kernel] + 0 }' "$folder/ptxas" | name | awk -v arch=$arch '{ print arch, $0 }' >> "$folder/facts"
done
if [[ -n $nvdisasm && -f $folder/90.cubin ]]; then
  "$nvdisasm" -c "$folder/90.cubin" | awk '
    /^\.text\./ { kernel = $1; sub(/^\.text\./, "", kernel); sub(/:$/, "", kernel); count[kernel] += 0 }
    / HMMA\./ { ++count[kernel] }
    END { for (k in count) print k, count[k] }' | name | awk '{ print "hmma", $0 }' >> "$folder/facts"
fi

awk '
  { kernel = $2 }
  $1 == "size" { threads[kernel] = $3; shared[kernel] = $4 }
  $1 == "hmma" { hmma[kernel] = $3 }
  $1 ~ /^[0-9]+$/ {
    registers[kernel] = registers[kernel] " " $3
    if ($4 > 0) printf "%s has a stack or spills registers on sm_%s: %d bytes\n", kernel, $1, $4 > "'"$folder"'/spilt"
  }
  END { for (k in registers) print k, threads[k] == "" ? "?" : threads[k], shared[k] == "" ? "?" : shared[k], ((k in hmma) ? hmma[k] : "-") registers[k] }' "$folder/facts" | sort > "$folder/rows"

if [[ $write == --write ]]; then
  { echo "# $version: kernel, threads, bytes of shared memory, tensor-core instructions in sm_90's code, registers on sm_80, sm_90, sm_100. Written by table.sh."; column -t "$folder/rows"; } > "$table"
fi

# Of another compiler than the table's, or without nvdisasm, only what does not depend on it is compared.
columns=3
if grep -qF "# $version:" "$table"; then columns=7; fi
comparable() { awk -v columns=$columns -v hmma="${nvdisasm:+yes}" '!/^#/ { if (!hmma) $4 = "-"; line = $1; for (i = 2; i <= columns; ++i) line = line " " $i; print line }' "$1"; }
if ! diff <(comparable "$table") <(comparable "$folder/rows") > "$folder/difference"; then
  echo "kernels differ from $table (<); after a change on purpose: table.sh ROOT NVCC --write"
  cat "$folder/difference"
  exit 1
fi
if [[ -s $folder/spilt ]]; then
  cat "$folder/spilt"
  exit 1
fi
column -t "$folder/rows"
