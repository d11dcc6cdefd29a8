# cases_input.sh: bad input is refused with one line and a code, and leaves nothing. Sourced by
# test_cli.sh.

rm -rf bk new.db
refused "no such database" 3 "none.db" backup none.db --to bk
check "no such database: no directory made" test ! -e bk
mkdir adir
refused "a directory as database" 3 "adir" backup adir --to bk
echo "this is a text, long enough to have a head, but no database, whatever one says" > text.db
for i in 1 2 3 4 5; do cat text.db text.db > text2.db; mv text2.db text.db; done
refused "not a database" 3 "not a SQLite database: text.db" backup text.db --to bk
check "not a database: no directory made" test ! -e bk
head -c 100000 plain.db > cut.db
refused "a truncated database" 4 "cut.db" backup cut.db --to bk
refused "devices: none" 2 "devices" backup plain.db --to bk --devices 0
refused "devices: 65" 2 "1 to 64" backup plain.db --to bk --devices 65
refused "devices: a word" 2 "devices" backup plain.db --to bk --devices many
refused "block size: no power of two" 2 "power of two" backup plain.db --to bk --block-size 1000
refused "block size: too small" 2 "power of two" backup plain.db --to bk --block-size 256
refused "block size: too large" 2 "power of two" backup plain.db --to bk --block-size 128K
refused "block size: not a number" 2 "not a size" backup plain.db --to bk --block-size 4X
refused "transfer size: no multiple of 64K" 2 "multiple of 64K" backup plain.db --to bk \
  --max-transfer-size 100000
refused "transfer size: too large" 2 "up to 4M" backup plain.db --to bk --max-transfer-size 8M
refused "transfer size: overflow" 2 "not a size" backup plain.db --to bk --max-transfer-size \
  99999999999M
refused "buffers: fewer than two per device" 2 "two per device" backup plain.db --to bk --devices \
  4 --buffer-count 7
refused "buffers: too many" 2 "4096" backup plain.db --to bk --buffer-count 5000
refused "unknown compression" 2 "none or zstd" backup plain.db --to bk --compress rar
refused "unknown policy" 2 "fail or hand-over" backup plain.db --to bk --on-helper-death pray
refused "hand-over without processes" 2 "add --processes" backup plain.db --to bk \
  --on-helper-death hand-over
refused "a set name with a backslash" 2 "backslash" backup plain.db --to bk --name 'a\b'
refused "an unknown option" 2 "help" backup plain.db --to bk --frobnicate
refused "no directory given" 2 "help" backup plain.db
check "after all these: no directory made" test ! -e bk
run >out.txt 2>err.txt; check "no command: exit code 2" is_equal $? 2
refused "the directory's parent is missing" 3 "no/where" backup plain.db --to no/where
refused "a file as directory" 3 "text.db" backup plain.db --to text.db

