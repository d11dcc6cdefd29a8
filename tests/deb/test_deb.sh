#!/usr/bin/env bash
# Goal: the Debian packages build, are what the archive expects, and serve a machine that has
# nothing else. Method: dpkg-buildpackage over a copy of the tree, lintian, and a new minimal root
# of the machine's own Debian source, in which the packages are installed, used and purged.
# usage: test_deb.sh (as root; about five minutes)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/.ci/check.sh"
scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
cd "$scratch"
version=$(dpkg-parsechangelog -l "$root/debian/changelog" -S Version)
upstream=${version%-*}
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
packages=(libvdset0 libvdset-dev vdset-tools vdset-sqlvdi vdset-sqlvdi-dev)

same_version() {  # The changelog, the build and the header agree.
  grep -qx "  version: '$upstream'," "$root/meson.build"
}

build() {
  mkdir "vdset-$upstream" &&
    tar -C "$root" --exclude='./build*' --exclude=./.git -cf - . |
    tar -C "vdset-$upstream" -xf - &&
    tar --exclude="vdset-$upstream/debian" -cJf "vdset_$upstream.orig.tar.xz" "vdset-$upstream" &&
    (cd "vdset-$upstream" &&
      DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" DEB_BUILD_PROFILES=nocheck \
      dpkg-buildpackage -us -uc)
}

deb() { echo "$scratch/${1}_${version}_"*.deb; }

# To the end of the list: who is written to must not be gone.
holds() { dpkg-deb -c "$(deb "$1")" | awk '{print $6}' | grep -x "\./$2" >/dev/null; }

judged_clean() {
  lintian --allow-root --fail-on error,warning --suppress-tags "$1" ./vdset_"$version"_*.changes
}

# What hardening=+all asks for, seen in the files.
hardened() {  # hardened FILE
  readelf -dW "$1" | grep -q BIND_NOW && readelf -lW "$1" | grep -q GNU_RELRO &&
    ! readelf -lW "$1" | grep GNU_STACK | grep -q 'RWE' && ! readelf -dW "$1" | grep -q RUNPATH
}
all_hardened() {
  mkdir files && dpkg-deb -x "$(deb libvdset0)" files && dpkg-deb -x "$(deb vdset-tools)" files &&
    dpkg-deb -x "$(deb vdset-sqlvdi)" files &&
    hardened "files/usr/lib/$triplet/libvdset.so.$upstream" && hardened files/usr/bin/vdset &&
    hardened "files/usr/lib/$triplet/vdset/libsqlvdi.so" &&
    readelf -hW files/usr/bin/vdset | grep -q 'DYN (Position-Independent'
}

# The machine's first source: a mirror and a code name.
source_of() {
  apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
    grep -Ev -- '-(updates|security|backports)$' | head -n 1
}

new_root() {
  local mirror suite
  read -r mirror suite < <(source_of)
  debootstrap --variant=minbase "$suite" "$scratch/clean" "$mirror" &&
    apt-config dump Acquire::http::Proxy >"$scratch/clean/etc/apt/apt.conf.d/99proxy" &&
    cp /etc/resolv.conf /etc/hosts "$scratch/clean/etc/" && mkdir "$scratch/clean/debs" &&
    cp ./*.deb "$scratch/clean/debs/"
}

# In the new root, with nothing of this environment. Its /proc is mounted for this process alone and
# ends with it, so that removing the root never meets a mount.
inside() {  # inside COMMAND
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv DEBIAN_FRONTEND=noninteractive \
    unshare --mount sh -ec 'mount -t proc proc "$1/proc" && exec chroot "$1" sh -ec "$2"' \
    sh "$scratch/clean" "$1"
}

files_outside() {  # What packages left behind; apt's own notes do not count.
  inside 'find /usr /etc /run -xdev \( -name "*vdset*" -o -name "*sqlvdi*" \)' | sort
}

run_tools() {
  inside 'apt-get update -qq && apt-get install -y -qq --no-install-recommends \
      /debs/libvdset0_*.deb /debs/vdset-tools_*.deb sqlite3 && vdset --version' &&
    inside 'cd /srv && sqlite3 one.db "create table t(x); with recursive n(i) as (select 1 union
        all select i + 1 from n where i < 20000) insert into t select hex(randomblob(40)) from n" &&
      vdset backup one.db --to kept --devices 2 --processes --quiet && vdset verify kept &&
      vdset restore kept --to two.db --quiet &&
      sqlite3 one.db .dump >one && sqlite3 two.db .dump >two && cmp one two'
}

build_example() {
  awk '/^```c$/ {on = 1; next} /^```$/ {if (on) exit} on' "$root/README.md" \
    >"$scratch/clean/srv/example.c"
  inside 'apt-get install -y -qq --no-install-recommends /debs/libvdset-dev_*.deb \
      /debs/vdset-sqlvdi*.deb gcc libc6-dev libstdc++-12-dev pkg-config && cd /srv &&
    gcc -std=c99 example.c $(pkg-config --cflags --libs vdset) -o shared &&
    gcc -std=c99 example.c -Wl,-Bstatic -lvdset -Wl,-Bdynamic \
      -lstdc++ -pthread -o static &&
    head -c 2000384 /dev/urandom >database &&
    for kind in shared static; do
      rm -f backup && ./$kind database backup && cmp database backup
    done'
}

# /run/vdset at boot, and a group's directory below, by the very words of README.Debian. The
# directory of what is made at boot comes with systemd, of which this root has one tool only.
groups_meet() {
  sed -n 's/^  \(gid=\|echo \|systemd-tmpfiles \)/\1/p' "$root/debian/libvdset0.README.Debian" \
    >"$scratch/clean/srv/group.sh" &&
    (($(wc -l <"$scratch/clean/srv/group.sh") == 3)) &&
    inside 'apt-get install -y -qq --no-install-recommends systemd-standalone-tmpfiles &&
      cd / && systemd-tmpfiles --create libvdset0.conf &&
      mkdir -p etc/tmpfiles.d && sh -e srv/group.sh &&
      cd /run && stat -c "%a %U %G %n" vdset vdset/34 >../srv/modes &&
      rm /etc/tmpfiles.d/vdset-backup.conf && rmdir /run/vdset/34 /run/vdset' &&
    [[ $(<"$scratch/clean/srv/modes") == $'755 root root vdset\n2770 root backup vdset/34' ]]
}

sqlvdi_is_private() {  # Found by name of its directory, and only then.
  ! inside 'ldconfig -p | grep libsqlvdi' &&
    inside 'pkg-config --libs sqlvdi | grep -q "/vdset "'
}

no_machine_paths() { ! grep -rlF "$scratch" files; }

purge() {
  inside "apt-get purge -y -qq ${packages[*]}" && [[ -z $(files_outside) ]]
}

check "changelog and build have one version" same_version
check "dpkg-buildpackage" build
for package in "${packages[@]}"; do
  check "package $package" test -s "$(deb "$package")"
done
check "libvdset0: the library" holds libvdset0 "usr/lib/$triplet/libvdset.so.$upstream"
check "libvdset0: /run/vdset" holds libvdset0 usr/lib/tmpfiles.d/libvdset0.conf
check "libvdset0: how groups meet" holds libvdset0 usr/share/doc/libvdset0/README.Debian
check "libvdset-dev: a page for a call" holds libvdset-dev usr/share/man/man3/vdset_set_close.3.gz
check "libvdset-dev: for CMake" holds libvdset-dev \
  "usr/lib/$triplet/cmake/vdset/vdset-config.cmake"
check "libvdset-dev: the Go module" holds libvdset-dev usr/share/vdset/go/go.mod
check "libvdset-dev: the Rust crates" holds libvdset-dev usr/share/vdset/rust/vdset-sys/build.rs
check "vdset-tools: the page of the tool" holds vdset-tools usr/share/man/man1/vdset.1.gz
check "vdset-sqlvdi: a directory of its own" holds vdset-sqlvdi \
  "usr/lib/$triplet/vdset/libsqlvdi.so"
check "hardened, and without a run path" all_hardened
check "no path of the build" no_machine_paths
# A first upload closes a bug report and has an uploader's address; here there is neither.
check "lintian" judged_clean \
  initial-upload-closes-no-bugs,bogus-mail-host,bogus-mail-host-in-debian-changelog
check "a clean root" new_root
check "the tools work there" run_tools
check "a group's directory is made there" groups_meet
check "the example builds and runs there, shared and static" build_example
check "libsqlvdi.so stands in for nothing" sqlvdi_is_private
check "purged, nothing is left" purge
finish
