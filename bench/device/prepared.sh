# shellcheck shell=bash
# What gpu.sh makes on a machine without a GPU and finds again on one that has it, in a folder that git ignores.
prepared=.gpu

# What the CUDA library is made of, and what all of adamcore is.
library_sources=(CMakeLists.txt cmake cpp/CMakeLists.txt cpp/include cpp/src/rule_registry.cpp cuda/CMakeLists.txt cuda/include
  cuda/src)
experiments_sources=(bench/device/experiments cpp/include cuda/include cuda/src)
sources=(CMakeLists.txt pyproject.toml README.md LICENSE cmake cpp cuda python)

# hash_of PATH...: of their files, in an order that no locale changes.
hash_of() {
  find "$@" -type f -not -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# stamp NAME: what is known of something that was prepared.
stamp() { sed -n "s/^$1 //p" "$prepared/stamp" 2>/dev/null; }

put_stamp() {
  { grep -v "^$1 " "$prepared/stamp" 2>/dev/null && true; echo "$*"; } >"$prepared/stamp.new"
  mv "$prepared/stamp.new" "$prepared/stamp"
}

# prepare [PYTHON]: everything; the package too if PYTHON is an interpreter of the version that the other machine has.
prepare() {
  local failed=0
  mkdir -p "$prepared"
  prepare_library || failed=1
  [ -z "${1:-}" ] || prepare_package "$1" || failed=1
  prepare_experiments || failed=1
  put_stamp commit "$(git describe --always --dirty --abbrev=40 --exclude='*')" "$(hash_of "${sources[@]}" bench tests)"
  du -sh "$prepared"
  return "$failed"
}

prepare_library() {
  local hash architectures="${ADAMCORE_CUDA_ARCHITECTURES:-90}" tree=build/gpu-library
  hash="$(hash_of "${library_sources[@]}")"
  if [ -f "$prepared/libadamcore_cuda.a" ] && [ "$(stamp library)" = "$hash $architectures" ]; then
    echo "The library in $prepared was built from these sources."
    return
  fi
  rm -f "$prepared"/lib*.a
  # The environment's library would be linked instead of built.
  env -u ADAMCORE_CUDA_LIBRARY cmake -S . -B "$tree" -DCMAKE_BUILD_TYPE=Release -DADAMCORE_CUDA=ON \
    -DADAMCORE_CUDA_LIBRARY= -DADAMCORE_CUDA_ARCHITECTURES="${architectures//,/;}" &&
    cmake --build "$tree" --target adamcore_cuda --parallel "$(nproc)" &&
    cp "$tree/cuda/libadamcore_cuda.a" "$(cudart "$tree")" "$prepared/" &&
    put_stamp library "$hash $architectures"
}

# The static runtime that a tree found for its nvcc.
cudart() { sed -n 's/^CUDA_cudart_static_LIBRARY:[A-Z]*=//p' "$1/CMakeCache.txt"; }

# What distinguishes the extension modules of one Python from another's.
kind_of() { "$1" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))'; }

# install FOLDER PYTHON...: build the package and put it there.
install() {
  local folder="$1"
  shift
  ADAMCORE_CUDA=ON ADAMCORE_CUDA_ARCHITECTURES="$(architectures)" ADAMCORE_CUDA_LIBRARY="$(prepared_library path)" \
    CMAKE_BUILD_PARALLEL_LEVEL="$(nproc)" \
    "$@" -m pip install --no-build-isolation --no-deps --no-index --no-cache-dir --verbose --target "$folder" .
}

prepare_package() {
  local known
  known="$(hash_of "${sources[@]}") $(kind_of "$1")" || return
  if [ -d "$prepared/site" ] && [ "$(stamp package)" = "$known" ]; then
    echo "The package in $prepared was built from these sources."
    return
  fi
  rm -rf "$prepared/site"
  install "$prepared/site" "$1" && put_stamp package "$known"
}

# Whether the package was built from these sources and for this Python, and can be loaded.
prepared_package() {
  [ "$(stamp package)" = "$(hash_of "${sources[@]}") $(kind_of python3)" ] &&
    PYTHONPATH="$PWD/$prepared/site" python3 -c "import adamcore._cuda"
}

prepare_experiments() {
  local hash tree=build/gpu-experiments
  if [ ! -f bench/device/experiments/build.sh ]; then
    echo "There are no experiments to build."
    return
  fi
  hash="$(hash_of "${experiments_sources[@]}")"
  if [ -x "$prepared/experiments" ] && [ "$(stamp experiments)" = "$hash" ]; then
    echo "The experiments in $prepared were built from these sources."
    return
  fi
  rm -f "$prepared/experiments"
  bash bench/device/experiments/build.sh "$tree" && cp "$tree/experiments" "$prepared/" && put_stamp experiments "$hash"
}

capability() {
  local found
  found="$(nvidia-smi --id=0 --query-gpu=compute_cap --format=csv,noheader 2>/dev/null)"
  [ -n "$found" ] && echo "${found//./}" || echo 90
}

# prepared_library [path]: say whether the library can be used, or print its path if so.
prepared_library() {
  local known architectures reason=""
  read -r known architectures <<<"$(stamp library)"
  if [ ! -f "$prepared/libadamcore_cuda.a" ]; then
    reason="there is none"
  elif [ "$known" != "$(hash_of "${library_sources[@]}")" ]; then
    reason="it was built from other sources"
  elif [ "${architectures%%[!0-9]*}" -gt "$(capability)" ]; then
    reason="it is for $architectures, and this device is $(capability)"
  fi
  if [ "${1:-}" = path ]; then
    [ -z "$reason" ] && echo "$PWD/$prepared/libadamcore_cuda.a"
  else
    echo "The prepared library is ${reason:+not }used${reason:+: $reason; nvcc compiles everything}."
  fi
}

# The architectures to build for: those of the prepared library, if it is used; else those requested, or the device's.
architectures() {
  if [ -n "$(prepared_library path)" ]; then
    stamp library | cut -d' ' -f2
  else
    echo "${ADAMCORE_CUDA_ARCHITECTURES:-$(capability)}"
  fi
}

# Whether the experiments have been built from these sources; if not, says so.
prepared_experiments() {
  if [ ! -x "$prepared/experiments" ]; then
    echo "The experiments are not prepared: bash bench/gpu.sh prepare"
  elif [ "$(stamp experiments)" != "$(hash_of "${experiments_sources[@]}")" ]; then
    echo "The experiments in $prepared were built from other sources: bash bench/gpu.sh prepare"
  else
    return 0
  fi
  return 1
}

# The commit: from ADAMCORE_COMMIT, from git, or from the preparation, if the sources are still the same.
commit_of_sources() {
  local commit hash
  if [ -n "${ADAMCORE_COMMIT:-}" ]; then
    echo "$ADAMCORE_COMMIT"
  elif git rev-parse --verify --quiet HEAD >/dev/null 2>&1; then
    git describe --always --dirty --abbrev=40 --exclude='*'
  else
    read -r commit hash <<<"$(stamp commit)"
    [ -n "$commit" ] && [ "$hash" != "$(hash_of "${sources[@]}" bench tests)" ] && commit="${commit%-dirty}-dirty"
    echo "${commit:-unknown}"
  fi
}
