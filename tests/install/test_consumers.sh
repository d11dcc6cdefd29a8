#!/usr/bin/env bash
# Goal: programs outside the tree find vdset in every customary way: pkg-config, CMake's
# find_package, a Meson subproject. Method: install into a staging directory, build a C and a C++
# program there, and run them. usage: test_consumers.sh BUILD_DIRECTORY
#
# A binding in another language adds its consumer at the end, by a function of its own.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$root/.ci/check.sh"
build=$(realpath "$1")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir -m 700 rendezvous
export VDSET_RUNTIME_DIR=$scratch/rendezvous
unset LD_LIBRARY_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR CMAKE_PREFIX_PATH

stage() {
  DESTDIR=$scratch/staged meson install -C "$build" --no-rebuild --quiet &&
    mv "staged$(meson introspect "$build" --buildoptions | python3 -c '
import json, sys
print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')" prefix
}

example_from_readme() {
  awk '/^```c$/ {on = 1; next} /^```$/ {if (on) exit} on' "$root/README.md" >example.c
  grep -q '^int main(' example.c
}

config() { PKG_CONFIG_PATH=$scratch/prefix/lib/pkgconfig pkg-config "$@"; }

says() {  # says WORDS PROGRAM
  local said
  said=$(LD_LIBRARY_PATH=$scratch/prefix/lib timeout 60 "$2") || { echo "$said"; return 1; }
  [[ $said == "$1" ]]
}

backs_up() {  # backs_up PROGRAM
  rm -f backup
  LD_LIBRARY_PATH=$scratch/prefix/lib timeout 60 "$1" database backup && cmp database backup
}

head -c 2000384 /dev/urandom >database
check "meson install into a staging directory" stage
check "the README has an example" example_from_readme
cp "$here/consumer.cpp" .

# ---- pkg-config: C in shared and static form is in test_install.sh.
# shellcheck disable=SC2046  # pkg-config's words are meant to be split.
pkg_config_cpp() {
  g++ -std=c++17 -Wall -Wextra -Werror consumer.cpp $(config --cflags --libs vdset) -o by_config
}
check "pkg-config: a C++ program is built" pkg_config_cpp
check "pkg-config: it runs" says "told of the abort" ./by_config

# ---- CMake
cmake_project() {
  mkdir cmake && cp "$here/cmake/CMakeLists.txt" example.c consumer.cpp cmake/ &&
    cmake -G Ninja -S cmake -B cmake/build -DCMAKE_PREFIX_PATH="$scratch/prefix" &&
    cmake --build cmake/build
}
cmake_refuses_later() {  # That a version which is not there is not found.
  sed -i 's/find_package(vdset 0\.1/find_package(vdset 99/' cmake/CMakeLists.txt
  ! cmake -G Ninja -S cmake -B cmake/later -DCMAKE_PREFIX_PATH="$scratch/prefix"
}
check "CMake: find_package and four programs" cmake_project
for kind in vdset static; do
  check "CMake: the C program runs ($kind)" backs_up "cmake/build/c_$kind"
  check "CMake: the C++ program runs ($kind)" says "told of the abort" "cmake/build/cpp_$kind"
done
check "CMake: a version that is too new is refused" cmake_refuses_later

# ---- Meson
meson_project() {
  mkdir -p meson/subprojects && cp "$here/subproject/meson.build.in" meson/meson.build &&
    cp example.c consumer.cpp meson/ && mkdir meson/subprojects/vdset &&
    tar -C "$root" --exclude='./build*' --exclude=./.git -cf - . |
    tar -C meson/subprojects/vdset -xf - &&
    meson setup -Doptimization=0 meson/build meson && meson compile -C meson/build
}
check "Meson: vdset as a subproject" meson_project
check "Meson: the C program runs" backs_up meson/build/example
check "Meson: the C++ program runs" says "told of the abort" meson/build/consumer

# ---- Other languages: Rust, Go

finish
