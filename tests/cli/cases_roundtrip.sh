# cases_roundtrip.sh: what goes in comes out, in every mode. Sourced by test_cli.sh.

make_database plain.db 4096 30000 delete
make_database wal.db 4096 8000 wal

# round_trip NAME DATABASE BACKUP_ARGUMENTS... [-- RESTORE_ARGUMENTS...]
round_trip() {
  local name=$1 database=$2; shift 2
  local backup=() restore=() target=backup word
  for word in "$@"; do
    if [ "$word" = -- ]; then target=restore; continue; fi
    if [ $target = backup ]; then backup+=("$word"); else restore+=("$word"); fi
  done
  rm -rf bk new.db
  if ! run backup "$database" --to bk --quiet "${backup[@]}" >out.txt 2>err.txt; then
    bad "$name" "backup: $(cat err.txt)"; return
  fi
  if ! run verify bk >out.txt 2>err.txt; then bad "$name" "verify: $(cat err.txt)"; return; fi
  if ! run restore bk --to new.db --quiet "${restore[@]}" >out.txt 2>err.txt; then
    bad "$name" "restore: $(cat err.txt)"; return
  fi
  if same_content "$database" new.db; then ok "$name"; else bad "$name" "content differs"; fi
}

for devices in 1 3 4; do
  round_trip "round trip: $devices devices, threads" plain.db --devices $devices
  check "round trip: $devices devices, a file for each" is_equal "$(ls bk | wc -l)" $devices
  check "round trip: $devices devices, identical bytes" cmp plain.db new.db
  round_trip "round trip: $devices devices, processes" plain.db --devices $devices --processes -- \
    --processes
  round_trip "round trip: $devices devices, threads, zstd" plain.db --devices $devices --compress \
    zstd
  round_trip "round trip: $devices devices, processes, zstd" plain.db --devices $devices \
    --processes --compress zstd -- --processes
done
round_trip "round trip: 64 devices, processes, zstd" plain.db --devices 64 --processes --compress \
  zstd --max-transfer-size 64K -- --processes
round_trip "round trip: smallest blocks and transfers" plain.db --devices 2 --block-size 512 \
  --max-transfer-size 65536 --buffer-count 4
round_trip "round trip: largest blocks and transfers" plain.db --devices 2 --block-size 64K \
  --max-transfer-size 4M --buffer-count 5
round_trip "round trip: reads smaller than chunks" plain.db --max-transfer-size 1M -- \
  --max-transfer-size 64K
round_trip "round trip: reads smaller than compressed chunks" plain.db --compress zstd -- \
  --max-transfer-size 64K
round_trip "round trip: reads larger than chunks" plain.db --compress zstd --max-transfer-size 64K \
  -- --max-transfer-size 4M
round_trip "round trip: hand-over policy, nobody dies" plain.db --devices 2 --processes --compress \
  zstd --on-helper-death hand-over

make_database small.db 512 3000 delete
round_trip "round trip: pages of 512 bytes" small.db --devices 3
check "round trip: pages of 512 bytes, identical bytes" cmp small.db new.db
make_database large.db 65536 3000 delete
round_trip "round trip: pages of 64 KiB" large.db --devices 3 --max-transfer-size 64K
check "round trip: pages of 64 KiB, identical bytes" cmp large.db new.db
round_trip "round trip: WAL mode" wal.db --devices 2 --processes
check "round trip: WAL mode, still WAL mode" is_equal "$(sql new.db 'pragma journal_mode')" wal
: > empty.db
round_trip "round trip: empty database" empty.db --devices 2 --compress zstd
check "round trip: empty database, no bytes" is_equal "$(file_bytes new.db)" 0
sql one.db "pragma user_version=7; vacuum"
round_trip "round trip: database of one page" one.db --devices 4
odd="odd ?#%name 'x'.db"
cp plain.db "$odd"
check "odd characters in names: backup" run backup "$odd" --to "odd # dir" --quiet
check "odd characters in names: restore" run restore "odd # dir" --to "new $odd" --quiet
check "odd characters in names: same" cmp "$odd" "new $odd"
ln -s new.db link.db
run backup plain.db --to bk.link --quiet >/dev/null 2>&1
check "restore through a symbolic link" run restore bk.link --to link.db --quiet
check "restore through a symbolic link: the link stays" test -L link.db
check "restore through a symbolic link: the file is new" cmp plain.db new.db

# A writer in WAL mode: every transaction keeps the sum, so any snapshot that is one has it.
sql bank.db "pragma journal_mode=wal; create table account(id integer primary key, money int);
  create table filler(b blob); insert into account values(1,5000),(2,5000);
  with recursive n(i) as (select 1 union all select i+1 from n where i<60)
  insert into filler select randomblob(1000000) from n;" >/dev/null
