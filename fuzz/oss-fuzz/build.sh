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

cli=(bindings/cli/{bytes,failure,stream}.cpp -DFMT_HEADER_ONLY -DXXH_INLINE_ALL)
for harness in fuzz/fuzz_*.cpp; do
  name=$(basename "$harness" .cpp)
  [[ $name != fuzz_canary ]] || continue
  extra=() libraries=()
  case $name in
    fuzz_stream) extra=("${cli[@]}") ;;
    fuzz_device_file)
      extra=("${cli[@]}" bindings/cli/{codec,descriptor,device_file,device_frame,device_reader}.cpp)
      libraries=(-l:libzstd.a)
      ;;
    fuzz_tsql)
      extra=(bindings/sqlcmd/{description,lexer,request,script,tsql,tsql_options}.cpp -Ibindings
        -DFMT_HEADER_ONLY)
      ;;
  esac
  # shellcheck disable=SC2086
  $CXX ${CXXFLAGS-} $flags "$harness" "${extra[@]}" $LIB_FUZZING_ENGINE "$work/libvdset.a" \
    "${libraries[@]}" -lpthread -o "$OUT/$name"
  dictionary=fuzz/dictionaries/${name#fuzz_}.dict
  [[ ! -f $dictionary ]] || cp "$dictionary" "$OUT/$name.dict"
  (cd "fuzz/corpora/${name#fuzz_}" && python3 -m zipfile -c "$OUT/${name}_seed_corpus.zip" ./*)
done
