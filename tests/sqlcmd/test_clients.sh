#!/usr/bin/env bash
# Goal: a client of the vendor's interface, compiled with the vendor's flags against what is
# installed, finds our sqlcmd in PATH, starts it through popen as it would start the vendor's, and
# backs up and restores a real database. Method: the unmodified clients of tests/vdi (one device;
# threads; secondary processes and buffer handles) against an installed tree that was moved.
# usage: test_clients.sh TESTS_VDI_DIRECTORY BUILD_DIRECTORY
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/clients.sh"

is_from_here() {
  local path=$prefix/libexec/vdset/$1
  [[ $(command -v "$1") == "$path" && -x $path ]]
}

# Without LD_LIBRARY_PATH: it finds libvdset.so by its own place.
speaks() { [[ $("$1" -h -1 -W -Q 'SET NOCOUNT ON; SELECT 40') == 40 ]]; }

# "check" runs this where errexit is off.
there_and_back() {  # there_and_back CLIENT DEVICES DATABASE SQLCMD_WORDS...
  local client=$1 devices=$2 database=$3 saved=$scratch/saved-$1-$2-
  shift 3
  carry "$client" "$devices" "$(statement "BACKUP DATABASE [$database]" TO "$devices" \
    "FORMAT, MAXTRANSFERSIZE=1048576" "$@")" B "$saved" &&
    grep -q '^BACKUP DATABASE successfully processed ' "$said" &&
    carry "$client" "$devices" "$(statement "RESTORE DATABASE [copy of $database]" FROM "$devices" \
      "REPLACE, MAXTRANSFERSIZE=1048576" "$@")" R "$saved" &&
    grep -q '^RESTORE DATABASE successfully processed ' "$said" || { cat "$said" && return 1; }
  same_content "$VDSET_DATABASES/$database.db" "$VDSET_DATABASES/copy of $database.db"
}

identical() { cmp "$VDSET_DATABASES/shop.db" "$VDSET_DATABASES/copy of shop.db"; }

# The published client calls umask(0) before popen.
private_enough() { [[ $(stat -c %A "$VDSET_DATABASES/copy of shop.db") == -rw-r--r-- ]]; }

# No such database: the client's waiting call ends with an abort, and sqlcmd's words are passed on.
refused_at_once() {
  ! carry published_client 1 "$(statement "BACKUP DATABASE nothing" TO 1 FORMAT \
    sqlcmd -S localhost -b -Q)" B "$scratch/nothing" || return 1
  grep -q '^GetConfiguration: 80770004' "$said" && grep -q '^Msg 911, Level 16,' "$said" &&
    [[ $(tail -n 1 "$said") == "BACKUP DATABASE is terminating abnormally." ]]
}

nothing_left() { [[ -z $(ls "$scratch/rendezvous") ]]; }

check "the build can be installed" install_tree
PATH=$prefix/libexec/vdset:$PATH
check "sqlcmd is the installed one" is_from_here sqlcmd
check "osql is the installed one" is_from_here osql
check "sqlcmd speaks" speaks sqlcmd
check "osql speaks" speaks osql
for client in published_client threaded_client process_client; do
  check "$client compiles with the vendor's flags" compile_client "$client"
done
check "a database" make_database shop delete 20000
check "a database with a write-ahead log" make_database wal-shop wal 8000
check "one device, the published way" there_and_back published_client 1 shop sqlcmd -S localhost -Q
check "the copy is identical" identical
check "the copy is nobody else's to write to" private_enough
check "a login, clusters and newer options" there_and_back published_client 1 wal-shop \
  SQLCMDPASSWORD=x sqlcmd -S tcp:localhost,1433 -U sa -bCI -N -No -l 30 -t 60 -y 0 -W -s "'|'" \
  -d master -Q
check "osql" there_and_back published_client 1 shop osql -E -n -b -w 500 -Q
check "long options" there_and_back published_client 1 shop sqlcmd --server=. --user-name sa \
  --trust-server-certificate --exit-on-error --query
check "four devices, threads" there_and_back threaded_client 4 shop sqlcmd -S . -E -C -b -Q
check "64 devices, threads" there_and_back threaded_client 64 shop sqlcmd -S . -E -C -b -Q
check "four devices, secondary processes and handles" there_and_back process_client 4 wal-shop \
  sqlcmd -S . -E -C -b -Q
check "16 devices, secondary processes and handles" there_and_back process_client 16 shop \
  sqlcmd -S . -E -C -b -Q
check "a statement that is refused ends the client" refused_at_once
check "nothing is left behind" nothing_left
finish
