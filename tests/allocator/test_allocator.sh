#!/usr/bin/env bash
# Goal: a host program keeps its own malloc although libvdset.so brings mimalloc; the library's own
# objects do come from mimalloc. Method: one program, linked as C, linked as C++, and loading the
# library at run time, asks the dynamic linker and mimalloc itself.
# usage: test_allocator.sh SHARED_LIBRARY INCLUDE_DIRECTORY
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../.ci/check.sh"
library=$(realpath "$1")
include=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -m 700 "$scratch/rendezvous"
export VDSET_RUNTIME_DIR=$scratch/rendezvous
unset LD_PRELOAD

flags=(-O1 -Wall -Wextra -Werror "-I$include")
against=("-L$(dirname "$library")" -lvdset "-Wl,-rpath,$(dirname "$library")")
check "builds as C" gcc -std=c99 "${flags[@]}" "$here/host.c" "${against[@]}" -o "$scratch/linked-c"
check "builds as C++" g++ -x c++ -std=c++20 "${flags[@]}" "$here/host.c" -x none "${against[@]}" \
  -o "$scratch/linked-c++"
check "builds for dlopen" gcc -std=c99 -DBY_DLOPEN "${flags[@]}" "$here/host.c" -o "$scratch/loaded"

for program in linked-c linked-c++ loaded; do
  for question in symbols new blocks objects; do
    check "$program, $question" timeout 60 "$scratch/$program" "$library" "$question"
    check "$program, $question, bound at start" \
      env LD_BIND_NOW=1 timeout 60 "$scratch/$program" "$library" "$question"
  done
done
finish
