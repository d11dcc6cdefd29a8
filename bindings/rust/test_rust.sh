#!/usr/bin/env bash
# Goal: the crates build without any registry, their own tests pass, what must not compile does
# not, and the README's program takes a backup. Method: cargo --offline --locked against the library
# of the build directory; plain rustc for what must fail, each with the error that it must give.
# usage: test_rust.sh BUILD_DIRECTORY CARGO
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../.ci/check.sh"
. "$here/environment.sh"
use_build "$1" "$2"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -m 700 "$scratch/rendezvous"
export VDSET_RUNTIME_DIR=$scratch/rendezvous
cd "$here"

only_our_crates() {
  [[ $(grep '^name = ' Cargo.lock) == $'name = "vdset"\nname = "vdset-sys"' ]] &&
    ! grep -E '^(source|checksum) = ' Cargo.lock
}

says_its_least_rust() { [[ $(grep -l '^rust-version = "1.63"$' ./*/Cargo.toml | wc -l) == 2 ]]; }

sys_is_no_std() { grep -q '^#!\[no_std\]$' vdset-sys/src/lib.rs; }

builds() {  # Warnings are errors of ours.
  RUSTFLAGS=-Dwarnings "$cargo" check --offline --locked --all-targets \
    --target-dir "$scratch/strict"
}

cargo_test() { "$cargo" test --offline --locked --no-fail-fast >"$scratch/said" 2>&1; }

# Cargo's own counts: one line `test NAME ... ok` for each test, one sum for each program.
counted() {
  awk '/^test result: / { sum += $4 } END { print sum + 0 }' "$scratch/said"
}

measures() {  # The benchmark in miniature; no times.
  local said
  said=$("$cargo" test --quiet --offline --locked -p vdset --bench overhead) || return 1
  (($(grep -c ' round trip.*: Rust .* x C$' <<<"$said") == 3))
}

enough_ran() { (($(counted) >= 30)); }

refuses_without_the_library() {
  local said
  if said=$(PKG_CONFIG_PATH=$scratch "$cargo" build --offline --locked \
    --target-dir "$scratch/without" 2>&1); then
    return 1
  fi
  grep -q 'vdset-sys: install vdset 0.2 or later' <<<"$said"
}

compile() {  # compile FILE: checks it against the crates.
  "$rustc" --edition 2021 --crate-type lib --emit metadata -o "$scratch/out.rmeta" \
    -L "dependency=$CARGO_TARGET_DIR/debug/deps" \
    --extern "vdset=$CARGO_TARGET_DIR/debug/libvdset.rlib" \
    --extern "vdset_sys=$(ls -t "$CARGO_TARGET_DIR"/debug/deps/libvdset_sys-*.rlib | head -n 1)" \
    "$1" >"$scratch/said" 2>&1
}

fails_with() {  # fails_with CODE FILE: with this error and no other.
  ! compile "$2" || return 1
  [[ $(grep -oE '^error\[E[0-9]+\]' "$scratch/said" | sort -u) == "error[$1]" ]] && return
  cat "$scratch/said"
  return 1
}

readme_program() { awk '/^```rust$/ {on = 1; next} /^```$/ {if (on) exit} on' README.md; }

readme_is_short() { (($(readme_program | grep -c .) <= 20)); }

readme_compiles() {
  readme_program >"$scratch/backup.rs"
  "$rustc" --edition 2021 -o "$scratch/backup" -L "dependency=$CARGO_TARGET_DIR/debug/deps" \
    -L "native=$(pkg-config --variable=library vdset)" \
    --extern "vdset=$CARGO_TARGET_DIR/debug/libvdset.rlib" "$scratch/backup.rs"
}

# An engine, the one that the tests of the vdi face have, backs a file up to the README's program.
readme_takes_a_backup() {
  local said
  cd "$scratch"
  head -c 3000000 /dev/urandom >database
  ./backup accounts backup.out >backup.said 2>&1 &
  for _ in {1..200}; do
    [[ -n $(ls -A rendezvous) ]] && break
    sleep 0.05
  done
  said=$("$CARGO_TARGET_DIR/debug/examples/engine" accounts database) || return 1
  wait $! || { cat backup.said; return 1; }
  [[ $said == "engine: 3000000 bytes" ]] || return 1
  head -c 3000000 backup.out | cmp - database
}

check "only our crates are locked" only_our_crates
check "both say which Rust they need" says_its_least_rust
check "vdset-sys is no_std" sys_is_no_std
check "all targets build without a warning" builds
check "without the library the build says what to do" refuses_without_the_library
check "cargo test" cargo_test
if ((failed)); then tail -n 60 "$scratch/said"; fi
check "it ran at least 30 tests" enough_ran
passed=$((passed + $(counted)))
check "the benchmark measures" measures
check "examples are built" "$cargo" build --offline --locked --examples --lib
for file in compile-fail/*.rs; do
  code=$(sed -n '1s,^// error: ,,p' "$file")
  if [[ $code == none ]]; then
    check "$file compiles" compile "$file"
  else
    check "$file: $code" fails_with "$code" "$file"
  fi
done
check "the README's program has at most 20 lines" readme_is_short
check "the README's program compiles" readme_compiles
check "the README's program takes a backup" readme_takes_a_backup
finish