run backup plain.db --to bk --devices 3 --quiet >/dev/null 2>&1
run backup small.db --to other --devices 3 --quiet >/dev/null 2>&1
before=$(cat bk/* | sha256sum)
refused "a backup is there already" 8 "--force" backup plain.db --to bk
check "a backup is there already: untouched" is_equal "$(cat bk/* | sha256sum)" "$before"
check "--force replaces it" run backup small.db --to bk --force --quiet
check "--force takes away the files of more devices" is_equal "$(ls bk)" device-0.vdset
check "--force leaves a whole backup" run verify bk
rm -rf bk; run backup plain.db --to bk --devices 3 --quiet >/dev/null 2>&1

refused "restore: no such directory" 3 "nothing" restore nothing --to new.db
refused "restore: an empty directory" 3 "no backup here" restore adir --to new.db
refused "verify: no such directory" 3 "nothing" verify nothing
refused "restore: the target's directory is missing" 3 "no/where" restore bk --to no/where/new.db
refused "restore: the target is a directory" 3 "regular file" restore bk --to adir
mv bk/device-1.vdset aside
refused "restore: a device file is missing" 3 "bk/device-1.vdset" restore bk --to new.db
refused "verify: a device file is missing" 3 "device 1 of 3" verify bk
cp other/device-1.vdset bk/
refused "restore: a device file of another backup" 3 "another backup" restore bk --to new.db
cp bk/device-0.vdset bk/device-1.vdset
refused "restore: a device file under a wrong name" 3 "its name says 1" restore bk --to new.db
mv aside bk/device-1.vdset
cp bk/device-2.vdset bk/device-3.vdset
refused "restore: one device file too many" 3 "device" restore bk --to new.db
rm bk/device-3.vdset
check "after all these: no target, no temporary file" test ! -e new.db -a "$(temporaries)" -eq 0

# Targets in use.
cp small.db new.db
mkfifo hold
sqlite3 new.db < hold >/dev/null 2>&1 & holder=$!
exec 7> hold
echo "begin; select count(*) from t;" >&7
wait_for not run restore bk --to new.db --quiet 2>/dev/null
refused "restore: the target is being read" 8 "in use" restore bk --to new.db
exec 7>&-; wait $holder
cp small.db new.db; sql new.db "pragma journal_mode=wal" >/dev/null
sqlite3 new.db < hold >/dev/null 2>&1 & holder=$!
exec 7> hold
echo "create table extra(a); select count(*) from extra;" >&7
wait_for grew new.db-wal 1000
cp new.db hot.db; cp new.db-wal hot.db-wal
refused "restore: the target's WAL has changes" 8 "write-ahead log" restore bk --to hot.db
echo "pragma wal_checkpoint(truncate);" >&7
wait_for not grew new.db-wal 0
refused "restore: an idle program has the target open in WAL mode" 8 "in use" restore bk --to new.db
exec 7>&-; wait $holder
check "restore: refused targets are as they were" test \
  "$(sql hot.db 'select count(*) from extra')" = 0 -a "$(sql hot.db 'pragma integrity_check')" = ok
rm -f hot.db*; : > hot.db-wal; : > hot.db-shm
check "restore: empty leftovers of an old WAL are no obstacle" run restore bk --to hot.db --quiet
check "restore: and are gone" test ! -e hot.db-wal -a ! -e hot.db-shm
check "restore: identical" cmp plain.db hot.db
rm -f hot.db; printf '\331\325\005\371\040\241\143\327 and so on' > hot.db-journal
refused "restore: a hot rollback journal beside the target" 8 "journal" restore bk --to hot.db
chmod 640 new.db; check "restore: replaces an idle database" run restore bk --to new.db --quiet
check "restore: keeps the old file's mode" is_equal "$(stat -c %a new.db)" 640

# One line, whatever is in it.
refused "a newline in a path" 3 'no\\nsuch\\x1b.db' backup $'no\nsuch\e.db' --to bk2
make_database lost.db 4096 300 delete
sql lost.db "pragma writable_schema=on; delete from sqlite_schema where name='x'"
run backup lost.db --to bk2 --quiet >out.txt
refused "restore: SQLite finds the database damaged" 4 'integrity check: .*\\n.*never used' \
  restore bk2 --to new2.db
rm -rf bk2

# A target of another user.
chmod 755 "$work"; mkdir -m 777 theirs; cp plain.db theirs/new.db; chmod 444 theirs/new.db
cp -r bk theirs/bk; chmod -R a+rX theirs/bk; mkdir -m 777 theirs/runtime
as_other() {  # as_other ARGUMENTS...: runs vdset as somebody who may not write theirs/new.db.
  if [ "$(id -u)" -ne 0 ]; then run "$@"; return; fi
  setpriv --reuid=65534 --regid=65534 --clear-groups env VDSET_RUNTIME_DIR=theirs/own "$vdset" "$@"
}
setpriv --reuid=65534 --regid=65534 --clear-groups mkdir -m 700 theirs/own 2>/dev/null
if as_other --version >/dev/null 2>&1; then
  as_other restore theirs/bk --to theirs/new.db --quiet 2>err.txt
  check "restore: a target that may not be written to: exit code 3" is_equal $? 3
  check "restore: a target that may not be written to: the remedy" grep -q \
    "^vdset: .*cannot be written to: .*theirs/new.db; check the permissions" err.txt
else
  echo "skip a target of another user: the program's directory is closed to others"
fi
rm -rf theirs

# What is missing is called by its name.
VDSET_RUNTIME_DIR=/nonexistent/x refused "no directory to meet in" 3 \
  "directory /nonexistent/x: No such file" backup plain.db --to bk2
if [ $is_bare = 1 ]; then
  lacking=0
  for limit in {7..40}; do
    ( ulimit -n $limit; run backup small.db --to bk2 --quiet ) >out.txt 2>err.txt; code=$?
    [ $code -eq 0 ] && break
    lacking=$((lacking + 1))
    check "open files limited to $limit: one line, its remedy, exit code 9" is_equal \
      "$code $(wc -l <err.txt) $(grep -c 'ulimit -n' err.txt) $(grep -c 'smaller' err.txt)" \
      "9 1 1 0"
  done
  check "open files limited: enough in the end" test $code -eq 0 -a $lacking -ge 5
  rm -rf bk2
  ( ulimit -v 4000000; refused "buffers of 16 GiB" 9 "at least 4294967295 bytes" backup small.db \
      --to bk2 --buffer-count 4096 --max-transfer-size 4M ) >out2.txt
  check "buffers of 16 GiB: refused, with their size" grep -q ^ok out2.txt
else
  echo "left out under a sanitizer: limits on open files and addresses"
fi

# A report that cannot be given.
run backup small.db --to bk2 --json --bogus >json.txt 2>err.txt
check "json: a bad command line is one object" is_equal "$?$(wc -l <json.txt)$(json json.txt \
  '$.command')$(json json.txt '$.exit_code')" 21backup2
run backup small.db --to bk2 --json >/dev/full 2>err.txt
check "stdout full: backup exits with 5" is_equal "$?$(grep -c 'backup is complete.*No space' \
  err.txt)" 51
for arguments in "verify bk2" "verify bk2 --json" "restore bk2 --to new2.db --quiet"; do
  run $arguments >/dev/full 2>err.txt
  check "stdout full: $arguments exits with 5" is_equal \
    "$?$(grep -c '^vdset: .*report' err.txt)" 51
done
check "stdout full: the database is restored all the same" cmp small.db new2.db
run --help >/dev/full 2>err.txt
check "stdout full: help exits with 5" is_equal $? 5
flip bk2/device-0.vdset 2000
run verify bk2 --json >/dev/full 2>err.txt
check "stdout full: damage is still damage" is_equal $? 4
rm -rf bk2 new2.db

# A locked source.
sqlite3 -cmd ".timeout 5000" plain.db < hold >/dev/null 2>&1 & holder=$!
exec 7> hold
echo "begin exclusive;" >&7
wait_for not sqlite3 plain.db "select count(*) from t" 2>/dev/null >/dev/null
refused "the source is locked for good" 8 "plain.db" backup plain.db --to bk2
exec 7>&-; wait $holder
check "the source is locked for good: no directory made" test ! -e bk2

# No space: a limit on the file size (which counts for the shared buffers, too: small ones), and a
# small file system where one may be mounted.
( ulimit -f 2048; run backup plain.db --to bk2 --devices 2 --processes --quiet \
    --max-transfer-size 64K ) >out.txt 2>err.txt
check "file size limit: exit code 5" is_equal $? 5
check "file size limit: one line names the file" grep -q \
  "^vdset: cannot write (File too large): bk2/.*; " err.txt
check "file size limit: nothing stays" test ! -e bk2
( ulimit -f 2048; run restore bk --to new2.db --quiet --max-transfer-size 64K ) >out.txt 2>err.txt
check "file size limit: restore exits with 5" is_equal $? 5
check "file size limit: restore leaves nothing" test ! -e new2.db -a "$(temporaries)" -eq 0
mkdir tiny
if mount -t tmpfs -o size=8m none tiny 2>/dev/null; then
  refused "no space: backup" 5 "No space left" backup plain.db --to tiny/bk --devices 2
  check "no space: backup leaves nothing" is_equal "$(ls -A tiny)" ""
  refused "no space: backup through workers" 5 "No space left" backup plain.db --to tiny/bk \
    --processes --compress zstd
  check "no space: backup through workers leaves nothing" is_equal "$(ls -A tiny)" ""
  cp small.db tiny/new.db
  refused "no space: restore" 5 "No space left" restore bk --to tiny/new.db
  check "no space: restore leaves the old file" cmp small.db tiny/new.db
  check "no space: restore leaves nothing else" is_equal "$(ls -A tiny)" new.db
  umount tiny
else
  echo "skip no space: no right to mount a small file system"
fi
