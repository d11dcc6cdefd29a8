#!/usr/bin/env bash
# Deep tier: OSS-Fuzz's build script, with Debian's clang in the place of the container's: every
# harness comes out, with its corpus, and gets through it.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
. .ci/check.sh
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT
export OUT CXX=clang++-16 LIB_FUZZING_ENGINE=-fsanitize=fuzzer
export CXXFLAGS='-fsanitize=fuzzer-no-link,address'

runs() {  # runs NAME: through the corpus in the archive.
  mkdir -p "$OUT/corpus/$1"
  python3 -m zipfile -e "$OUT/fuzz_$1_seed_corpus.zip" "$OUT/corpus/$1"
  "$OUT/fuzz_$1" -runs=0 "$OUT/corpus/$1"
}

check 'the build script runs' fuzz/oss-fuzz/build.sh
for name in $(cd fuzz && ls fuzz_*.cpp | sed 's/^fuzz_//; s/\.cpp$//'); do
  [[ $name == canary ]] || check "$name" runs "$name"
done
finish
