#!/usr/bin/env bash
# Goal: clients written for Microsoft's Linux interface compile unchanged against what is installed,
# link with its flags, and carry a file there and back. Method: an installed tree in a scratch
# directory; two compilers; a small engine beside them (engine.cpp).
# usage: test_vdi.sh SOURCE_DIRECTORY BUILD_DIRECTORY
set -euo pipefail
here=$1
build=$2
. "$here/../../.ci/check.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -m 700 "$scratch/rendezvous"
export VDSET_RUNTIME_DIR=$scratch/rendezvous
unset LD_LIBRARY_PATH VDSET_VDI_GETCOMMAND_UNIT VDSET_VDI_DIAGNOSTICS
vendor_flags=(-luuid -lrt -lpthread -lsqlvdi)

names_19="_ZN19ClientVirtualDeviceC1Ev
_ZN19ClientVirtualDeviceC2Ev
_ZN19ClientVirtualDeviceD1Ev
_ZN19ClientVirtualDeviceD2Ev
_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command
_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml
_ZN22ClientVirtualDeviceSetC1Ev
_ZN22ClientVirtualDeviceSetC2Ev
_ZN22ClientVirtualDeviceSetD1Ev
_ZN22ClientVirtualDeviceSetD2Ev
_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig
_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig
_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice
_ZN22ClientVirtualDeviceSet5CloseEv
_ZN22ClientVirtualDeviceSet11SignalAbortEv
_ZN22ClientVirtualDeviceSet15OpenInSecondaryEPc
_ZN22ClientVirtualDeviceSet15GetBufferHandleEPhPj
_ZN22ClientVirtualDeviceSet15MapBufferHandleEiPPh
_ZN22ClientVirtualDeviceSet20RegisterDeviceClosedEv"

install_tree() {
  DESTDIR=$scratch/stage meson install -C "$build" --no-rebuild --quiet
  prefix=$(dirname "$(dirname "$(find "$scratch/stage" -name libsqlvdi.so)")")
}

exports() { nm -D --defined-only "$prefix/lib/libsqlvdi.so" | awk '{print $3}' | sort; }

exports_the_19() {
  [[ -z $(comm -23 <(sort <<<"$names_19") <(exports)) && $(wc -l <<<"$names_19") -eq 19 ]]
}

exports_nothing_else() {
  local more
  more=$(comm -13 <(sort <<<"$names_19") <(exports) |
    grep -vE '^_ZN(19ServerVirtualDevice|22ServerVirtualDeviceSet)|^VD(Client|Server)[A-Z]') || true
  echo "$more"
  [[ -z $more ]]
}

# What an object that uses every member asks for.
asks_for_no_more() {
  local asked
  asked=$(nm --undefined-only "$1" | awk '$2 ~ /Virtual/ {print $2}' | sort)
  [[ $(wc -l <<<"$asked") -eq 15 && -z $(comm -13 <(sort <<<"$names_19") <(echo "$asked")) ]]
}

soname_is() { objdump -p "$prefix/lib/libsqlvdi.so" | grep -qE '^ *SONAME +libsqlvdi\.so$'; }

# The library's neighbour is found from anywhere, by the linker and at run time.
runpath_is_origin() {
  objdump -p "$prefix/lib/libsqlvdi.so" | grep -qE "^ *RUNPATH +.ORIGIN$"
}

needs_no_cxx_library() {
  ! objdump -p "$prefix/lib/libsqlvdi.so" | grep -qE 'NEEDED +lib(std)?c\+\+'
}

warnings=(-Wall -Wextra -Werror -Wno-sign-compare -Wno-unused-parameter)

compiles_alone() {  # compiles_alone COMPILER STANDARD HEADER
  local dir
  for dir in "$prefix/include/sqlvdi" "$prefix/include"; do
    printf '#include <%s>\n#include <%s>\n' "$3" "$3" >"$scratch/alone.cpp"
    [[ $dir == */sqlvdi ]] || sed -i 's,<,<sqlvdi/,' "$scratch/alone.cpp"
    "$1" -std="$2" -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -I"$dir" \
      -fsyntax-only "$scratch/alone.cpp"
  done
}

