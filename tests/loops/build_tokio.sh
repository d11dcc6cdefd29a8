#!/usr/bin/env bash
# Builds docs/examples/tokio from the system's packages of crates, against the library of a build
# directory; its programs land in BUILD_DIRECTORY/tests/loops as tokio-agent and tokio-engine. Then
# runs COMMAND.
# usage: build_tokio.sh BUILD_DIRECTORY [COMMAND...]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/.ci/check.sh"
. "$root/bindings/rust/environment.sh"
build=$(cd "$1" && pwd)
shift
# The system's crates fit the system's compiler best; where it has none, any since 1.63.
use_build "$build" "$(first_of /usr/bin/cargo cargo)"
loops=$build/tests/loops
crates=/usr/share/cargo/registry

has_crates() { compgen -G "$crates/tokio-1.*" && compgen -G "$crates/futures-util-0.3.*"; }

if ! has_crates >/dev/null; then
  echo "FAILED: tokio and futures-util are not in $crates: install Debian's packages" \
    "librust-tokio-dev and librust-futures-util-dev"
  echo "0 passed, 1 failed"
  exit 1
fi

# A copy, because cargo writes a Cargo.lock beside Cargo.toml: anew, with the versions that the
# system has today, whatever another build or the user's own has locked.
copy=$loops/tokio
target=$copy/target-${CARGO_TARGET_DIR##*-}
mkdir -p "$copy"
rm -rf "$copy/src" "$copy/Cargo.lock"
cp -R "$root/docs/examples/tokio/Cargo.toml" "$root/docs/examples/tokio/src" "$copy"
sed -i "s|\.\./\.\./\.\./bindings|$root/bindings|" "$copy/Cargo.toml"
(cd "$copy" && RUSTFLAGS=-Dwarnings "$cargo" build --quiet --offline --target-dir "$target" \
  --config 'source.crates-io.replace-with="debian"' \
  --config "source.debian.directory=\"$crates\"" >&2)
for role in agent engine; do
  # Anew, so that a program which still runs is not written to.
  cp --remove-destination "$target/debug/$role" "$loops/tokio-$role"
done
(($# == 0)) || exec "$@"
