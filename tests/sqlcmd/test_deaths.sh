#!/usr/bin/env bash
# Goal: whoever is killed at any moment of a backup or restore, everybody else ends soon, no
# database is harmed, and the next operation works and leaves nothing. Method: unmodified VDI
# clients and the installed sqlcmd; a random victim (client, secondary, sqlcmd) is killed after a
# random while.
# usage: test_deaths.sh TESTS_VDI_DIRECTORY BUILD_DIRECTORY
#   VDSET_TEST_DEEP=N rounds in hundreds (1), VDSET_TEST_SEED
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/clients.sh"
rounds=$((100 * ${VDSET_TEST_DEEP:-1}))
seed=${VDSET_TEST_SEED:-$RANDOM}
RANDOM=$seed
echo "VDSET_TEST_SEED=$seed"
declare -A devices_of=([published_client]=1 [threaded_client]=3 [process_client]=3)
clients_known=(published_client threaded_client process_client)

sum_of() { sqlite3 "$VDSET_DATABASES/$1.db" .sha3sum; }

members() { pgrep -s "$session" "$@" || true; }  # Of the session, by exact name.

# A zombie's parent is this shell, which waits for it later.
all_have_ended() {
  local pid
  for pid in $(members); do
    [[ $(ps -o state= -p "$pid") == Z* ]] || return 1
  done
}

backup_words() {
  words_of "$1" "${devices_of[$1]}" "$(statement "BACKUP DATABASE [new]" TO "${devices_of[$1]}" \
    "FORMAT, MAXTRANSFERSIZE=65536" sqlcmd -S . -b -Q)" B "$2"
}

restore_words() {
  words_of "$1" "${devices_of[$1]}" "$(statement "RESTORE DATABASE [old]" FROM "${devices_of[$1]}" \
    REPLACE sqlcmd -S . -b -Q)" R "$2"
}

prepare() {  # The backup of `new` that restores read, once for each client.
  local client
  for client in "${clients_known[@]}"; do
    compile_client "$client" && backup_words "$client" "$scratch/kept-$client-" &&
      LD_LIBRARY_PATH=$prefix/lib timeout 60 "${words[@]}" >"$said" 2>&1 || return 1
  done
}

choose_victim() {
  case $((RANDOM % 3)) in
    0) echo "$session" ;;
    1) members -x sqlcmd ;;
    2) members -x exe | tail -n 1 ;;  # A secondary of process_client: /proc/self/exe.
  esac
}

kill_one() {  # kill_one CLIENT backup|restore
  local victim deadline=$((SECONDS + 30))
  "$2_words" "$1" "$scratch/$([[ $2 == backup ]] && echo lost || echo "kept-$1-")"
  LD_LIBRARY_PATH=$prefix/lib setsid "${words[@]}" >"$said" 2>&1 &
  session=$!
  sleep "0.0$((RANDOM % 90 + 10))"
  victim=$(choose_victim)
  if [[ -n $victim ]] && kill -9 "$victim" 2>/dev/null; then echo "$2" >>"$scratch/killed"; fi
  until all_have_ended; do
    if ((SECONDS >= deadline)); then
      echo "these go on:"
      ps -o pid,stat,args --sid "$session"
      return 1
    fi
    sleep 0.02
  done
  wait "$session" || true
}

unharmed() {
  local now
  now=$(sum_of old)
  [[ $(sum_of new) == "$new_sum" && ($now == "$old_sum" || $now == "$new_sum") ]]
}

round() {  # round CLIENT backup|restore
  cp "$scratch/old.db" "$VDSET_DATABASES/old.db"
  kill_one "$1" "$2" && unharmed
}

enough_were_killed() { [[ $(wc -l <"$scratch/killed") -gt $((rounds / 4)) ]]; }

ends_whole() {  # After all that: one more of each, and nothing is left.
  restore_words threaded_client "$scratch/kept-threaded_client-"
  LD_LIBRARY_PATH=$prefix/lib timeout 60 "${words[@]}" >"$said" 2>&1 || return 1
  [[ $(sum_of old) == "$new_sum" ]] || return 1
  ls -A "$VDSET_DATABASES" "$VDSET_RUNTIME_DIR"
  [[ $(ls -A "$VDSET_DATABASES") == $'new.db\nold.db' ]]
}

check "the build can be installed" install_tree
PATH=$prefix/libexec/vdset:$PATH
check "databases" make_database new delete 8000
check "backups to restore from" prepare
sqlite3 "$scratch/old.db" "create table t(a); insert into t values ('old')"
new_sum=$(sum_of new)
cp "$scratch/old.db" "$VDSET_DATABASES/old.db"
old_sum=$(sum_of old)
for ((i = 0; i < rounds; ++i)); do
  client=${clients_known[$((RANDOM % 3))]}
  what=$([[ $((RANDOM % 2)) == 0 ]] && echo backup || echo restore)
  check "round $i: $client, $what" round "$client" "$what"
done
check "many of these were killed in time" enough_were_killed
check "afterwards all is whole" ends_whole
finish
