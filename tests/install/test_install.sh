#!/usr/bin/env bash
# Goal: what `./dev install PREFIX` lays out is complete, moves anywhere, and lets a stranger build
# and run a C program. Method: install into a scratch directory, move it, build the README's example
# there through pkg-config, shared and static, and run it.
# usage: test_install.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/.ci/check.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir -m 700 rendezvous
export VDSET_RUNTIME_DIR=$scratch/rendezvous
unset LD_LIBRARY_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR

is_file() { [[ -f $1 && -s $1 ]]; }

# Only what is ours, so that a library of the build machine cannot stand in.
config() { PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config "$@"; }

config_is_of_the_prefix() {
  [[ $(realpath "$(config --variable=prefix vdset)") == "$(realpath "$prefix")" ]]
}

same_version() {
  local number="" part
  for part in MAJOR MINOR PATCH; do
    number+=.$(awk -v name="VDSET_VERSION_$part" '$2 == name {print $3}' "$prefix/include/vdset.h")
  done
  [[ $(config --modversion vdset) == "${number#.}" ]]
}

soname_link() {
  local soname
  soname=$(objdump -p "$prefix/lib/libvdset.so" | awk '$1 == "SONAME" {print $2}')
  [[ $soname == libvdset.so.* && -f $prefix/lib/$soname ]]
}

no_path_of_the_build() { ! grep -rlF "$root" "$prefix/lib/pkgconfig" "$prefix/include"; }

nothing_unasked() {
  [[ -z $(find "$prefix" -type d \( -name '*-linux-gnu*' -o -name lib64 \)) ]]
}

example_from_readme() {
  awk '/^```c$/ {on = 1; next} /^```$/ {if (on) exit} on' "$root/README.md" >example.c
  grep -q '^int main(' example.c
}

# shellcheck disable=SC2046  # pkg-config's words are meant to be split.
build_shared() {
  gcc -std=c99 -Wall -Wextra -Werror example.c $(config --cflags --libs vdset) -o shared
}

build_static() {  # With the shared library out of sight, the linker must take the archive.
  cp -a "$prefix" onlystatic
  rm -f onlystatic/lib/libvdset.so*
  gcc -std=c99 -Wall -Wextra -Werror example.c \
    $(PKG_CONFIG_PATH=$scratch/onlystatic/lib/pkgconfig pkg-config --static --cflags --libs vdset) \
    -o static
}

example_is_short() { (($(grep -c . example.c) <= 30)); }

runs_identical() {  # runs_identical PROGRAM
  rm -f backup
  LD_LIBRARY_PATH=$prefix/lib timeout 60 "./$1" database backup && cmp database backup
}

needs() { objdump -p "$1" | awk '$1 == "NEEDED" {print $2}' | grep "$2" >/dev/null; }

needs_not() { ! needs "$1" "$2"; }

static_leaves_malloc_alone() { ! config --static --libs vdset | grep mimalloc; }

# By whatever name, and by whatever path: a link elsewhere finds its library, too.
front_door_speaks() {  # front_door_speaks PROGRAM
  [[ $(timeout 20 "$1" -h -1 -W -Q 'SET NOCOUNT ON SELECT 40') == 40 ]]
}

tool_speaks() { timeout 20 "$prefix/bin/vdset" --help | grep backup >/dev/null; }

check "./dev install" "$root/dev" install "$scratch/first"
check "./dev install again, over the first" "$root/dev" install "$scratch/first"
mv first moved
prefix=$scratch/moved
for file in include/vdset.h lib/libvdset.so lib/libvdset.a lib/pkgconfig/vdset.pc bin/vdset \
  include/sqlvdi/{vdi,vdierror,vdi_server}.h lib/libsqlvdi.so lib/pkgconfig/sqlvdi.pc \
  libexec/vdset/{sqlcmd,osql} share/vdset/go/go.mod share/vdset/rust/vdset/Cargo.toml; do
  check "installed: $file" is_file "$prefix/$file"
done
check "nothing in a directory of one architecture" nothing_unasked
check "libvdset.so has a versioned soname that is there" soname_link
check "vdset.pc follows a moved prefix" config_is_of_the_prefix
check "vdset.pc has the header's version" same_version
check "no path of the build tree is installed" no_path_of_the_build
check "the README has an example" example_from_readme
check "it has at most 30 lines" example_is_short
head -c 2000384 /dev/urandom >database  # 30 buffers and a half, in whole blocks.
check "the example builds, shared" build_shared
check "it needs libvdset.so" needs shared '^libvdset\.so\.'
check "the example runs, shared" runs_identical shared
check "the example builds, static" build_static
check "it needs no libvdset.so" needs_not static '^libvdset\.so'
check "it needs no mimalloc" needs_not static mimalloc
check "the example runs, static" runs_identical static
check "the static flags leave malloc alone" static_leaves_malloc_alone
check "the installed tool runs from its new place" tool_speaks
check "sqlcmd runs from its new place" front_door_speaks "$prefix/libexec/vdset/sqlcmd"
check "osql runs from its new place" front_door_speaks "$prefix/libexec/vdset/osql"
ln -s "$prefix/libexec/vdset/sqlcmd" elsewhere
check "a link to sqlcmd runs from anywhere" front_door_speaks ./elsewhere
check "no other sqlcmd is hidden: bin has vdset alone" test "$(ls "$prefix/bin")" = vdset
finish
