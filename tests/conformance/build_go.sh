#!/usr/bin/env bash
# Builds the face in Go against the library of a build directory, prints where it is.
# usage: build_go.sh BUILD_DIRECTORY
set -euo pipefail
binding=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../bindings/go" && pwd)
. "$binding/environment.sh"
use_build "$1" go
cd "$binding"
"$go" build -buildmode=c-shared -o "$1/bindings/go/libface.so" ./cmd/face >&2
echo "$1/bindings/go/libface.so"
