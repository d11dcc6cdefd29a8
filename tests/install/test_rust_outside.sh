#!/usr/bin/env bash
# Goal: a Rust program outside the tree builds against what `./dev install PREFIX` lays out, shared
# and static, and runs. Method: a project in a scratch directory that names the installed crates by
# path, cargo without a registry; the installed sources cannot be written to.
# usage: test_rust_outside.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/.ci/check.sh"
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir -m 700 rendezvous
export VDSET_RUNTIME_DIR=$scratch/rendezvous CARGO_NET_OFFLINE=true
unset LD_LIBRARY_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR CARGO_TARGET_DIR RUSTFLAGS

lay_out_project() {
  chmod -R a-w prefix/share/vdset
  mkdir -p outside/src
  cat >outside/Cargo.toml <<'END'
[package]
name = "outside"
version = "1.0.0"
edition = "2021"

[dependencies]
vdset = { path = "../prefix/share/vdset/rust/vdset" }
END
  cat >outside/src/main.rs <<'END'
use vdset::*;

fn main() -> Result<()> {
    let set = Set::create("outside", &Config::new(1))?;
    let server = Server::open("outside")?;
    server.begin_configuration(&ServerConfig::new(Features::WRITE_MEDIA))?;
    server.request_buffers(65536, 0, 1)?;
    server.end_configuration()?;
    let sender = server.open_device("outside")?;
    let mut buffer = server.allocate(65536, 0)?;
    buffer.fill(7);
    sender.send(Order::write(buffer))?;
    sender.close()?;
    for command in set.open_device("outside")? {
        if let Command::Write(write) = command? {
            println!("{} bytes of {}", write.len(), write.data()[65535]);
            write.complete()?;
        }
    }
    Ok(())
}
END
}

build() {  # build TARGET [NAME=VALUE]...
  env PKG_CONFIG_PATH="$scratch/prefix/lib/pkgconfig" "${@:2}" cargo build --quiet --offline \
    --manifest-path outside/Cargo.toml --target-dir "$1"
}

says_so() {  # says_so TARGET [NAME=VALUE]...
  [[ $(env "${@:2}" timeout 60 "$1/debug/outside") == "65536 bytes of 7" ]]
}

needs_no_shared() { ! objdump -p static/debug/outside | grep -q 'NEEDED.*libvdset'; }

check "./dev install" "$root/dev" install "$scratch/prefix"
check "a project outside" lay_out_project
check "it builds, shared" build shared
check "it runs, shared" says_so shared "LD_LIBRARY_PATH=$scratch/prefix/lib"
check "it builds, static" build static VDSET_STATIC=1
check "it needs no libvdset.so" needs_no_shared
check "it runs, static" says_so static
finish
