# cases_death.sh: processes are killed in the middle. To be in the middle for certain, one helper is
# stopped first: the
# work cannot end without its device. Sourced by test_cli.sh.

rm -rf bk new.db
make_database long.db 4096 100000 delete

state_of() { sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null; }
has_settled() { case $(state_of "$1") in T | Z | '') ;; *) return 1 ;; esac; }
# In the middle: not at the end, as may be when this shell was kept waiting.
is_in_the_middle() {
  [ "$(state_of "$helper")" = T ] && [ "$(file_bytes bk/.device-0.vdset.tmp)" -lt 60000000 ]
}

# begin_stopped ROLE ARGUMENTS...: starts vdset, stops the helper of device 0 once its file has
# grown. Sets parent, helper. On a busy machine "nice" holds the work back while this shell looks;
# when it still came too late it begins again.
begin_stopped() {
  local role=$1 attempt; shift
  for attempt in {1..30}; do
    nice -n 19 "$vdset" "$@" --quiet >out.txt 2>err.txt & parent=$!
    wait_for has_child $parent "$role" 'device=0 '
    helper=$(child_of $parent "$role" 'device=0 ')
    wait_for grew bk/.device-0.vdset.tmp 100000
    kill -STOP "$helper" 2>/dev/null && wait_for has_settled "$helper" && is_in_the_middle && return
    kill -CONT "$helper" 2>/dev/null
    wait $parent
    rm -rf bk
  done
  return 1
}

# kill_at SIGNAL PID: sends it, and notes when.
kill_at() {
  killed_ns=$(date +%s%N)
  kill "-$1" "$2"
}

# ended NAME CODE PATTERN: after kill_at the parent ended with CODE and one line that matches. How
# soon is written down; what is asserted is a watchdog.
end_times=()
ended() {
  local code ms
  wait $parent; code=$?
  ms=$((($(date +%s%N) - killed_ns) / 1000000))
  end_times+=($ms)
  check "$1: exit code $2, by itself" test $code -eq "$2" -a $ms -le 20000
  check "$1: one line names the dead process" is_equal \
    "$(grep -c "^vdset: .*: .*; " err.txt)$(grep -c -- "$3" err.txt)" 11
  check "$1: nothing stays" test ! -e bk -a "$(temporaries)" -eq 0
  check "$1: no process stays" not pgrep -P $parent
}
print_end_times() {
  local sorted
  mapfile -t sorted < <(printf '%s\n' "${end_times[@]}" | sort -n)
  echo "from a kill half way to the tool's end: median ${sorted[${#sorted[@]} / 2]} ms, longest" \
    "${sorted[-1]} ms, ${#sorted[@]} kills"
}

for arguments in "--processes" "--processes --compress zstd"; do
  begin_stopped secondary backup long.db --to bk --devices 2 $arguments
  victim=$(child_of $parent engine-backup); kill_at 9 "$victim"
  ended "engine killed, backup $arguments" 6 "killed by signal 9.*the engine process (pid $victim)"
  begin_stopped secondary backup long.db --to bk --devices 2 $arguments
  kill_at 9 "$helper"
  ended "secondary killed, backup $arguments" 6 \
    "killed by signal 9.*the secondary process of device 0 (pid $helper)"
done
begin_stopped worker backup long.db --to bk --devices 2 --processes --compress zstd
kill_at 9 "$helper"
ended "worker killed, backup" 6 "killed by signal 9.*the worker process of device 0 (pid $helper)"
begin_stopped worker backup long.db --to bk --devices 2 --compress zstd
kill_at 9 "$helper"
ended "worker of a thread killed, backup" 6 \
  "killed by signal 9.*the worker process of device 0 (pid $helper)"
for signal in INT TERM HUP; do
  begin_stopped secondary backup long.db --to bk --devices 2 --processes
  kill_at $signal $parent
  ended "parent gets SIG$signal" 6 "stopped by signal"
done

# The parent itself: nobody is left to report, so nothing may be left at all.
begin_stopped secondary backup long.db --to bk --devices 2 --processes
children=$(pgrep -P $parent)
kill -9 $parent; wait $parent 2>/dev/null
kill -CONT "$helper"
for child in $children; do wait_for is_gone "$child"; done
check "parent killed: no process stays" not kill -0 $children
check "parent killed: no file stays" is_equal "$(temporaries)" 0
rm -rf bk
check "parent killed: the same again works" run backup long.db --to bk --name again --quiet
rm -rf bk

