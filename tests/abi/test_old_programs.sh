#!/usr/bin/env bash
# Goal: a program that was built with an earlier version runs with today's libraries. Method: that
# version's headers and symbols are kept in a folder of its number; the programs are compiled
# against the headers, linked against libraries that have the symbols and nothing else, and run with
# those of the build. usage: test_old_programs.sh BUILD_DIRECTORY
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../.ci/check.sh"
build=$(realpath "$1")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir -m 700 rendezvous
export VDSET_RUNTIME_DIR=$scratch/rendezvous

headers() {  # headers VERSION: under their own names again.
  local file
  for file in "$here/$1"/*.h.in "$here/$1"/sqlvdi/*.h.in; do
    cp "$file" "$1/include/$(basename "$file" .in)"
  done
}

# A library with these symbols that ends whoever calls one. Each line: NAME or NAME@@NODE.
stand_in() {  # stand_in SYMBOLS SONAME OUTPUT
  local options=()
  sed 's/@@.*//; s/.*/void &(void) { __builtin_trap(); }/' "$1" >stand_in.c
  awk -F'@@' 'NF == 2 { node[$2] = node[$2] "    " $1 ";\n" }
    END { for (n in node) printf "%s {\n  global:\n%s};\n", n, node[n] }' "$1" >stand_in.map
  [[ ! -s stand_in.map ]] || options=(-Wl,--version-script=stand_in.map)
  gcc -shared -fPIC -w stand_in.c -Wl,-soname,"$2" "${options[@]}" -o "$3"
}

runs() {  # runs PROGRAM: with today's libraries.
  local said
  said=$(LD_LIBRARY_PATH=$build/abi:$build/bindings/vdi timeout 60 "$1") ||
    { echo "$said"; return 1; }
  [[ $said == "as before" ]]
}

# That no symbol is bound to a node that the old version did not have.
asks_only_for() {  # asks_only_for PROGRAM NODE
  local nodes
  nodes=$(nm -D --undefined-only "$1" | grep -oE '@VDSET_[0-9.]+' | sort -u)
  [[ $nodes == "@$2" ]]
}

traps() {  # The stand-ins are what was linked: with them a program ends at its first call.
  ! LD_LIBRARY_PATH=$scratch/$1/lib "./$1/backup" >/dev/null 2>&1
}

for version in 0.1; do
  mkdir -p "$version/include" "$version/lib"
  check "$version: headers" headers "$version"
  check "$version: libvdset.so of its symbols" \
    stand_in "$here/$version/libvdset.symbols" libvdset.so.0 "$version/lib/libvdset.so"
  cp "$version/lib/libvdset.so" "$version/lib/libvdset.so.0"
  check "$version: libsqlvdi.so of its symbols" \
    stand_in "$here/$version/libsqlvdi.symbols" libsqlvdi.so "$version/lib/libsqlvdi.so"
  check "$version: a C program is built" gcc -std=c99 -O1 -Wall -Wextra -Werror \
    -Wno-missing-field-initializers -I"$version/include" "$here/old_backup.c" -L"$version/lib" \
    -lvdset -pthread -o "$version/backup"
  check "$version: a C++ program is built" g++ -std=c++11 -O1 -Wall -Wextra -Werror \
    -I"$version/include" "$here/old_client.cpp" -L"$version/lib" -lsqlvdi -pthread \
    -o "$version/client"
  check "$version: the C program asks for VDSET_$version alone" \
    asks_only_for "$version/backup" "VDSET_$version"
  check "$version: its own libraries are empty" traps "$version"
  check "$version: the C program runs with today's library" runs "$version/backup"
  check "$version: the C++ program runs with today's library" runs "$version/client"
done
finish