( while :; do echo "begin; update account set money=money-1 where id=1;
  update account set money=money+1 where id=2;
  insert into filler values(randomblob(2000)); commit;"; done |
  sqlite3 -cmd ".timeout 5000" bank.db ) >/dev/null 2>&1 &
writer=$!
wait_for grew bank.db-wal 100000
before=$(sql -cmd ".timeout 5000" bank.db "select money from account where id=2")
rm -rf bk new.db
check "WAL mode with a writer: backup" run backup bank.db --to bk --devices 3 --processes \
  --compress zstd --quiet
check "WAL mode with a writer: it went on writing" test \
  "$(sql -cmd ".timeout 5000" bank.db "select money from account where id=2")" -gt "$before"
pkill -P $writer; kill $writer 2>/dev/null; wait $writer 2>/dev/null
check "WAL mode with a writer: restore" run restore bk --to new.db --processes --quiet
check "WAL mode with a writer: integrity" is_equal "$(sql new.db 'pragma integrity_check')" ok
check "WAL mode with a writer: one moment, not two" is_equal \
  "$(sql new.db 'select sum(money) from account')" 10000

# Reports.
rm -rf bk new.db
run backup plain.db --to bk --devices 4 --processes --compress zstd --json >json.txt 2>err.txt
check "json: backup is one valid object" is_equal \
  "$(wc -l <json.txt)$(sql :memory: "select json_valid(readfile('json.txt'))")" 11
check "json: nothing on stderr" test ! -s err.txt
check "json: bytes are the database's" is_equal "$(json json.txt '$.bytes')" \
  "$(file_bytes plain.db)"
check "json: ten processes" is_equal "$(json json.txt '$.processes')" 10
check "json: handles were passed" test "$(json json.txt '$.handles_passed')" -gt 20
check "json: a backup copies nothing" is_equal "$(json json.txt '$.copied_bytes')" 0
check "json: writers wait with a rollback journal" is_equal "$(json json.txt '$.writers_wait')" 1
run verify bk --json >json.txt 2>err.txt
check "json: verify is valid and ok" is_equal \
  "$(sql :memory: "select json_valid(readfile('json.txt'))")$(json json.txt '$.ok')" 11
run restore bk --to new.db --processes --json --progress >json.txt 2>err.txt
check "json: restore's last line is valid and ok" is_equal \
  "$(tail -1 json.txt >last.txt; json last.txt '$.ok')" 1
stream_bytes=$(run verify bk --json >json.txt; sql :memory: "select sum(value->>'bytes')
  from json_each(readfile('json.txt'), '\$.devices')")
check "json: a restore copies the engine's stream, once" is_equal \
  "$(json last.txt '$.copied_bytes')" "$stream_bytes"
run restore bk --to new.db --max-transfer-size 64K --json >last.txt 2>err.txt
check "json: and twice what was compressed in larger pieces" test \
  "$(json last.txt '$.copied_bytes')" -gt $((stream_bytes * 3 / 2)) -a \
  "$(json last.txt '$.copied_bytes')" -le $((stream_bytes * 2))
run backup plain.db --to bk --json >json.txt 2>err.txt
check "json: a failure is valid, with its code" is_equal \
  "$(json json.txt '$.ok')$(json json.txt '$.exit_code')" 08
rm -rf bk
run backup plain.db --to bk >out.txt 2>err.txt
check "rollback journal: one line says that writers wait" is_equal \
  "$(grep -c 'writers wait' err.txt)" 1
for word in "" backup restore verify; do
  run $word --help >out.txt 2>&1
  check "help${word:+ of $word}: exit code 0, teaches exit codes and an example" grep -qz \
    "vdset backup.*Exit codes\|Example.*Exit codes" out.txt
done

# Memory: nobody's own pages reach 16 MiB, however large the database is.
sql big.db "create table b(x blob);
  with recursive n(i) as (select 1 union all select i+1 from n where i<250)
  insert into b select zeroblob(1000000) from n;"
for arguments in "--devices 1" "--devices 4 --processes --compress zstd" \
  "--devices 2 --compress zstd --max-transfer-size 4M"; do
  rm -rf bk new.db
  run backup big.db --to bk $arguments --json >json.txt 2>err.txt
  check_bare "memory below 16 MiB: backup $arguments" test "$(max_private json.txt)" -lt 16777216
  run restore bk --to new.db --json >json.txt 2>err.txt
  check_bare "memory below 16 MiB: restore of $arguments" test "$(max_private json.txt)" -lt \
    16777216
  check "memory below 16 MiB: same, $arguments" cmp big.db new.db
done
run verify bk --json >json.txt
check_bare "memory below 16 MiB: verify" test "$(json json.txt '$.private_peak_bytes')" -lt \
  16777216
