#!/usr/bin/env bash
# Registers of every kernel that kernels.cu lists, on three generations of GPUs, its threads and bytes of shared memory, and its tensor-core instructions in the code for sm_90, beside table.txt.
#   table.sh ROOT NVCC OPTIONS_FILE          fails where a kernel spills registers or has a stack, where one is launched and not compiled, where the table has other kernels, or other
#                                            numbers than the compiler it names makes of them
#   table.sh ROOT NVCC OPTIONS_FILE --write  writes the table
# Tensor-core instructions are counted where there is nvdisasm, in the PATH or beside nvcc.
set -euo pipefail
export LC_ALL=C

root=$1 nvcc=$2 options=$3 write=${4:-}
table=$root/tests/cuda/table.txt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

version=$("$nvcc" --version | grep -oE 'V[0-9.]+')
nvdisasm=$(command -v nvdisasm || command -v "$(dirname "$(command -v "$nvcc")")/nvdisasm" || true)

# name: the kernels of lines with a symbol in the first column, as C++ without namespaces and spaces; zeros at the end of a literal, which not every compiler writes, are left out, and so is false.
name() {
  c++filt | awk '
    { line = $0; gsub(/lamina::|kernels::|gpu::|\(anonymous namespace\)::/, "", line); sub(/^void /, "", line); gsub(/, /, ",", line); while (gsub(/> >/, ">>", line)) {}; while (gsub(/,(0|false)\}/, "}", line)) {}; gsub(/unsigned char/, "byte", line)
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

targets=()
for arch in 80 90 100; do
  if "$nvcc" --list-gpu-arch | grep -qx "compute_$arch"; then targets+=(-gencode "arch=compute_$arch,code=sm_$arch"); fi
done
"$nvcc" --options-file "$options" -Wno-deprecated-gpu-targets "${targets[@]}" -Xptxas -v --keep --keep-dir "$folder" -o "$folder/list" "$root/tests/cuda/kernels.cu" -ltbb > "$folder/ptxas" 2>&1 || { cat "$folder/ptxas"; exit 1; }

"$folder/list" | sort -u | awk '{ print $1 > "'"$folder"'/types"; print $2, $3 > "'"$folder"'/sizes" }'
paste -d' ' <(c++filt -t < "$folder/types" | name) "$folder/sizes" | awk '{ print "size", $0 }' > "$folder/facts"
awk '
  /entry function/ { split($0, quoted, "\047"); kernel = quoted[2]; arch = quoted[4]; sub(/sm_/, "", arch) }
  /stack frame/ { spilt = 0; for (i = 1; i < NF; ++i) if ($(i + 1) == "bytes") spilt += $i }
  / Used [0-9]+ registers/ { match($0, /Used [0-9]+/); print kernel, substr($0, RSTART + 5, RLENGTH - 5), spilt, arch }' "$folder/ptxas" | name | awk '{ print $4, $1, $2, $3 }' | sort -n -k1,1 >> "$folder/facts"
if [[ -n $nvdisasm && -f $folder/kernels.compute_90.cubin ]]; then
  "$nvdisasm" -c "$folder/kernels.compute_90.cubin" | awk '
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
    if ($4 > 0) printf "%s has a stack or spills registers on sm_%s: %d bytes\n", kernel, $1, $4 > "'"$folder"'/wrong"
  }
  END {
    for (k in threads) if (!(k in registers)) printf "%s is launched and has no code\n", k > "'"$folder"'/wrong"
    for (k in registers) print k, threads[k] == "" ? "?" : threads[k], shared[k] == "" ? "?" : shared[k], ((k in hmma) ? hmma[k] : "-") registers[k]
  }' "$folder/facts" | sort > "$folder/rows"

if [[ $write == --write ]]; then
  { echo "# $version: kernel, threads, bytes of shared memory, tensor-core instructions in sm_90's code, registers on sm_80, sm_90, sm_100; ? where this step launches another instead. Written by table.sh."; column -t "$folder/rows"; } > "$table"
fi

# Of another compiler than the table's, or without nvdisasm, only what does not depend on it is compared.
columns=3
if grep -qF "# $version:" "$table"; then columns=7; fi
comparable() { awk -v columns=$columns -v hmma="${nvdisasm:+yes}" '!/^#/ { if (!hmma) $4 = "-"; line = $1; for (i = 2; i <= columns; ++i) line = line " " $i; print line }' "$1"; }
if ! diff <(comparable "$table") <(comparable "$folder/rows") > "$folder/difference"; then
  echo "kernels differ from $table (<); after a change on purpose: table.sh ROOT NVCC OPTIONS_FILE --write"
  cat "$folder/difference"
  exit 1
fi
if [[ -s $folder/wrong ]]; then
  cat "$folder/wrong"
  exit 1
fi
column -t "$folder/rows"
