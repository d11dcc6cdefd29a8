#!/usr/bin/env bash
# Every harness for a bounded time, from its checked-in corpus, under clang's sanitizers; then the
# canary, whose planted bug must be found in the same time.
# usage: test_bounded.sh BUILD_DIR. VDSET_TEST_DEEP=N: N minutes each instead of seconds.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
. .ci/check.sh
build=$1
deep=${VDSET_TEST_DEEP:-0}
seconds=$((deep > 0 ? 60 * deep : 5))
harnesses=$(cd fuzz && ls fuzz_*.cpp | sed 's/^fuzz_//; s/\.cpp$//')
targets=$(sed 's|.*|fuzz/fuzz_&|' <<<"$harnesses")

set_up() {
  [[ -f $build/build.ninja ]] ||
    CC=clang-16 CXX=clang++-16 meson setup "$build" -Dfuzz=true --buildtype=debugoptimized \
      -Db_ndebug=false -Db_lundef=false -Db_sanitize=address,undefined \
      -Dc_args=-fsanitize=fuzzer-no-link -Dcpp_args=-fsanitize=fuzzer-no-link
  # shellcheck disable=SC2086 # One word for each target.
  ninja -C "$build" $targets
}

fuzz() {  # fuzz NAME: its new inputs stay in the build directory.
  mkdir -p "$build/corpus/$1"
  local code=0 dictionary=()
  [[ ! -f fuzz/dictionaries/$1.dict ]] || dictionary=(-dict="fuzz/dictionaries/$1.dict")
  "$build/fuzz/fuzz_$1" "${dictionary[@]}" -max_total_time="$seconds" -timeout=25 \
    -print_final_stats=1 -artifact_prefix="$build/$1-" "$build/corpus/$1" "fuzz/corpora/$1" \
    >"$build/$1.log" 2>&1 || code=$?
  # On a busy machine the corpus alone may take the time: once more, with ten times as much.
  if ((code == 0 && $(new_inputs "$1") == 0 && ${2:-0} == 0)); then
    seconds=$((seconds * 10)) fuzz "$1" 1
    return
  fi
  echo "$code" >"$build/$1.code"
}

finds_nothing() {
  [[ $(<"$build/$1.code") == 0 ]] || { tail -n 40 "$build/$1.log" && false; }
}

finds_the_canary() {
  fuzz canary
  [[ $(<"$build/canary.code") != 0 ]] &&
    grep -q 'ERROR: AddressSanitizer' "$build/canary.log"
}

new_inputs() {  # new_inputs NAME: how many it ran beyond its corpus.
  local executed known
  executed=$(sed -n 's/^stat::number_of_executed_units: //p' "$build/$1.log")
  known=$(sed -n 's/^#\([0-9]*\)[[:space:]]*INITED.*/\1/p' "$build/$1.log")
  echo $((${executed:-0} - ${known:-${executed:-0}}))
}

ran() {  # A harness that ran nothing but its corpus has shown what the replay shows.
  echo "$1: $(new_inputs "$1") new inputs"
  (($(new_inputs "$1") > 0))
}

check 'the harnesses build with clang and sanitizers' set_up
under_way=0
for name in $harnesses; do
  [[ $name != canary ]] || continue
  fuzz "$name" &
  ((++under_way % 2)) || wait  # Two at a time.
done
wait
for name in $harnesses; do
  [[ $name != canary ]] || continue
  check "$name finds nothing; see $build/$name.log" finds_nothing "$name"
  check "$name ran" ran "$name"
done
check 'the planted bug is found' finds_the_canary
finish
