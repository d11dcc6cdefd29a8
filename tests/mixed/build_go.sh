#!/usr/bin/env bash
# Builds the role program in Go, or the face that the conformance suite loads, against the library
# of a build directory; prints where it is.
# usage: build_go.sh BUILD_DIRECTORY [face]
set -euo pipefail
binding=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../bindings/go" && pwd)
. "$binding/environment.sh"
use_build "$1" go
cd "$binding"
if [[ ${2:-role} == face ]]; then
  out=$1/bindings/go/libface.so
  "$go" build -buildmode=c-shared -o "$out" ./cmd/face >&2
else
  out=$1/bindings/go/role
  "$go" build -o "$out" ./cmd/role >&2
fi
echo "$out"