# All at once: nobody tidies up, and what was written is no backup, under whatever name.
begin_stopped secondary backup long.db --to bk --devices 2 --processes
wait_for grew bk/.device-1.vdset.tmp 100000
kill -STOP $parent $(pgrep -P $parent)  # Else who dies later removes its file.
kill -9 $(pgrep -P $parent) $parent; wait $parent 2>/dev/null
refused "all killed: verify" 3 "incomplete" verify bk
refused "all killed: restore" 3 "incomplete" restore bk --to new.db
for device in 0 1; do mv bk/.device-$device.vdset.tmp bk/device-$device.vdset; done
refused "all killed, the files named as if whole: restore" 4 "device-" restore bk --to new.db
check "all killed: no target" test ! -e new.db
rm -rf bk

# Hand-over: a new process takes the dead one's place, and the backup is whole.
for arguments in "secondary --processes" "secondary --processes --compress zstd" \
  "worker --processes --compress zstd"; do
  role=${arguments%% *}
  begin_stopped "$role" backup long.db --to bk --devices 2 ${arguments#* } --on-helper-death \
    hand-over --json
  kill -9 "$helper"
  wait $parent
  check "hand-over, $arguments killed: exit code 0" is_equal $? 0
  check "hand-over, $arguments killed: replaced once" is_equal \
    "$(json out.txt '$.processes_replaced')" 1
  check "hand-over, $arguments killed: whole" run verify bk
  check "hand-over, $arguments killed: restore" run restore bk --to new.db --quiet
  check "hand-over, $arguments killed: identical" cmp long.db new.db
  rm -rf bk new.db
done
begin_stopped secondary backup long.db --to bk --devices 2 --processes --on-helper-death hand-over
victim=$(child_of $parent engine-backup); kill_at 9 "$victim"
ended "hand-over, but the engine is killed" 6 "the engine process (pid $victim)"

# Readers and writers of the source meanwhile; the set's name.
begin_stopped secondary backup long.db --to bk --devices 2 --processes --name taken
check "rollback journal: a writer waits during the backup" not sql long.db "create table w(a)"
refused "the set's name is in use" 7 "taken" backup small.db --to bk2 --name taken
refused "the directory is in use" 8 "at work" backup small.db --to bk
kill -CONT "$helper"; wait $parent
check "a stopped helper that goes on is no failure" is_equal $? 0
check "rollback journal: a writer writes after the backup" sql long.db "create table w(a)"
check "the set's name is free again" run backup small.db --to bk2 --name taken --quiet

# Restore.
# begin_stopped_restore: as begin_stopped. Without device 0 the restore cannot end.
begin_stopped_restore() {
  local attempt
  for attempt in {1..30}; do
    cp small.db old.db
    nice -n 19 "$vdset" restore bk --to old.db --processes --quiet >out.txt 2>err.txt & parent=$!
    wait_for has_child $parent secondary 'device=0 '
    helper=$(child_of $parent secondary 'device=0 ')
    kill -STOP "$helper" 2>/dev/null && wait_for has_settled "$helper" && sleep 0.1 &&
      [ "$(state_of "$helper")" = T ] && has_child $parent engine-restore && return
    kill -CONT "$helper" 2>/dev/null
    wait $parent
  done
  return 1
}
for role in engine-restore secondary; do
  check "$role, restore: stopped in the middle" begin_stopped_restore
  wait_for has_child $parent "$role" && victim=$(child_of $parent "$role")
  kill -9 "$victim"
  wait $parent
  check "$role killed, restore: exit code 6" is_equal $? 6
  check "$role killed, restore: the message names it" grep -q "killed by signal 9.*(pid $victim)" \
    err.txt
  check "$role killed, restore: the old file stays" cmp small.db old.db
  check "$role killed, restore: nothing else stays" is_equal "$(temporaries)" 0
done

check "nothing stays in the runtime directory" is_equal "$(ls -A "$VDSET_RUNTIME_DIR" | wc -l)" 0
check "nothing stays in /dev/shm" not sh -c 'ls /dev/shm | grep -q vdset'
print_end_times
