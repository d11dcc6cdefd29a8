#!/usr/bin/env bash
# The demonstration itself, with a small database: what it claims is checked by what it prints.
# usage: test_demo.sh TOOL
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../.ci/check.sh"
export VDSET_TOOL=$1
demo=$here/../../bindings/cli/demo.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT

says() { grep -E -- "$1" "$log"; }

succeeds() { "$demo" --size 8 >"$log" 2>&1 || { cat "$log"; false; }; }
check "the demonstration succeeds" succeeds
check "both databases come back identical" test "$(grep -c 'is identical: integrity ok' "$log")" = 2
check "handles were passed, and a backup copies nothing" says \
  '[1-9][0-9]* handles passed; copied through private memory: none'
check "a restore says how much it copies" test \
  "$(grep -c 'handles passed; copied through private memory: [1-9].* MiB' "$log")" = 2
check "nothing is left behind" says 'nothing is left in shared memory'
check "a bad size is refused" bash -c '! "$1" --size 0 && ! "$1" --speed 9' - "$demo"
finish
