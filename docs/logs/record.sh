#!/usr/bin/env bash
# record.sh [NAME...]: makes the logs of this directory anew, all or those named: crash-sweep, soak,
# latency, recall, parked, model, promela, descriptors. An hour on two quiet processors. Only when
# named: bindings; scribble; forged-handles; sanitized; loops [SECONDS]: a million commands through
# each event loop, then a soak, of an hour if nothing else is said.
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

descriptors() {  # A million commands by descriptor, and what a round trip costs.
  build/tests/descriptors/test_descriptors -d \
    -tc='*64 devices and both sides*,*one command at a time*' &&
    build/tests/bench/bench_descriptors
}

event_loops() {  # event_loops SECONDS
  local build=$PWD/build test=tests/loops/test_loops.py
  $test "$build/tests/loops" libuv &&
    tests/loops/build_tokio.sh "$build" $test "$build/tests/loops" tokio &&
    bindings/go/test_go.sh "$build" go wakes &&
    $test "$build/tests/loops" soak "$1"
}

[ $# -gt 0 ] || set -- crash-sweep soak latency recall parked model promela descriptors
set -o pipefail
while [ $# -gt 0 ]; do
  name=$1; shift
  case $name in
    crash-sweep) record "$name" build/tests/crash/test_crash build/tests/crash ;;
    soak | latency) record "$name" build/tests/crash/test_$name build/tests/crash/soak_role ;;
    parked) record "$name" build/tests/crash/test_parked build/tests/crash/parked_role ;;
    recall) record "$name" build/tests/crash/test_recall ;;
    descriptors) record "$name" descriptors ;;
    model) record "$name" build/tests/model/test_model ;;
    bindings) record "$name" python3 tests/bench/bench.py build bindings ;;
    scribble) record "$name" build/tests/hostile/scribble rounds 100000 20261 ;;
    loops)
      seconds=3600
      case ${1-} in [0-9]*) seconds=$1; shift ;; esac
      record "$name" event_loops "$seconds"
      ;;
    forged-handles) record "$name" build/tests/hostile/forged ;;
    sanitized)
      record "$name" tests/hostile/test_sanitized.py build/tests/hostile/sanitized build ;;
    promela) record "$name" tests/model/test_promela.sh tests/model/slot.pml deep ;;
    *) echo "record.sh: no log '$name'" >&2; exit 2 ;;
  esac
done
