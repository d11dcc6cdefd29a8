#!/usr/bin/env bash
# Goal: a Go program outside the tree builds against what `./dev install PREFIX` lays out, shared
# and static, and runs. Method: a module in a scratch directory that names the installed module by
# its folder, go without a proxy; the installed sources cannot be written to.
# usage: test_go_outside.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/.ci/check.sh"
. "$root/bindings/go/environment.sh"
use_build "$root/build" go
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir -m 700 rendezvous
export VDSET_RUNTIME_DIR=$scratch/rendezvous PKG_CONFIG_PATH=$scratch/prefix/lib/pkgconfig
unset LD_LIBRARY_PATH

lay_out_module() {
  chmod -R a-w prefix/share/vdset
  mkdir outside
  cat >outside/go.mod <<'END'
module outside

go 1.19

require vdset v0.0.0

replace vdset => ../prefix/share/vdset/go
END
  cat >outside/main.go <<'END'
package main

import (
  "context"
  "fmt"
  "vdset"
)

func try[T any](value T, err error) T {
  if err != nil {
    panic(err)
  }
  return value
}

func main() {
  set := try(vdset.Create("outside", vdset.Config{DeviceCount: 1}, nil))
  server := try(vdset.OpenServer("outside", nil))
  try(0, server.BeginConfiguration(vdset.BaseConfiguration{Features: vdset.WriteMedia,
    BlockBytes: 512, MaxTransferBytes: 65536}))
  try(0, server.RequestBuffers(65536, 0, 1))
  try(0, server.EndConfiguration())
  engine := try(server.OpenDevice("outside"))
  buffer := try(server.AllocateBuffer(65536, 0))
  buffer.Bytes()[65535] = 7
  try(0, engine.SendCommand(&vdset.ServerCommand{Code: vdset.CommandWrite, Size: 65536,
    Buffer: buffer}))
  try(0, engine.Close())
  device := try(set.OpenDevice("outside"))
  try(0, device.ForEach(context.Background(), func(command vdset.Command) error {
    fmt.Printf("%d bytes, the last is %d\n", command.Size(), command.Buffer()[65535])
    return command.Complete(vdset.Success, command.Size())
  }))
  try(0, server.RunCompletionAgent(context.Background()))
  try(0, server.Close())
  try(0, set.Close())
}
END
}

build() { (cd outside && "$go" build -o "../$1" .); }

# With the shared library out of sight, the linker must take the archive.
build_static() {
  cp -a prefix onlystatic
  rm -f onlystatic/lib/libvdset.so*
  PKG_CONFIG_PATH=$scratch/onlystatic/lib/pkgconfig CGO_LDFLAGS="-lstdc++ -lpthread" build static
}

says_so() { [[ $(timeout 60 "./$1") == "65536 bytes, the last is 7" ]]; }

says_so_shared() { LD_LIBRARY_PATH=$scratch/prefix/lib says_so shared; }

needs() { objdump -p "$1" | awk '$1 == "NEEDED" {print $2}' | grep '^libvdset\.so\.' >/dev/null; }

needs_not() { ! needs "$1"; }

# Also those that only another version of Go takes.
every_source() {
  diff <(cd "$root/bindings/go" && ls ./*.go | grep -v '_test\.go$') \
    <(cd prefix/share/vdset/go && ls ./*.go)
}

check "./dev install" "$root/dev" install "$scratch/prefix"
check "every source is installed" every_source
check "a module outside" lay_out_module
check "it builds, shared" build shared
check "it needs libvdset.so" needs shared
check "it runs, shared" says_so_shared
check "it builds, static" build_static
check "it needs no libvdset.so" needs_not static
check "it runs, static" says_so static
finish
