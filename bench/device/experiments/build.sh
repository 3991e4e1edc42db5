#!/usr/bin/env bash
# Build the experiments: bash build.sh FOLDER makes FOLDER/experiments, one binary that needs nothing but a driver.
# ADAMCORE_CUDA_ARCHITECTURES=80,90 for others than 90; CUDACXX names an nvcc; CMAKE_BUILD_PARALLEL_LEVEL limits jobs.
set -euo pipefail
folder="${1:?build.sh FOLDER}"
mkdir -p "$folder/objects"
folder="$(cd "$folder" && pwd)"
cd "$(dirname "$0")"
root="$(cd ../../.. && pwd)"
nvcc="${CUDACXX:-$(PATH="$PATH:/usr/local/cuda/bin" command -v nvcc || true)}"
[ -n "$nvcc" ] || { echo "no nvcc is found: set CUDACXX" >&2 && exit 1; }

# Machine code for each architecture, PTX for the last.
architectures="${ADAMCORE_CUDA_ARCHITECTURES:-90}"
code=()
for each in ${architectures//[,;]/ }; do
  code+=(-gencode "arch=compute_$each,code=sm_$each")
done
code+=(-gencode "arch=compute_$each,code=compute_$each")

flags=(-O3 -std=c++17 -fmad=false -prec-div=true -prec-sqrt=true -ftz=false --expt-relaxed-constexpr
  -Xcompiler=-ffp-contract=off,-fno-math-errno,-fno-trapping-math
  -I. -I"$folder" -I"$root/cpp/include" -I"$root/cuda/include" -I"$root/cuda/src/gpu")
[ "$("$nvcc" --version | sed -n 's/.*release \([0-9]*\)\..*/\1/p')" -ge 13 ] && flags+=(--compress-mode=size)

python3 models.py >"$folder/models.hpp"

# compile SOURCE: ptxas' account of registers and spills is kept beside the object.
compile() {
  local object="$folder/objects/${1//\//-}.o" more=()
  [ "${1##*.}" = cu ] && more=("${code[@]}" -Xptxas -v)
  if ! "$nvcc" "${flags[@]}" "${more[@]}" -c "$1" -o "$object" >"$object.log" 2>&1; then
    cat "$object.log" >&2
    return 255
  fi
}
export -f compile
export nvcc folder
declare -p flags code >"$folder/flags.sh"
# The longest first.
printf '%s\0' stored/*.cu library/*.cu dense/*.cu common/*.cu program/*.cpp |
  xargs -0 -n 1 -P "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" bash -c 'source "$folder/flags.sh"; compile "$1"' compile
"$nvcc" "${code[@]}" -cudart static -Xcompiler=-static-libstdc++,-static-libgcc "$folder"/objects/*.o -o "$folder/experiments"
ls -l "$folder/experiments"
