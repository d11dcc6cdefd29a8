#!/usr/bin/env bash
# What OSS-Fuzz runs in its container: every harness but the canary, statically, with its corpus.
# CXX, CXXFLAGS, LIB_FUZZING_ENGINE and OUT are the container's; test_oss_fuzz.sh has others.
set -euo pipefail
[[ -f fuzz/fuzz_attach.cpp ]] || cd "${SRC:?}/vdset"

flags="-std=c++20 -O1 -g -D_GNU_SOURCE -I. -Iabi/include"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for source in abi/*.cpp abi/port/posix/*.cpp; do
  # shellcheck disable=SC2086 # Flags are words.
  $CXX ${CXXFLAGS-} $flags -Wno-invalid-offsetof -c "$source" -o "$work/${source//\//_}.o"
done
ar rcs "$work/libvdset.a" "$work"/*.o

for harness in fuzz/fuzz_*.cpp; do
  name=$(basename "$harness" .cpp)
  [[ $name != fuzz_canary ]] || continue
  extra=()
  if [[ $name == fuzz_stream ]]; then
    extra=(bindings/cli/bytes.cpp bindings/cli/failure.cpp bindings/cli/stream.cpp
      -DFMT_HEADER_ONLY -DXXH_INLINE_ALL)
  fi
  # shellcheck disable=SC2086
  $CXX ${CXXFLAGS-} $flags "$harness" "${extra[@]}" $LIB_FUZZING_ENGINE "$work/libvdset.a" \
    -lpthread -o "$OUT/$name"
  (cd "fuzz/corpora/${name#fuzz_}" && python3 -m zipfile -c "$OUT/${name}_seed_corpus.zip" ./*)
done
