#!/usr/bin/env bash
# record.sh [NAME...]: makes the logs of this directory anew, all or those named: crash-sweep, soak,
# latency, recall, parked, model, promela; bindings and scribble when named. An hour on two quiet
# processors.
# The first line of each says of which commit and by which command, the second how busy the machine
# was.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
logs=docs/logs
export VDSET_TEST_DEEP=${VDSET_TEST_DEEP:-1}

record() {  # record NAME COMMAND...
  local name=$1 commit load; shift
  commit=$(git log -1 --format=%h -- . ":!$logs")
  [ -z "$(git status --porcelain -uno -- . ":!$logs")" ] || commit="$commit and changes"
  read -r load _ </proc/loadavg
  {
    echo "$commit: VDSET_TEST_DEEP=$VDSET_TEST_DEEP $*"
    echo "$(nproc) processors, load $load at the beginning"
    "$@" 2>&1 | grep -v '^\[doctest\] \(doctest\|run\)'
  } >"$logs/$name.txt.new" || {
    cat "$logs/$name.txt.new"
    echo "record.sh: $name failed" >&2
    exit 1
  }
  mv "$logs/$name.txt.new" "$logs/$name.txt"
  tail -n 1 "$logs/$name.txt"
}

[ $# -gt 0 ] || set -- crash-sweep soak latency recall parked model promela
set -o pipefail
for name; do
  case $name in
    crash-sweep) record "$name" build/tests/crash/test_crash build/tests/crash ;;
    soak | latency) record "$name" build/tests/crash/test_$name build/tests/crash/soak_role ;;
    parked) record "$name" build/tests/crash/test_parked build/tests/crash/parked_role ;;
    recall) record "$name" build/tests/crash/test_recall ;;
    model) record "$name" build/tests/model/test_model ;;
    bindings) record "$name" python3 tests/bench/bench.py build bindings ;;
    scribble) record "$name" build/tests/hostile/scribble rounds 100000 20261 ;;
    promela) record "$name" tests/model/test_promela.sh tests/model/slot.pml deep ;;
    *) echo "record.sh: no log '$name'" >&2; exit 2 ;;
  esac
done