# Both ways to name the header, the vendor's flags, and the library found beside the program's own.
compile_client() {  # compile_client COMPILER NAME
  local out=$scratch/$1-$2
  "$1" -std=c++11 "${warnings[@]}" -I"$prefix/include/sqlvdi" "$here/$2.cpp" -o "$out" \
    -L"$prefix/lib" "${vendor_flags[@]}"
  sed 's,"\(vdi[a-z_]*\.h\)",<sqlvdi/\1>,' "$here/$2.cpp" >"$scratch/$2.cpp"
  "$1" -std=c++11 "${warnings[@]}" -I"$prefix/include" "$scratch/$2.cpp" -o "$out" \
    -L"$prefix/lib" "${vendor_flags[@]}"
}

compile_layout() {  # compile_layout COMPILER
  "$1" -std=c++11 "${warnings[@]}" -I"$prefix/include/sqlvdi" -c "$here/layout.cpp" \
    -o "$scratch/layout-$1.o"
}

config() {
  PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --define-prefix "$@" sqlvdi
}

# shellcheck disable=SC2046  # pkg-config's words are meant to be split.
compile_by_pkg_config() {
  g++ -std=c++11 "$here/engine.cpp" -o "$scratch/by-pkg-config" -pthread $(config --cflags --libs)
}

# The header as the vendor's sample names it, and in angle brackets.
# shellcheck disable=SC2046
sample_by_pkg_config() {
  grep -q '^#include "vdi.h"$' "$here/published_client.cpp" || return 1
  sed 's,"\(vdi[a-z]*\.h\)",<\1>,' "$here/published_client.cpp" >"$scratch/angle.cpp"
  grep -q '^#include <vdi.h>$' "$scratch/angle.cpp" || return 1
  for source in "$here/published_client.cpp" "$scratch/angle.cpp"; do
    g++ -std=c++11 "$source" -o "$scratch/sample" $(config --cflags --libs-only-L) \
      "${vendor_flags[@]}" || return 1
  done
}

# shellcheck disable=SC2046
compile_races() {
  g++ -std=c++11 "$here/racing_opens.cpp" -o "$scratch/races" -pthread $(config --cflags --libs)
}

run() { LD_LIBRARY_PATH=$prefix/lib timeout 60 "$@"; }

engine() { printf "'%s' %s %s '%s'" "$scratch/by-pkg-config" "$1" "$2" "$3"; }

there_and_back() {  # there_and_back COMPILER CLIENT DEVICES
  local client=$scratch/$1-$2 saved=$scratch/saved-$1-$2- out=$scratch/out-$1-$2
  local to="" from="" where=("$3")
  if [[ $2 == published_client ]]; then
    to=B from=R where=()
  fi
  run "$client" ${to:+"$to"} "${where[@]}" "$saved" "$(engine backup "$3" "$scratch/database")"
  run "$client" ${from:+"$from"} "${where[@]}" "$saved" "$(engine restore "$3" "$out")"
  cmp "$scratch/database" "$out"
}

readme_program() {  # readme_program LANGUAGE README: its first block.
  awk -v open='```'"$1" '$0 == open {on = 1; next} /^```$/ {if (on) exit} on' "$2"
}

has_at_most_20_lines() { (($(readme_program "$@" | grep -c .) <= 20)); }

# shellcheck disable=SC2046
compile_readme() {  # compile_readme LANGUAGE README
  readme_program "$@" >"$scratch/backup.$1" || return 1
  if [[ $1 == c ]]; then
    gcc -std=c99 -Wall -Wextra -Werror "$scratch/backup.c" -o "$scratch/backup-c" \
      $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --define-prefix --cflags --libs vdset)
  else
    g++ -std=c++11 -Wall -Wextra -Werror "$scratch/backup.cpp" -o "$scratch/backup-cpp" \
      $(config --cflags --libs)
  fi
}

