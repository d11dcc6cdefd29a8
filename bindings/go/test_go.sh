#!/usr/bin/env bash
# Goal: the Go binding works, is clean for Go's own judges, and uses memory as cgo demands. Method:
# gofmt, vet, and every Go test: under the race detector; once more without it, for what it hides.
# usage: test_go.sh BUILD_DIRECTORY GO [cgocheck|wakes]
#   cgocheck: with cgo's expensive checks of every pointer, instead
#   wakes: a million commands that are waited for in Go's poller, N million with VDSET_TEST_DEEP=N;
#     over the library with slices of a minute, where a wake that is lost ends the patience
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../.ci/check.sh"
. "$here/environment.sh"
use_build "$1" "$2"
cd "$here"

formatted() { [[ -z $("$gofmt" -l .) ]] || { "$gofmt" -d . && false; }; }

# go_tests WORDS...: counts each test of a run; one that was left out counts as failed.
go_tests() {
  local log good=0 bad=0 code=0
  log=$(mktemp)
  "$go" test -count=1 -v "$@" ./... >"$log" 2>&1 || code=$?
  good=$(grep -c '^ *--- PASS: ' "$log") || true
  bad=$(grep -cE '^ *--- (FAIL|SKIP): ' "$log") || true
  ((code == 0 || bad > 0)) || bad=1
  ((good > 0 || bad > 0)) || bad=1
  ((bad == 0)) || cat "$log"
  grep -hE 'round trip|threads while' "$log" || true
  rm -f "$log"
  passed=$((passed + good))
  failed=$((failed + bad))
}

"$go" version
if [[ ${3-} == cgocheck ]]; then
  # Since Go 1.21 the build decides.
  if GOEXPERIMENT=cgocheck2 "$go" version >/dev/null 2>&1; then
    export GOEXPERIMENT=cgocheck2
  else
    export GODEBUG=cgocheck=2
  fi
  go_tests
elif [[ ${3-} == wakes ]]; then
  export LD_LIBRARY_PATH=$1/tests/loops
  export VDSET_TEST_WAKES=$((1000000 * ${VDSET_TEST_DEEP:-1}))
  go_tests -timeout 30m -run NoWakeIsLost
  echo "$VDSET_TEST_WAKES commands"
else
  check "gofmt" formatted
  check "go vet" "$go" vet ./...
  go_tests -race
  go_tests -run 'Garbage|Overhead|Threads|Readme'
fi
finish
