#!/usr/bin/env bash
# What the Go binding costs over C: runs TestOverhead of overhead_test.go.
# usage: overhead.sh BUILD_DIRECTORY
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./environment.sh
use_build "$1" go
"$go" test -count=1 -v -run '^TestOverhead$' . | sed -n 's/^.*_test.go:[0-9]*: //p'
