#!/usr/bin/env bash
# Each goal of each harness is missed by a corpus that gets nowhere, and said to be.
# usage: test_goals.sh DIRECTORY_OF_REPLAYERS
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
. .ci/check.sh
programs=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/corpus"
: >"$scratch/corpus/nothing"

goals_of() { grep -oP '\bGoal \w+\("\K[^"]*' "fuzz/fuzz_$1.cpp"; }

has_goals() { goals_of "$1" | grep -q .; }

misses_all() {
  ! "$programs/fuzz_$1" "$scratch/corpus" >"$scratch/said" || return 1
  diff <(goals_of "$1" | sort) <(sed -n 's/^no input gets to: //p' "$scratch/said" | sort)
}

for harness in $(cd fuzz && ls fuzz_*.cpp | sed 's/^fuzz_//; s/\.cpp$//'); do
  [[ $harness != canary ]] || continue
  check "$harness has goals" has_goals "$harness"
  check "$harness misses them all" misses_all "$harness"
done
finish
