# What Go needs to build against the library of a build directory; sourced by the tests.
#   use_build BUILD_DIRECTORY GO   sets the environment, and `go` and `gofmt` to that pair
use_build() {
  local build=$1
  if ! go=$(command -v "$2"); then
    echo "$2 is missing: install Debian's package golang-go" >&2
    return 1
  fi
  gofmt=$("$go" env GOROOT)/bin/gofmt
  [[ -x $gofmt ]] || gofmt=$(dirname "$go")/gofmt
  export VDSET_GO=$go
  export PKG_CONFIG_PATH=$build/bindings/go LD_LIBRARY_PATH=$build/abi
  export VDSET_PARITY_TABLE=$build/tests/parity/vdset.tsv
  # Nothing is fetched, and nothing is written outside of the build directory.
  export GOPROXY=off GOENV=off GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
  export GOPATH=$build/bindings/go/path GOCACHE=$build/bindings/go/cache
  unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR GOROOT GODEBUG GOEXPERIMENT CGO_ENABLED
}
