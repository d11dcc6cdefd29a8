# tools.sh: what the tests of the shell command share: a directory of their own, counted checks,
# small databases. Sourced with the test's arguments.
vdset=${1:?usage: $0 VDSET_BINARY}
vdset=$(readlink -f "$vdset")
work=$(readlink -f "$(mktemp -d "${TMPDIR:-/tmp}/vdset-test-XXXXXX")")  # As /proc shows it.
export VDSET_RUNTIME_DIR=$work/runtime
mkdir -m 700 "$VDSET_RUNTIME_DIR"
cd "$work" || exit 1
passed=0
failed=0
limit_s=60  # A watchdog, not an assertion about speed.

finish() {
  local stragglers
  stragglers=$(jobs -p)
  [ -n "$stragglers" ] && kill -9 $stragglers 2>/dev/null
  cd / && rm -rf "$work"
}
trap finish EXIT

ok() { passed=$((passed + 1)); echo "ok   $1"; }
bad() { failed=$((failed + 1)); echo "FAIL $1${2:+ ($2)}"; }
# check NAME COMMAND...: the command succeeds.
check() {
  local name=$1; shift
  if "$@" >/dev/null 2>"$work/check.err"; then
    ok "$name"
  else
    bad "$name" "$*: $(head -c 300 "$work/check.err")"
  fi
}
# A sanitizer needs memory, addresses and descriptors of its own: what counts those is left out.
is_bare=1
nm -D --undefined-only "$vdset" | grep -q __asan_init && is_bare=0
check_bare() {
  if [ $is_bare = 1 ]; then check "$@"; else echo "left out under a sanitizer: $1"; fi
}
not() { ! "$@"; }
is_equal() { [ "$1" = "$2" ]; }

run() { timeout -k 5 $limit_s "$vdset" "$@"; }
sql() { sqlite3 "$@"; }
json() { sql :memory: "select json_extract(readfile('$1'), '$2')"; }
# max_private FILE: the largest private_peak_bytes of all processes.
max_private() {
  sql :memory: "select max(json_extract(value,'\$.private_peak_bytes'))
    from json_each(readfile('$1'),'\$.peak_memory')"
}
file_bytes() { stat -c %s "$1" 2>/dev/null || echo 0; }

# refused NAME CODE PATTERN ARGUMENTS...: exit code, and one line "vdset: WHAT: WHERE; DO THIS".
refused() {
  local name=$1 code=$2 pattern=$3 got lines; shift 3
  run "$@" --quiet >out.txt 2>err.txt; got=$?
  [ "$1" = verify ] && { run "$@" >out.txt 2>err.txt; got=$?; }
  lines=$(grep -vc '^vdset: note: ' err.txt)
  if [ $got -eq "$code" ] && [ "$lines" -eq 1 ] && grep -q "^vdset: .*: .*; " err.txt &&
      grep -q -- "$pattern" err.txt; then
    ok "$name"
  else
    bad "$name" "exit $got instead of $code, $lines lines: $(head -c 400 err.txt)"
  fi
}

# make_database PATH PAGE_SIZE ROWS JOURNAL
make_database() {
  rm -f "$1" "$1-wal" "$1-shm"
  sql "$1" "pragma page_size=$2; pragma journal_mode=$4;
    create table t(a integer primary key, b blob, c text);
    with recursive n(i) as (select 1 union all select i+1 from n where i<$3)
    insert into t select i, randomblob(200 + i % 900), hex(zeroblob(i % 300)) from n;
    create index x on t(b);" >/dev/null
}

same_content() { [ "$(sql "$1" '.sha3sum')" = "$(sql "$2" '.sha3sum')" ] && [ \
  "$(sql "$2" 'pragma integrity_check')" = ok ]; }

# flip FILE OFFSET: changes one bit.
flip() {
  local byte
  byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
  printf "$(printf '\\%03o' $((byte ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# wait_for CONDITION...: until it holds; the watchdog is 10 s.
wait_for() {
  local deadline=$((SECONDS + 10))
  until "$@"; do
    [ $SECONDS -ge $deadline ] && return 1
    read -rt 0.005 <> <(:) || true
  done
}
child_of() { pgrep -P "$1" -f "__$2.*${3:-}" | head -1; }
has_child() { [ -n "$(child_of "$@")" ]; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }
grew() { [ "$(file_bytes "$1")" -gt "$2" ]; }
temporaries() { find "$work" -name '.*.tmp' | wc -l; }

# summed: the last line of a test, and its exit code.
summed() {
  echo "$passed passed, $failed failed"
  [ $failed -eq 0 ]
}
