#!/usr/bin/env bash
# Build, test, sanitize and compare on a machine with a GPU and without network:
#   bash bench/gpu.sh [--json PATH] [build] [test] [sanitize] [compare]      (all four, if none is named)
# A part that fails does not stop the others. ADAMCORE_GPU_SECONDS is the time for everything, ADAMCORE_GPU_WORK where
# the build and the logs are kept, ADAMCORE_COMMIT what a record names where git's history is not there.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

work="${ADAMCORE_GPU_WORK:-${TMPDIR:-/tmp}/adamcore-gpu}"
site="$work/site" logs="$work/logs" listing="$work/parts.tsv"
total="${ADAMCORE_GPU_SECONDS:-530}"
json="" parts=()
while [ $# -gt 0 ]; do
  case "$1" in
    --json) json="${2:?--json needs a path}" && shift ;;
    build | test | sanitize | compare) parts+=("$1") ;;
    *) sed -n '2,5s/^# \{0,1\}//p' "$0" && exit 2 ;;
  esac
  shift
done
whole=no
[ ${#parts[@]} -eq 0 ] && whole=yes && parts=(build test sanitize compare)

rm -rf "$logs"
mkdir -p "$logs"
: >"$listing"
failed=0
export PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# run NAME SECONDS COMMAND...: with no more than these seconds, or what is left of all.
run() {
  local name="$1" seconds="$2" left=$((total - SECONDS)) began=$SECONDS status=125
  shift 2
  [ "$left" -lt "$seconds" ] && seconds="$left"
  printf '\n== %s (at %ss, %ss at most)\n' "$name" "$SECONDS" "$seconds"
  if [ "$seconds" -ge 5 ]; then
    timeout --kill-after=10 "$seconds" "$@" 2>&1 | tee "$logs/$name.log"
    status=${PIPESTATUS[0]}
  fi
  [ "$status" -ne 0 ] && failed=1
  printf '%s\t%s\t%s\n' "$name" "$status" "$((SECONDS - began))" >>"$listing"
  return "$status"
}

sources() {
  find CMakeLists.txt pyproject.toml README.md LICENSE cmake cpp cuda python -type f -not -name '*.pyc' -print0 |
    sort -z | xargs -0 sha256sum | sha256sum
}

architecture() {
  local capability
  capability="$(nvidia-smi --id=0 --query-gpu=compute_cap --format=csv,noheader 2>/dev/null)"
  [ -n "$capability" ] && echo "${capability//./}" || echo 90
}

build() {
  if [ -f "$work/built" ] && [ "$(cat "$work/built")" = "$(sources)" ]; then
    echo "the build in $site is of these sources"
    return
  fi
  rm -rf "$site" "$work/built"
  local jobs
  jobs="$(nproc)"
  ADAMCORE_CUDA=ON ADAMCORE_CUDA_ARCHITECTURES="${ADAMCORE_CUDA_ARCHITECTURES:-$(architecture)}" \
    CMAKE_BUILD_PARALLEL_LEVEL="$jobs" run build "$1" \
    python3 -m pip install --no-build-isolation --no-deps --no-index --no-cache-dir --verbose --target "$site" . &&
    sources >"$work/built"
}

tests() {
  run test "$1" python3 -m pytest tests/gpu -q --maxfail=25 --durations=8 -p no:cacheprovider
}

sanitize() {
  local tool checker
  checker="$(PATH="$PATH:/usr/local/cuda/bin" command -v compute-sanitizer)"
  if [ -z "$checker" ]; then
    echo "compute-sanitizer is not installed" | tee "$logs/sanitize.log"
    printf 'sanitize\t127\t0\n' >>"$listing"
    failed=1
    return
  fi
  for tool in memcheck racecheck initcheck synccheck; do
    PYTHONPATH="$PYTHONPATH:$PWD/tests" run "sanitize-$tool" "$1" \
      "$checker" --tool "$tool" --error-exitcode 1 python3 tests/gpu/sanitize.py
  done
}

compare() {
  local left=$((total - SECONDS)) seconds="$1"
  [ "$left" -lt "$seconds" ] && seconds="$left"
  # Rounds end in time for the case that is being measured to be written.
  run compare "$seconds" python3 bench/gpu.py --seconds "$((seconds - 25))" --json "$work/compare.json"
}

rm -f "$work/compare.json"
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
if [ "$whole" = yes ]; then build 170; else build 400; fi
for part in "${parts[@]}"; do
  case "$part" in
    test) if [ "$whole" = yes ]; then tests 120; else tests 400; fi ;;
    sanitize) if [ "$whole" = yes ]; then sanitize 40; else sanitize 130; fi ;;
    compare) compare 235 ;;
  esac
done

echo
PYTHONPATH="$PWD/bench" python3 -m device.parts "$listing" "$logs" "$work/compare.json" "${json:--}" || failed=1
exit "$failed"
