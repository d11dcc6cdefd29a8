#!/usr/bin/env bash
# A program built with one check removed must end badly, for the reason that the table names, where
# the program as it is passes: else something else was caught.
# usage: caught.sh WORDS PROGRAM MUTANT ARGUMENTS...
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.ci/check.sh"
words=$1
program=$2
mutant=$3
shift 3

passes() { timeout 60 "$program" "$@"; }

is_caught() {
  local code=0 output
  output=$(timeout 50 "$mutant" "$@" 2>&1) || code=$?
  ((code != 0)) && grep -qF -- "$words" <<<"$output" && return
  tail -n 20 <<<"$output"
  echo "ended with $code; '$words' was to be said"
  false
}

check 'the program as it is' passes "$@"
check 'the program without the check' is_caught "$@"
finish
