#!/usr/bin/env bash
# Builds the role program in Rust, or the face that the conformance suite loads, against the library
# of a build directory; prints where it is.
# usage: build_rust.sh BUILD_DIRECTORY [face]
set -euo pipefail
binding=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../bindings/rust" && pwd)
. "$binding/environment.sh"
use_build "$1" cargo
cd "$binding"
what=${2:-role}
"$cargo" build --quiet --offline --locked --example "$what" >&2
[[ $what == role ]] || what=lib$what.so
echo "$CARGO_TARGET_DIR/debug/examples/$what"