# The engine's stream is its header and then the file, in whole blocks.
readme_takes_a_backup() {  # readme_takes_a_backup LANGUAGE
  run "$scratch/backup-$1" "readme-$1" "$scratch/kept-$1" &
  for _ in {1..200}; do
    [[ -z $(ls "$scratch/rendezvous") ]] || break
    sleep 0.05
  done
  run "$scratch/by-pkg-config" backup 1 "$scratch/database" "readme-$1" || return 1
  wait $! || return 1
  tail -c +513 "$scratch/kept-$1" | head -c "$(stat -c %s "$scratch/database")" |
    cmp - "$scratch/database"
}

# A server that dies at once: the client must end, and say so.
fails_with_the_server() {
  local code=0
  run "$scratch/g++-published_client" B "$scratch/nothing" \
    "$(engine backup 2 "$scratch/database")" >"$scratch/said" 2>&1 || code=$?
  ((code != 0 && code != 124)) && grep -qi '8077000[34]' "$scratch/said"
}

speaks_when_asked() {
  ! grep -q sqlvdi: "$scratch/said" || return 1
  VDSET_VDI_DIAGNOSTICS=1 run "$scratch/g++-published_client" B "$scratch/nothing" \
    "$(engine backup 2 "$scratch/database")" >"$scratch/said" 2>&1 || true
  grep -q '^sqlvdi: ClientVirtualDeviceSet::GetConfiguration: VD_E_ABORT' "$scratch/said"
}

nothing_left() { [[ -z $(ls "$scratch/rendezvous") ]]; }

check "the build can be installed" install_tree
prefix=$(dirname "$(dirname "$(find "$scratch/stage" -name libsqlvdi.so)")")
head -c 7654321 /dev/urandom >"$scratch/database"
check "the 19 names are exported" exports_the_19
check "nothing is exported beyond the server's half" exports_nothing_else
check "the soname has no version" soname_is
check "the neighbour is found by ORIGIN" runpath_is_origin
check "no C++ library is needed" needs_no_cxx_library
check "pkg-config knows sqlvdi" compile_by_pkg_config
check "pkg-config finds vdi.h, in quotes and in angle brackets" sample_by_pkg_config
for compiler in g++ "$(first_of clang++-16 clang++)"; do
  check "layouts with $compiler" compile_layout "$compiler"
  check "an object asks for no other names, $compiler" asks_for_no_more \
    "$scratch/layout-$compiler.o"
  for standard in c++11 c++14 c++17 c++20; do
    for header in vdi.h vdierror.h vdi_server.h; do
      check "$header alone, $compiler -std=$standard" \
        compiles_alone "$compiler" "$standard" "$header"
    done
  done
  for client in published_client.cpp threaded_client.cpp process_client.cpp; do
    client=${client%.cpp}
    devices=5
    [[ $client != published_client ]] || devices=1
    check "$client compiles with $compiler" compile_client "$compiler" "$client"
    check "$client, $compiler: there and back" there_and_back "$compiler" "$client" "$devices"
  done
done
for readme in "c $here/../../abi/README.md" "cpp $here/../../bindings/vdi/README.md"; do
  read -r language file <<<"$readme"
  check "the program in $language has at most 20 lines" has_at_most_20_lines "$language" "$file"
  check "the program in $language compiles" compile_readme "$language" "$file"
  check "the program in $language takes a backup" readme_takes_a_backup "$language"
done
check "64 devices, threads" there_and_back g++ threaded_client 64
check "16 devices, processes" there_and_back g++ process_client 16
check "a program of threads that open one object compiles" compile_races
check "of two that open one object one does" run "$scratch/races"
check "a server that fails ends the client" fails_with_the_server
check "diagnostics only when asked for" speaks_when_asked
check "nothing is left behind" nothing_left
finish
