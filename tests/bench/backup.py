"""The whole tool beside cp and sqlite3's .backup: the same database, the same disk.

Rows as the bench program prints them. cp is timed twice: as it is, and with a sync of its copy, for
the two others end with one. `.backup` and `vdset backup` write files; through a pipe means that the
result then goes through `cat | cat`, and for cp that nothing else happens.
"""
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

BYTES = {"full": 1 << 30, "quick": 128 << 20, "tiny": 4 << 20}
ROW_BYTES = 8192
REPETITIONS = 3
SECONDS_MAX = 90  # Of a whole run: on a slow disk there are fewer repetitions.


def generate(path, size):
    """A database of about so many bytes: half of each row is noise, the other half zeros."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    base = sqlite3.connect(part)
    base.executescript(f"""
        PRAGMA page_size = 4096; PRAGMA journal_mode = off; PRAGMA synchronous = off;
        CREATE TABLE reading (id INTEGER PRIMARY KEY, noise BLOB NOT NULL, spare BLOB);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
                                 WHERE i < {size // ROW_BYTES})
        INSERT INTO reading SELECT i, randomblob(4050), zeroblob(4050) FROM n;""")
    base.close()
    part.rename(path)


def database(build, size):
    """The database of this size, made once; its pages are in the cache afterwards."""
    folder = build / "bench-data"
    folder.mkdir(exist_ok=True)
    path = folder / f"{size >> 20}-MiB.sqlite"
    if not path.exists():
        generate(path, size)
    with open(path, "rb") as file:
        while file.read(1 << 24):
            pass
    return path


def ways(tool, source, target):
    """(row, command): each writes below `target`, which is empty before."""
    backup = f"{tool} backup {source} --to {target}/backup --quiet"
    copied = f"sqlite3 {source} '.backup {target}/copy'"
    yield "vdset backup", backup
    yield "sqlite3 .backup", copied
    yield "cp, not synced", f"cp {source} {target}/copy"
    yield "cp and sync", f"cp {source} {target}/copy && sync {target}/copy"
    piped = f"cat | cat > {target}/piped"
    yield "vdset backup, then through a pipe", f"{backup} && cat {target}/backup/device-* | {piped}"
    yield "sqlite3 .backup, then through a pipe", f"{copied} && cat {target}/copy | {piped}"
    yield "cp through a pipe", f"cat {source} | {piped}"


def timed(command, target):
    """Seconds of a shell command, from a disk at rest; the target is removed before and after."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    os.sync()
    before = time.monotonic()
    run = subprocess.run(["bash", "-o", "pipefail", "-c", command], check=False, text=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE)
    seconds = time.monotonic() - before
    if run.returncode != 0:
        sys.exit(f"backup: {command}: {run.stderr.strip()}")
    written = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    shutil.rmtree(target)
    return seconds, written


def measure(build, size_name):
    """Yields rows; each repetition begins with another way."""
    begun = time.monotonic()
    size = BYTES[size_name]
    source = database(build, size)
    target = build / "bench-data" / f"out-{os.getpid()}"
    rows = list(ways(*(shlex.quote(str(path)) for path in (
        build / "bindings" / "cli" / "vdset", source, target))))
    has_sqlite = shutil.which("sqlite3") is not None
    for repetition in range(REPETITIONS if size_name != "tiny" else 1):
        spent = time.monotonic() - begun
        if repetition > 0 and spent + spent / repetition > SECONDS_MAX:
            return
        for row, command in rows[repetition * 2:] + rows[:repetition * 2]:
            if "sqlite3" in row and not has_sqlite:
                if repetition == 0:
                    yield {"bench": "backup", "row": row, "absent": "sqlite3 is not installed"}
                continue
            seconds, written = timed(command, target)
            if written < source.stat().st_size:
                sys.exit(f"backup: {row} wrote {written} bytes of {source.stat().st_size}")
            yield {"bench": "backup", "row": row, "unit": "s", "x": size >> 20, "value": seconds,
                   "repetition": repetition}
