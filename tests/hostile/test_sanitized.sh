#!/usr/bin/env bash
# Deep tier: the unit, process and conformance suites, the impostors and 2,000 N scribbled rounds
# under gcc's address and undefined-behaviour sanitizers; the corpora under valgrind (which knows
# neither pidfds nor futex_waitv, and is too slow for the watchdogs of the other tests).
# usage: test_sanitized.sh BUILD_DIR ORDINARY_BUILD_DIR
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
. .ci/check.sh
build=$1
ordinary=$2
deep=${VDSET_TEST_DEEP:-1}
targets='tests/unit/test_core_unit tests/unit/test_abi_unit tests/unit/test_faults
  tests/process/role tests/process/role_faults tests/process/test_process
  tests/conformance/test_conformance tests/hostile/test_impostors tests/hostile/scribble'
# A process that is killed cannot report leaks, and its roles are. Who writes into what is read-only
# is to die of it as everywhere.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:handle_segv=0:handle_sigbus=0
export UBSAN_OPTIONS=halt_on_error=1

set_up() {
  [[ -f $build/build.ninja ]] ||
    meson setup "$build" --buildtype=debugoptimized -Db_ndebug=false -Db_sanitize=address,undefined
  # shellcheck disable=SC2086 # One word for each target.
  ninja -C "$build" $targets
}

suite() {  # suite NAME: without the tests of the deep tier, which would call themselves.
  VDSET_TEST_DEEP=0 meson test -C "$build" --no-rebuild --no-suite deep --suite "$1" \
    --timeout-multiplier 5
}

under_valgrind() {
  valgrind --quiet --error-exitcode=9 --exit-on-first-error=yes "$ordinary/fuzz/fuzz_$1" \
    "fuzz/corpora/$1"
}

check 'builds under the sanitizers' set_up
check 'unit suite' suite unit
check 'process suite' suite process
check 'conformance' "$build/tests/conformance/test_conformance"
check 'impostors' "$build/tests/hostile/test_impostors"
check 'scribbled rounds' "$build/tests/hostile/scribble" rounds $((2000 * deep))
for name in attach handles messages names peer recovery stream; do
  check "corpus $name under valgrind" under_valgrind "$name"
done
finish
