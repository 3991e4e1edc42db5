#!/usr/bin/env bash
# Build, test, time and sanitize on a machine with a GPU and without network:
#   bash bench/gpu.sh prepare       first, on a machine without a GPU: compiles what takes long, into .gpu; and the
#                                   Python package too, if an interpreter of the other machine's version follows
#   bash bench/gpu.sh               build, test, experiments, compare: at most 560 seconds
#   bash bench/gpu.sh sanitize      at most 150 seconds; accepts names of tools (initcheck) and of parts (graphs)
#   bash bench/gpu.sh [--json PATH] [test] [experiments] [compare] [sanitize]    some of them
# A part that fails does not stop the others. If OUT is set, this folder gets the record and the logs: gpu.json and at most
# 7 other files. Otherwise the record goes to bench/results, and logs and the build stay in ADAMCORE_GPU_WORK.
# ADAMCORE_GPU_SECONDS limits the total time. ADAMCORE_COMMIT is the commit in the record if there is no git history.
# ADAMCORE_GPU_EMULATION is the folder of the module _emulated, which is then used in place of a GPU, with tiny sizes.
set -uo pipefail
[ -n "${OUT:-}" ] && mkdir -p "$OUT" && OUT="$(cd "$OUT" && pwd)"
cd "$(dirname "$0")/.." || exit
# shellcheck source=bench/device/prepared.sh
. bench/device/prepared.sh

usage() { sed -n '2,12s/^# \{0,1\}//p' bench/gpu.sh && exit 2; }

work="${ADAMCORE_GPU_WORK:-${TMPDIR:-/tmp}/adamcore-gpu}"
json="" parts=() tools=() checks=()
while [ $# -gt 0 ]; do
  case "$1" in
    --json) json="${2:?--json needs a path}" && shift ;;
    prepare) prepare "${2:-}" && exit || exit 1 ;;
    build | test | experiments | sanitize | compare) parts+=("$1") ;;
    memcheck | racecheck | initcheck | synccheck) tools+=("$1") ;;
    *) if [[ "$1" =~ ^[a-z_]+$ ]] && grep -q "^def $1()" tests/gpu/sanitize.py; then checks+=("$1"); else usage; fi ;;
  esac
  shift
