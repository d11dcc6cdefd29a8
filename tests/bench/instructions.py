#!/usr/bin/env python3
"""Instructions per operation, counted by callgrind: the regression gate, because times are noisy.

usage: instructions.py BUILD_DIRECTORY [--record]

Compares each operation of build/tests/bench/ops with the table instructions.tsv, both ways: more
is a regression, fewer is a gain that the table should keep. Then shows that the gate works: a
program with a planted regression must be refused. --record renews the table instead. The last line
is `N passed, N failed`.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TABLE = Path(__file__).with_name("instructions.tsv")
CALLS = 1000
RENEW = "if this is meant, renew the table: ./dev bench instructions --record"
# Allowed either way: a share and a few instructions, with the compiler of the table; and with
# another one, whose code differs anyhow.
TOLERANCE = {True: (0.03, 2), False: (0.30, 20)}
PLANTED = "op_map_buffer_handle"


def inclusive_counts(callgrind_output):
    """{operation: instructions per call}, of the functions called op_*."""
    names, calls, costs = {}, {}, {}
    wanted = number = None
    for line in callgrind_output.splitlines():
        if match := re.match(r"cfn=\((\d+)\)(?: (.+))?", line):
            if match[2]:
                names[match[1]] = match[2]
            name = names.get(match[1], "")
            wanted = name if name.startswith("op_") else None
        elif match := re.match(r"fn=\((\d+)\) (.+)", line):
            names[match[1]] = match[2]
        elif match := re.match(r"calls=(\d+)", line):
            number = int(match[1])
        elif wanted and number and (match := re.match(r"[\d+*-]+ (\d+)$", line)):
            calls[wanted] = calls.get(wanted, 0) + number
            costs[wanted] = costs.get(wanted, 0) + int(match[1])
            wanted = number = None
    return {name: costs[name] / calls[name] for name in sorted(costs)}


def has_valgrind():
    return shutil.which("valgrind") is not None


def count(program):
    """Runs a program under callgrind: (what it was built with, its counts)."""
    if not has_valgrind():
        sys.exit("instructions: valgrind is not installed; ./dev test and ./dev bench see to it")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind"
        # The main thread's file is the first; the library's own threads have others.
        run = subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", "--separate-threads=yes",
             f"--callgrind-out-file={out}", str(program), str(CALLS)],
            env={**os.environ, "LD_BIND_NOW": "1", "VDSET_RUNTIME_DIR": folder},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if run.returncode != 0:
            sys.exit(f"instructions: {program} failed under valgrind: {run.stderr.strip()}")
        counts = inclusive_counts(Path(f"{out}-01").read_text(encoding="utf-8"))
    if not counts:
        sys.exit("instructions: callgrind counted no operation")
    return run.stdout.strip(), counts


def read_table():
    """(compiler, counts) of the table."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    compiler = next(line[2:] for line in lines if line.startswith("# g++"))
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return compiler, {name: float(number) for name, number in rows}


def write_table(compiler, counts):
    share, few = TOLERANCE[True]
    rows = "".join(f"{name}\t{number:.0f}\n" for name, number in counts.items())
    TABLE.write_text(
        "# Instructions per operation. Renewed by ./dev bench instructions --record.\n"
        f"# Allowed: {share:.0%} and {few} instructions either way, with this compiler:\n"
        f"# {compiler}\n{rows}", encoding="utf-8")


def judge(compiler, counts, against):
    """What is wrong beside a table, by operation; an empty text where nothing is."""
    table_compiler, table = against
    share, few = TOLERANCE[compiler == table_compiler]
    verdicts = {}
    for name in sorted({*table, *counts}):
        if name not in table or name not in counts:
            where = "table" if name not in table else "program"
            verdicts[name] = f"{name} is not in the {where}: {RENEW}"
            continue
        expected, found = table[name], counts[name]
        allowed = expected * share + few
        change = "regression" if found > expected else "gain"
        verdicts[name] = "" if abs(found - expected) <= allowed else (
            f"{name}: {found:.0f} instructions, the table says {expected:.0f}, allowed are "
            f"{allowed:.0f} either way: a {change}; {RENEW}")
    return verdicts


def main():
    parser = argparse.ArgumentParser(description="Instructions per operation.")
    parser.add_argument("build", type=Path)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    programs = options.build / "tests" / "bench"
    compiler, counts = count(programs / "ops")
    if options.record:
        write_table(compiler, counts)
    for name, number in counts.items():
        print(f"{number:7.0f}  {name}")
    verdicts = judge(compiler, counts, read_table())
    complaints = [complaint for complaint in verdicts.values() if complaint]
    print("\n".join(complaints))
    # Beside what was just counted, so that it is seen with any compiler.
    planted = judge(*count(programs / "ops_planted"), (compiler, counts))
    refused = "regression" in planted.get(PLANTED, "")
    if not refused:
        print(f"the planted regression of {PLANTED} was not seen: the gate is broken")
    failed = len(complaints) + (not refused)
    print(f"{len(verdicts) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
