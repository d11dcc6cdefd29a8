#!/usr/bin/env bash
# Builds docs/examples/tokio from Debian's packages of crates, against the library of a build
# directory; its programs land in BUILD_DIRECTORY/tests/loops as tokio-agent and tokio-engine. Then
# runs COMMAND.
# usage: build_tokio.sh BUILD_DIRECTORY CARGO [COMMAND...]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/bindings/rust/environment.sh"
use_build "$1" "$2"
loops=$1/tests/loops
shift 2
crates=/usr/share/cargo/registry
if [[ ! -d $crates ]]; then
  echo "there are no crates in $crates: install librust-tokio-dev, librust-futures-util-dev" >&2
  exit 1
fi

# A copy: cargo writes the versions that Debian has into a Cargo.lock beside Cargo.toml.
copy=$loops/tokio
target=$copy/target-${CARGO_TARGET_DIR##*-}
mkdir -p "$copy"
cp -R "$root/docs/examples/tokio/." "$copy"
sed -i "s|\.\./\.\./\.\./bindings|$root/bindings|" "$copy/Cargo.toml"
(cd "$copy" && RUSTFLAGS=-Dwarnings "$cargo" build --quiet --offline --target-dir "$target" \
  --config 'source.crates-io.replace-with="debian"' \
  --config "source.debian.directory=\"$crates\"" >&2)
for role in agent engine; do
  # Anew, so that a program which still runs is not written to.
  cp --remove-destination "$target/debug/$role" "$loops/tokio-$role"
done
(($# == 0)) || exec "$@"
