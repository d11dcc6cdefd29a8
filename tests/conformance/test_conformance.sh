#!/usr/bin/env bash
# Goal: one list of scenarios holds through every face of the library: C, C++ and the bindings of
# Rust and Go. Method: builds the bindings' faces, then main.cpp runs the list through all.
# usage: test_conformance.sh BUILD_DIRECTORY [--deep] [--only PART_OF_A_NAME]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1
rust=$("$here/../mixed/build_rust.sh" "$build" face)
go=$("$here/../mixed/build_go.sh" "$build" face)
export LD_LIBRARY_PATH=$build/abi:$build/bindings/vdi
exec "$build/tests/conformance/test_conformance" --face c --face pull --face vdi \
  --face "rust=$rust" --face "go=$go" "${@:2}"
