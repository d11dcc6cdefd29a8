#!/usr/bin/env bash
# The demonstration: two databases go through shared memory and come back identical. Each is backed
# up through 4 devices by 4 secondary processes, compressed by workers that get buffer handles, then
# verified, restored and compared. Leaves nothing behind. `./dev demo` builds first and runs this.
# usage: demo.sh [--size MIB]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tool=${VDSET_TOOL:-$root/build/bindings/cli/vdset}
registry=/usr/share/proj/proj.db
size_mib=256
devices=4

die() {
  echo "demo: $*" >&2
  exit 1
}

case "$#:${1-}" in
  0:) ;;
  2:--size) size_mib=$2 ;;
  *) die "takes --size MIB and nothing else" ;;
esac
[[ $size_mib =~ ^[1-9][0-9]{0,5}$ ]] || die "--size takes MiB from 1 to 999999, not '$size_mib'"
[[ -x $tool ]] || die "$tool is not there: ./dev build makes it"
[[ -r $registry ]] || die "$registry is not there: it is in Debian's package proj-data"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/vdset-demo.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
mkdir -m 700 "$scratch/rendezvous"
export VDSET_RUNTIME_DIR=$scratch/rendezvous
free_mib=$(df -Pm "$scratch" | awk 'NR == 2 {print $4}')
((free_mib > 3 * size_mib + 128)) ||
  die "$scratch has $free_mib MiB free, $((3 * size_mib + 128)) are needed: set TMPDIR or --size"
shared_names() { find /dev/shm -iname '*vdset*' 2>/dev/null | sort; }
shared_before=$(shared_names)

# About size_mib MiB that compress to less than half: text, numbers, noise and zeros, and an index.
generate() {
  sqlite3 "$1" >/dev/null <<END
PRAGMA page_size = 4096;
PRAGMA journal_mode = off;
PRAGMA synchronous = off;
BEGIN;
CREATE TABLE reading (id INTEGER PRIMARY KEY, taken TEXT NOT NULL, value REAL NOT NULL,
  note TEXT NOT NULL, noise BLOB NOT NULL, spare BLOB);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $size_mib * 128)
INSERT INTO reading
  SELECT i, datetime(1700000000 + i * 60, 'unixepoch'), (random() % 100000) / 1000.0,
    printf('sensor %03d of station %05d: calm and dry, light breeze from the west', i % 97, i / 97),
    randomblob(3100), zeroblob(3000)
  FROM n;
CREATE INDEX reading_taken ON reading (taken);
COMMIT;
END
}

# contents DATABASE: a hash over every row and the schema, by SQLite itself.
contents() { sqlite3 -readonly "$1" '.sha3sum --schema --sha3-256'; }

run_tool() {  # run_tool RESULT WORDS...: runs the tool; its last line is the result, as JSON.
  local result=$1
  shift
  "$tool" "$@" --json >"$scratch/lines" || die "vdset $1 failed with exit code $?; see above"
  tail -n 1 "$scratch/lines" >"$result"
}

# report VERB RESULT: what the tool says it did, in words. A number it does not say is an error.
report() {
  local words
  words=$(sqlite3 :memory: "
    WITH said (j) AS (SELECT CAST(readfile('$2') AS TEXT)),
    f AS (SELECT j ->> 'bytes' AS bytes, j ->> 'seconds' AS seconds,
      j ->> 'handles_passed' AS handles, j ->> 'copied_bytes' AS copied FROM said)
    SELECT printf('  %-8s %.1f MiB in %.2f s, %.2f GiB/s', '$1', bytes / 1048576.0, seconds,
      bytes / 1073741824.0 / max(seconds, 0.000001)) || char(10)
      || printf('           %d handles passed; copied through private memory: %s', handles,
      CASE copied WHEN 0 THEN 'none' ELSE printf('%.1f MiB', copied / 1048576.0) END)
    FROM f WHERE bytes > 0 AND seconds > 0 AND handles >= ('$1' = 'backup') AND copied >= 0;")
  [[ -n $words ]] || die "vdset $1 did not say what it did: $(cat "$2")"
  echo "$words"
}

round_trip() {  # round_trip DATABASE
  local database=$1 before after whole
  run_tool "$scratch/backup.json" backup "$database" --to "$scratch/backup" --devices "$devices" \
    --processes --compress zstd
  report backup "$scratch/backup.json"
  echo "           $(du -sm "$scratch/backup" | cut -f 1) MiB on disk," \
    "$(find "$scratch/backup" -type f | wc -l) files"
  run_tool "$scratch/verify.json" verify "$scratch/backup"
  run_tool "$scratch/restore.json" restore "$scratch/backup" --to "$scratch/restored.sqlite"
  report restore "$scratch/restore.json"
  whole=$(sqlite3 -readonly "$scratch/restored.sqlite" 'PRAGMA integrity_check')
  [[ $whole == ok ]] || die "the restored database fails its integrity check: $whole"
  before=$(contents "$database")
  after=$(contents "$scratch/restored.sqlite")
  [[ -n $before && $before == "$after" ]] ||
    die "the restored database differs: $before was backed up, $after came back"
  echo "  the restored database is identical: integrity ok, SHA3 ${before:0:16}... of both"
  rm -rf "$scratch/backup" "$scratch/restored.sqlite"
}

echo "vdset demo: $devices devices, $devices secondary processes, zstd by workers that get handles"
echo
echo "$registry, the registry of coordinate systems that Debian ships"
round_trip "$registry"
echo
generate "$scratch/generated.sqlite"
echo "a generated database of $(du -m "$scratch/generated.sqlite" | cut -f 1) MiB"
round_trip "$scratch/generated.sqlite"
echo
left=$(ls -A "$VDSET_RUNTIME_DIR")$(comm -13 <(echo "$shared_before") <(shared_names))
[[ -z $left ]] || die "left behind: $left"
echo "Both restored databases are identical to the originals; nothing is left in shared memory."