done
if [ ${#tools[@]} -gt 0 ] || [ ${#checks[@]} -gt 0 ]; then
  [[ " ${parts[*]} " == *" sanitize "* ]] || parts+=(sanitize)
fi
total=560
[ "${parts[*]:-}" = sanitize ] && total=150
total="${ADAMCORE_GPU_SECONDS:-$total}"
[ ${#parts[@]} -eq 0 ] && parts=(test experiments compare)

site="$work/site" listing="$work/parts.tsv" logs="${OUT:-$work/logs}"
record="${json:-${OUT:-$work}/gpu.json}" experiments="${OUT:-$work}/experiments.json"
if [ -z "${OUT:-}" ]; then
  rm -rf "$logs"
  [ -z "$json" ] && rm -f "$record"
fi
mkdir -p "$work" "$logs"
rm -f "$experiments"*
: >"$listing"
failed=0 running="" child="" logger="" status="" began=0
emulation="${ADAMCORE_GPU_EMULATION:-}"
python=(python3) pytest=(python3 -m pytest)
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export ADAMCORE_EXHAUSTIVE="${ADAMCORE_EXHAUSTIVE:-all}"
if [ -n "$emulation" ]; then
  PYTHONPATH="$PWD/tests:$PYTHONPATH" && export ADAMCORE_EMULATION="$emulation"
  python=(python3 -m emulated) pytest=(python3 -m pytest -p emulated)
fi
ADAMCORE_COMMIT="$(commit_of_sources)" && export ADAMCORE_COMMIT

# device MODULE ARGUMENTS...: a module of bench/device, in a Python of its own.
device() {
  local module="$1"
  shift
  PYTHONPATH="$PWD/bench:$PYTHONPATH" python3 -m "device.$module" "$@"
}

# note NAME STATUS: what a part came to, in the listing and the record.
note() {
  [ "$2" -ne 0 ] && failed=1
  printf '%s\t%s\t%s\n' "$1" "$2" "$((SECONDS - began))" >>"$listing"
  running=""
  device parts "$listing" "$logs" "$record" --experiments "$experiments" && echo "-- $1: $2"
}

left() { echo "$((total - SECONDS))"; }

least() { echo "$(($1 < $2 ? $1 : $2))"; }

# logged NAME: to the screen and to the log of NAME's first word, which ends at 12 MiB: there is a limit to what a
# machine gives back.
logged() {
  (
    trap '' XFSZ
    ulimit -f 12288
    exec tee -a "$logs/${1%%-*}.log"
  )
}

# settled PROCESS SECONDS: whether it has ended by then.
settled() {
  local look
  for ((look = 0; look < 50 * $2; look++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.02
  done
  return 1
}

# run NAME SECONDS COMMAND...: with no more than these seconds, or what is left of all.
run() {
  local name="$1" seconds
  seconds="$(least "$2" "$(left)")"
  shift 2
  began=$SECONDS
  printf '\n== %s (at %ss, %ss at most)\n' "$name" "$SECONDS" "$seconds" | logged "$name"
  if [ "$seconds" -ge 3 ]; then
    rm -f "$work/pipe" && mkfifo "$work/pipe"
    logged "$name" <"$work/pipe" &
    logger=$!
    # SIGINT first, which a script may have been told to ignore: pytest then still says what failed. Once and to pytest
    # alone (--foreground), since a second one, or its workers', would end that.
    running="$name" status=""
    set -m
    env --default-signal=INT timeout --foreground --signal=INT --kill-after=15 "$seconds" "$@" \
      </dev/null >"$work/pipe" 2>&1 &
    child=$!
    set +m
    wait "$child"
    status=$?
    kill -KILL -- "-$child" 2>/dev/null # what is left of its process group, which set -m gave it
    settled "$logger" 5 # what a part has left behind may keep the pipe open
  else
    status=125
  fi
  note "$name" "$status"
  return "$status"
}

# stop STATUS: on a signal. What is known is written first, since the next signal may be SIGKILL.
# shellcheck disable=SC2329  # called by traps, as is finish
stop() {
  trap '' INT TERM HUP
  if [ -n "$running" ] && [ -z "$status" ]; then
    note "$running" "$1"
    kill -INT "$child" 2>/dev/null
    settled "$child" 10
    kill -KILL -- "-$child" 2>/dev/null
    settled "$logger" 5
  elif [ -n "$running" ]; then
    note "$running" "$status"
  fi
  exit "$1"
}

# shellcheck disable=SC2329
finish() {
  local place=()
  [ -z "${OUT:-}$json" ] && place=(--place)
  rm -f "$work/pipe"
  echo
  device parts "$listing" "$logs" "$record" --experiments "$experiments" --show "${place[@]}"
}
trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 143' TERM
trap finish EXIT

build() {
  [ -n "$emulation" ] && return
  if prepared_package; then
    site="$PWD/$prepared/site"
    export PYTHONPATH="$site:$PYTHONPATH"
    echo "The build in $site was prepared from these sources."
    return
  fi
  if [ -f "$work/built" ] && [ "$(cat "$work/built")" = "$(hash_of "${sources[@]}")" ]; then
    echo "The build in $site was made from these sources."
    return
  fi
  rm -rf "$site" "$work/built"
  {
    python3 bench/device/needs.py
    prepared_library
  } 2>&1 | logged build
  install "$site" run build "$1" python3 && hash_of "${sources[@]}" >"$work/built"
}

# Errors of CUDA that stay with a process, and fail every test after the one they come from. (torch mentions device-side
# assertions with every error.)
sticky="illegal (memory access|address|instruction)|misaligned address|unspecified launch failure|assert triggered"

# tests SECONDS SECONDS: for parity, and for all that comes before.
tests() {
  # (pytest-benchmark warns where tests run side by side, and warnings are errors.)
  local name status=0 files=() workers=() options=(-q -rfE --tb=short --maxfail=100 --durations=8 -o faulthandler_timeout=60
    -p no:cacheprovider -p no:benchmark)
  # First what the emulation cannot stand in for; then what it can; files that are not named here last. Graphs have a
  # process of their own: they order replays by event nodes, and if that hung, the rest would be lost.
  run test-graphs "$(least 40 "$1")" "${pytest[@]}" tests/gpu/test_graphs.py "${options[@]}"
  for name in captures streams process lifetimes torch arrays large norms nonfinite layouts; do
    [ -f "tests/gpu/test_$name.py" ] && files+=("tests/gpu/test_$name.py")
  done
  for name in tests/gpu/test_*.py; do
    [[ " ${files[*]} tests/gpu/test_parity.py tests/gpu/test_graphs.py " == *" $name "* ]] || files+=("$name")
  done
  run test "$1" "${pytest[@]}" "${files[@]}" "${options[@]}" || status=$?
  # After such an error, or where a test hung until it was killed, each file gets a process of its own.
  if [ "$status" -eq 137 ] || { [ "$status" -ne 0 ] && grep -qE "$sticky" "$logs/test.log"; }; then
    for name in "${files[@]}"; do
      run "test-$(basename "${name/test_/}" .py)" 30 "${pytest[@]}" "$name" "${options[@]}"
    done
  fi
  python3 -c "import xdist" 2>/dev/null && workers=(-n "$(least 6 "$(nproc)")")
  run test-parity "$2" "${pytest[@]}" tests/gpu/test_parity.py "${options[@]}" "${workers[@]}"
}

# The experiments' binary takes --seconds and --json, and writes that file as it goes; what it needs beside that file
# goes with it.
experiments() {
  [ -n "$emulation" ] && return
  local seconds
  seconds="$(least "$1" "$(left)")"
  began=$SECONDS
  if ! prepared_experiments 2>&1 | logged experiments; then
    note experiments 127
    return
  fi
  run experiments "$1" "$prepared/experiments" --seconds "$((seconds > 15 ? seconds - 10 : 5))" --json "$experiments"
  rm -f "$experiments".*
}

compare() {
  local seconds tiny=()
  [ -n "$emulation" ] && tiny=(--tiny)
  seconds="$(least "$1" "$(($(left) - 25))")"
  # Rounds end in time for the case that is being measured to be written.
  local -x PYTHONPATH="$PWD/bench:$PYTHONPATH"
  run compare "$seconds" "${python[@]}" bench/gpu.py --seconds "$((seconds > 30 ? seconds - 25 : 5))" --json "$record" \
    "${tiny[@]}"
  [ -n "$emulation" ] || run compare-launches 25 python3 -m device.launches "$record"
}

# memcheck over everything, and racecheck over what uses shared memory, unless others are named.
sanitize() {
  local tool checker command=() names=() seconds remaining
  checker="$(PATH="$PATH:/usr/local/cuda/bin" command -v compute-sanitizer)"
  if [ -z "$checker$emulation" ]; then
    began=$SECONDS
    echo "compute-sanitizer is not installed" | logged sanitize
    note sanitize 127
    return
  fi
  [ ${#tools[@]} -eq 0 ] && tools=(memcheck racecheck)
  remaining=${#tools[@]}
  for tool in "${tools[@]}"; do
    names=("${checks[@]}")
    [ ${#checks[@]} -eq 0 ] && [ "$tool" = racecheck ] && names=(clipping scaling many graphs rules)
    command=("$checker" --tool "$tool" --error-exitcode 1 python3)
    [ -n "$emulation" ] && command=("${python[@]}")
    seconds=$(($(left) / remaining))
    [ "$tool" = memcheck ] && [ "$remaining" -gt 1 ] && seconds=$(($(left) * 2 / 3))
    remaining=$((remaining - 1))
    PYTHONPATH="$PWD/tests:$PYTHONPATH" run "sanitize-$tool" "$seconds" "${command[@]}" tests/gpu/sanitize.py "${names[@]}"
  done
}

build 170
for part in "${parts[@]}"; do
  case "$part" in
    test) tests 105 85 ;;
    experiments) experiments 90 ;;
    sanitize) sanitize ;;
    compare) compare 300 ;;
  esac
done
exit "$failed"
