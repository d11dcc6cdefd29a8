#!/usr/bin/env bash
# ThreadSanitizer over both roles of a device as threads of one mapping: silent over the core as it
# is, and not over one whose completion is published without its order.
# usage: test_race.sh BUILD_DIR. VDSET_TEST_DEEP=N: a million commands N times.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
. .ci/check.sh
build=$1
deep=${VDSET_TEST_DEEP:-0}
commands=$((deep > 0 ? 1000000 * deep : 20000))
mkdir -p "$build"

compile() {  # compile NAME FLAGS...
  local name=$1
  shift
  clang++-16 -std=c++20 -g -O1 -fsanitize=thread -I. -pthread "$@" tests/hostile/race.cpp \
    -o "$build/$name"
}

is_silent() {
  "$build/race" "$commands" >"$build/race.log" 2>&1 && ! grep -q 'WARNING' "$build/race.log"
}

is_told() {
  ! TSAN_OPTIONS=halt_on_error=1 "$build/race_planted" "$commands" >"$build/planted.log" 2>&1 &&
    grep -q 'ThreadSanitizer: data race' "$build/planted.log"
}

check 'compiles' compile race
check 'compiles with the planted race' compile race_planted -DVDSET_PLANTED_RACE
check 'no race in the core' is_silent
check 'the planted race is found' is_told
finish
