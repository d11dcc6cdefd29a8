# cases_leavings.sh: nothing is left behind. Sourced by test_cli.sh.

# What the machine is left with; the first backup may make the runtime directory.
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
backup_small
touch before.txt after.txt
left_behind >before.txt
done_well=0
for round in {1..100}; do backup_small && done_well=$((done_well + 1)); done
left_behind >after.txt
check "a hundred backups: all succeed" is_equal $done_well 100
check "a hundred backups: no file, segment or process more" cmp before.txt after.txt
