# cases_leavings.sh: nothing is left behind. Sourced by test_cli.sh.

# What the machine is left with: names, segments, processes at work here (one is this shell).
left_behind() {
  find /dev/shm "$VDSET_RUNTIME_DIR" "$work" -printf '%p\n' | sort
  ipcs -a | grep -c '^0x'
  find /proc -maxdepth 2 -name cwd -lname "$work" 2>/dev/null | wc -l
}
make_database small.db 4096 300 delete
backup_small() {
  rm -rf bk
  run backup small.db --to bk --devices 4 --processes --compress zstd --quiet >out.txt 2>err.txt
}
rm -rf bk
touch before.txt after.txt out.txt err.txt
left_behind >before.txt
check "a hundred backups: processes at work here are seen" test "$(tail -1 before.txt)" -ge 1
done_well=0
for round in {1..100}; do backup_small && done_well=$((done_well + 1)); done
rm -rf bk
left_behind >after.txt
check "a hundred backups: all succeed" is_equal $done_well 100
check "a hundred backups: no file, segment or process more" cmp before.txt after.txt
