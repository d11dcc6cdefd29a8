#!/usr/bin/env bash
# Builds the face in Rust against the library of a build directory, prints where it is.
# usage: build_rust.sh BUILD_DIRECTORY
set -euo pipefail
binding=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../bindings/rust" && pwd)
. "$binding/environment.sh"
use_build "$1" cargo
cd "$binding"
"$cargo" build --quiet --offline --locked --example face >&2
echo "$CARGO_TARGET_DIR/debug/examples/libface.so"
