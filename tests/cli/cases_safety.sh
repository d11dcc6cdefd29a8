# cases_safety.sh: what is there is not destroyed: not the input, not a stranger's file, and not the
# backup when vdset is killed while it replaces it. Sourced by test_cli.sh.

rm -rf bk new.db link.db
make_database safe.db 4096 300 delete
make_database other.db 4096 200 delete
mkdir -p in
cp safe.db in/device-0.vdset
run backup safe.db --to bk --devices 2 --quiet >/dev/null 2>&1
whole=$(cat bk/* | sha256sum)

# The input is never the output, under whatever name.
ln -s "$work/bk/device-1.vdset" link.db
ln bk/device-1.vdset hard.db
for target in bk/device-0.vdset bk/../bk/device-1.vdset link.db hard.db bk/device-2.vdset; do
  refused "restore onto its own backup, $target" 2 "own files" restore bk --to "$target"
done
check "restore onto its own backup: untouched" is_equal "$(cat bk/* | sha256sum)" "$whole"
rm hard.db link.db
ln -s in/device-0.vdset link.db
mkdir hard; ln in/device-0.vdset hard/device-3.vdset; ln in/device-0.vdset hard/.device-5.vdset.tmp
for arguments in "in/device-0.vdset --to in --force" "link.db --to in --force" \
  "in/device-0.vdset --to hard --force" "in/device-0.vdset --to in"; do
  refused "backup onto its own database, $arguments" 2 "own backup" backup $arguments
done
rm hard/device-3.vdset
refused "backup onto its own database under a temporary name" 2 "own backup" backup \
  hard/.device-5.vdset.tmp --to hard
check "backup onto its own database: untouched" test "$(cmp safe.db in/device-0.vdset && echo \
  same)$(ls -A in hard | tr '\n' ' ')" = "samehard: .device-5.vdset.tmp  in: device-0.vdset "
rm -rf in hard link.db

echo "a thesis, and no database at all" > thesis.txt; cp thesis.txt thesis.old
refused "restore onto a file that is no database" 3 "not a SQLite database" restore bk --to \
  thesis.txt
check "restore onto a file that is no database: untouched" cmp thesis.txt thesis.old
: > nothing.db
check "restore onto an empty file" run restore bk --to nothing.db --quiet
check "restore onto an empty file: done" cmp safe.db nothing.db

# Killed at each step of putting the new backup in place.
# which_one: the database that the backup in bk is of, or what is wrong.
which_one() {
  local database
  if ! run verify bk >out.txt 2>err.txt; then cat err.txt; return; fi
  rm -f new.db
  run restore bk --to new.db --quiet >/dev/null 2>err.txt || cat err.txt
  for database in safe.db other.db; do cmp -s $database new.db && echo $database; done
}
# put_in_place STEP ARGUMENTS...: a backup of safe.db that is killed at the step.
put_in_place() {
  KILL_AT=$1 LD_PRELOAD=$preload "$vdset" backup safe.db --to bk --quiet "${@:2}" >out.txt 2>&1
}
# kill_each NAME STEPS PREPARE ARGUMENTS...: with a fresh state made by PREPARE each time.
kill_each() {
  local name=$1 steps=$2 prepare=$3 step code killed=0; shift 3
  for ((step = 1; step <= steps + 1; ++step)); do
    $prepare
    put_in_place $step "$@" 2>/dev/null; code=$?
    [ $code -eq 137 ] && killed=$((killed + 1))
    check "$name, killed at step $step of $steps: the new backup, whole" is_equal "$(which_one)" \
      safe.db
    check "$name, killed at step $step: its files alone" is_equal "$(ls -A bk | tr '\n' ' ')" \
      "device-0.vdset device-1.vdset device-2.vdset "
  done
  check "$name: killed $steps times, then no more" is_equal $killed.$code $steps.0
}
older_set() {
  rm -rf bk; run backup other.db --to bk --devices 5 --quiet >/dev/null 2>&1
}
no_set() { rm -rf bk; }
empty_directory() { rm -rf bk; mkdir bk; }
kill_each "a backup is replaced" 6 older_set --force --devices 3
kill_each "a first backup" 4 no_set --devices 3 --processes
older_set
put_in_place 3 --force --devices 3 2>/dev/null
refused "killed in the middle: the next backup finds it whole" 8 "there already" backup other.db \
  --to bk
check "killed in the middle: after the next backup" is_equal "$(which_one)" safe.db
empty_directory
put_in_place 2 --devices 3 2>/dev/null
check "killed in the middle: replaced by --force" run backup other.db --to bk --force --quiet
check "killed in the middle: replaced" is_equal "$(which_one)$(ls -A bk)" other.dbdevice-0.vdset

# Killed after all names were given; then somebody put another backup there by hand.
older_set; mkdir others; cp bk/* others/
put_in_place 6 --force --devices 3 2>/dev/null
cp others/* bk/
check "a marker left behind takes no other backup's files" is_equal "$(which_one)" other.db
check "a marker left behind goes" is_equal "$(ls -A bk | wc -l)" 5
rm -rf bk others
