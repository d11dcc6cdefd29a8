# What cargo needs to build against the library of a build directory; sourced by the tests.
#   use_build BUILD_DIRECTORY CARGO   sets the environment, and `cargo` and `rustc` to that pair
use_build() {
  local build=$1
  if ! cargo=$(command -v "$2"); then
    echo "$2 is missing: install Debian's packages cargo and rustc" >&2
    return 1
  fi
  # Debian's cargo would take any rustc of the path.
  rustc=rustc
  [[ $cargo != /usr/bin/* ]] || rustc=/usr/bin/rustc
  export RUSTC=$rustc
  [[ $rustc != /usr/bin/* ]] || export RUSTDOC=/usr/bin/rustdoc
  export PKG_CONFIG_PATH=$build/bindings/rust LD_LIBRARY_PATH=$build/abi
  export VDSET_PARITY_TABLE=$build/tests/parity/vdset.tsv
  # One for each compiler, so that neither has to build anew what the other built.
  export CARGO_TARGET_DIR=$build/bindings/rust/target-$("$rustc" --version | cut -d' ' -f2)
  # No registry is asked for anything.
  export CARGO_NET_OFFLINE=true
  unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR CARGO_BUILD_TARGET RUSTFLAGS
}
