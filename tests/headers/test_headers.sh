#!/usr/bin/env bash
# Goal: vdset.h stands alone in every language mode and says something about every call; libvdset.so
# exports what it declares and nothing else. Method: compilers, nm, and the text of the header.
# usage: test_headers.sh HEADER SHARED_LIBRARY
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/check.sh"
header=$1
library=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

warnings=(-Wall -Wextra -Wpedantic -Werror -Wconversion -Wshadow -Wundef)
c_warnings=(-Wstrict-prototypes -Wmissing-prototypes)

# Declared calls: every declaration begins a line with VDSET_API.
declared() { grep -oP '^VDSET_API\b[^(]*\b\K\w+(?=\()' "$header" | sort; }

exported() { nm -D --defined-only "$library" | awk '$2 != "A" {print $3}'; }

compiles() {  # compiles COMPILER LANGUAGE STANDARD: alone, twice, and every call can be named.
  local source=$scratch/alone.$2 call
  {
    printf '#include <vdset.h>\n#include <vdset.h>\n'
    printf 'typedef void (*any_call)(void);\nextern const any_call every_call[];\n'
    printf 'const any_call every_call[] = {\n'
    for call in $(declared); do printf '  (any_call)%s,\n' "$call"; done
    printf '};\n'
  } >"$source"
  local more=()
  [[ $2 != c ]] || more=("${c_warnings[@]}")
  "$1" -x "$2" -std="$3" "${warnings[@]}" "${more[@]}" -Wno-cast-function-type \
    -I"$(dirname "$header")" -c "$source" -o "$scratch/alone.o"
  # By itself, as the only file of a compilation: nothing it needs may come from elsewhere.
  "$1" -x "$2" -std="$3" "${warnings[@]}" "${more[@]}" -fsyntax-only "$header"
}

same_names() { diff <(declared) <(exported | sed 's/@.*//' | sort); }

# Every export carries a version node, as its default version; none is newer than the header.
versioned() {
  local minor node
  [[ -n $(exported) ]] || return 1
  ! exported | grep -Ev '@@VDSET_0\.[0-9]+$' || return 1
  minor=$(awk '$2 == "VDSET_VERSION_MINOR" {print $3}' "$header")
  for node in $(exported | sed 's/.*@@VDSET_0\.//' | sort -u); do
    ((node <= minor)) || return 1
  done
}

enough_declared() { (($(declared | wc -l) >= 30)); }

none_twice() { [[ -z $(declared | uniq -d) ]]; }

commented() {  # commented CALL: a comment ends on the line just above its declaration.
  awk -v call="$1" '
    /^VDSET_API/ && index($0, call "(") { found = 1; good = before ~ /\*\/[ ]*$/ }
    { before = $0 }
    END { exit !(found && good) }' "$header"
}

alone_with() {  # alone_with C_COMPILER CXX_COMPILER
  local standard
  for standard in c99 c11 c17; do check "$1 -std=$standard" compiles "$1" c "$standard"; done
  for standard in c++11 c++14 c++17 c++20; do
    check "$2 -std=$standard" compiles "$2" c++ "$standard"
  done
}

alone_with gcc g++
alone_with "$(first_of clang-16 clang)" "$(first_of clang++-16 clang++)"
check "the header declares the calls" enough_declared
check "no call is declared twice" none_twice
check "the library exports the declared calls and nothing else" same_names
check "every export carries a node, none newer than the header" versioned
for call in $(declared); do check "$call has no comment just above it" commented "$call"; done
finish
