# Sourced by the scripts beside it: a milestone each, one line a point that a command can show.
# `ok 1 ...` or `FAILED 1 ...`; what a point's commands printed is in .work/acceptance/<milestone>/. `$1` is a single point.
# shellcheck shell=bash
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
make --silent .venv/ready services || exit 1

readonly LOGS=.work/acceptance/${0##*/} BIN=$PWD/.venv/bin ONLY=${1:-}
mkdir -p "$LOGS"
number=0 failed=0

point() { # what it shows, then the command that shows it
  local shows=$1
  shift
  number=$((number + 1))
  [[ -z $ONLY || $ONLY == "$number" ]] || return 0
  if "$@" >"$LOGS/$number.log" 2>&1; then
    echo "ok $number $shows"
  else
    failed=1
    echo "FAILED $number $shows: see $LOGS/$number.log"
  fi
}

tests() { "$BIN/pytest" -q -o faulthandler_timeout=300 "$@"; }

# Runs a command without settings of its own environment; it has to end with this code.
ends_with() {
  local expected=$1 code=0
  shift
  env -u PROJECTOR_KAFKA_BOOTSTRAP_SERVERS -u PROJECTOR_REDIS_URL "$@" || code=$?
  [[ $code == "$expected" ]] || { echo "exit code $code, not $expected"; return 1; }
}
