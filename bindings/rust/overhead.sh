#!/usr/bin/env bash
# What the Rust binding costs over C: runs vdset/benches/overhead.rs.
# usage: overhead.sh BUILD_DIRECTORY
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./environment.sh
use_build "$1" cargo
"$cargo" bench --quiet --offline --locked -p vdset --bench overhead
