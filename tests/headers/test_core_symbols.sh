#!/usr/bin/env bash
# Goal: the core needs nothing but std::terminate and the mem functions, and runs nothing at start.
# Method: nm and readelf on the core archive, built with -O2 and without sanitizers.
# usage: test_core_symbols.sh CORE_ARCHIVE
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/check.sh"
archive=$1

defined() {
  nm --defined-only "$archive" | awk 'NF == 3 && $2 ~ /[A-TV-Zu-w]/ {print $3}' | sort -u
}

# What no member of the archive defines itself.
undefined() {
  comm -23 <(nm --undefined-only "$archive" | awk '$1 ~ /^[Uvw]$/ {print $2}' | sort -u) <(defined)
}

allowed() { ! undefined | grep -vxE '_ZSt9terminatev|memcpy|memset|memmove'; }

has_member() { nm --defined-only "$archive" | grep '\.o:$' >/dev/null; }

defines_vdset() { nm --defined-only --demangle "$archive" | grep ' [TWtw] vdset::' >/dev/null; }

# Neither initialisers nor thread-local objects nor unwinding of exceptions.
no_section() { ! readelf --wide --sections "$archive" | grep -E "$1"; }

readable() { nm "$archive" >/dev/null; }

check "$archive can be read" readable
check "the archive has a member" has_member
check "the archive defines vdset symbols" defines_vdset
check "undefined symbols beyond std::terminate and the mem functions" allowed
check "an object is initialised at start" no_section '\.(init_array|ctors|preinit_array)'
check "an object is thread-local" no_section '\.(tdata|tbss)'
check "exceptions are handled" no_section '\.gcc_except_table'
echo "undefined: $(undefined | tr '\n' ' ')"
finish
