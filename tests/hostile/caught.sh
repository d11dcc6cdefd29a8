#!/usr/bin/env bash
# A program built with one check removed must end badly, for the reason that the table names.
# usage: caught.sh WORDS PROGRAM ARGUMENTS...
set -euo pipefail
words=$1
shift
code=0
output=$(timeout 60 "$@" 2>&1) || code=$?
if ((code != 0)) && grep -qF -- "$words" <<<"$output"; then
  echo '1 passed, 0 failed'
  exit
fi
tail -n 20 <<<"$output"
echo "ended with $code; '$words' was to be said"
echo '0 passed, 1 failed'
exit 1
