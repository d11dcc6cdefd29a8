#!/bin/bash
# test_large.sh VDSET: a database of 1 GiB, with and without a writer that goes on.
# One line per check; the last line is "N passed, N failed". Needs the sqlite3 shell, 5 GiB of disk.
set -u

source "$(dirname "$(readlink -f "$0")")/tools.sh"
limit_s=600  # A watchdog, not an assertion about speed.

# is_small BYTES: says how many, for the log.
is_small() {
  echo "largest private memory: $1 bytes" >&3
  [ "$1" -gt 0 ] && [ "$1" -lt 16777216 ]
}
exec 3>&1

# insert_rows FROM TO: random, so that nothing in between can make it smaller; each keeps the sum.
insert_rows() {
  echo "with recursive n(i) as (select $1 union all select i+1 from n where i<$2)
    insert into filler select i, randomblob(5000) from n;"
}
sql big.db "pragma journal_mode=wal; pragma synchronous=off;
  create table account(id integer primary key, money int);
  create table filler(id integer primary key, b blob);
  insert into account values(1,5000),(2,5000); $(insert_rows 1 215000)
  pragma wal_checkpoint(truncate);" >/dev/null
check "1 GiB: the database is that large" test "$(file_bytes big.db)" -ge 1073741824
run backup big.db --to bk --devices 4 --processes --json >json.txt 2>err.txt
check "1 GiB: backup with four secondary processes" is_equal "$(json json.txt '$.ok')" 1
check "1 GiB: through the set without a copy" is_equal "$(json json.txt '$.copied_bytes')" 0
check "1 GiB: memory below 16 MiB in each process, backup" is_small "$(max_private json.txt)"
run restore bk --to new.db --json >json.txt 2>err.txt
check "1 GiB: restore" is_equal "$(json json.txt '$.ok')" 1
check "1 GiB: memory below 16 MiB in each process, restore" is_small "$(max_private json.txt)"
check "1 GiB: sqlite3 finds them equal, and the copy whole" same_content big.db new.db
rm -rf bk new.db

# A writer: a transaction after the other, as fast as it can, until it is told to stop.
( while [ ! -e stop ]; do echo "begin; update account set money=money-1 where id=1;
  update account set money=money+1 where id=2;
  insert into filler(b) values(randomblob(20000)); commit;"; done |
  sqlite3 -cmd ".timeout 60000" big.db ) >/dev/null 2>&1 &
writer=$!
written() { sql -cmd ".timeout 60000" "$1" "select money from account where id=2"; }
has_begun() { [ "$(written big.db)" -gt 5010 ]; }
check "1 GiB, a writer: it has begun" wait_for has_begun
before=$(written big.db)
check "1 GiB, a writer: backup" run backup big.db --to bk --devices 4 --processes --compress zstd \
  --quiet
after=$(written big.db)
touch stop; wait $writer
echo "$((after - before)) transactions during the backup"
check "1 GiB, a writer: it went on during the backup" test $((after - before)) -gt 100
check "1 GiB, a writer: restore" run restore bk --to new.db --processes --quiet
check "1 GiB, a writer: integrity" is_equal "$(sql new.db 'pragma integrity_check')" ok
check "1 GiB, a writer: one moment, not two" is_equal \
  "$(sql new.db 'select sum(money) from account')" 10000
inside=$(written new.db)
check "1 GiB, a writer: a moment of the backup" test "$inside" -ge "$before" -a \
  "$inside" -le "$after"
rm -rf bk new.db big.db*

summed
