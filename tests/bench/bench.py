#!/usr/bin/env python3
"""Measures vdset beside everyone else: runs the bench program, adds up, judges, records.

usage: bench.py BUILD_DIRECTORY [NAME] [--quick] [--record] [--smoke]

Helped by results.py (medians, tables), targets.py (what should be), plots.py (SVG), backup.py (the
whole tool), bindings.py (Rust, Go) and instructions.py (callgrind). --record writes JSON, tables
and plots into docs/performance. --smoke does everything in miniature and asserts no time; its last
line is `N passed, N failed`.
"""
import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

import backup
import bindings
import instructions
import plots
import results
import targets

ROOT = Path(__file__).resolve().parent.parent.parent
RECORD = ROOT / "docs" / "performance"
PROGRAM_BENCHES = ("handles", "trip", "one-processor", "stream", "bulk", "devices", "times", "idle")
SMOKE_BENCHES = (*PROGRAM_BENCHES, "backup", "instructions")
BENCHES = (*SMOKE_BENCHES, "bindings")  # The bindings' own tests run it in miniature.
SECONDS_MAX = 240  # One measure, however slow the machine.
SIZE_OPTIONS = {"full": [], "quick": ["--quick"], "tiny": ["--tiny"]}


def lines_of(command):
    """The lines of JSON that a program prints; its failure ends this one."""
    run = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                         stdout=subprocess.PIPE, check=False, timeout=SECONDS_MAX)
    if run.returncode != 0:
        sys.exit(f"bench: {' '.join(str(word) for word in command)}: exit code {run.returncode}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def instruction_rows(build):
    if not instructions.has_valgrind():
        yield {"bench": "instructions", "row": "all", "absent": "valgrind is not installed"}
        return
    for name, count in instructions.count(build / "tests" / "bench" / "ops")[1].items():
        yield {"bench": "instructions", "row": name.removeprefix("op_"), "unit": "instructions",
               "value": count}


def measure(build, name, size):
    if name == "backup":
        return list(backup.measure(build, size))
    if name == "bindings":
        return list(bindings.measure(build))
    if name == "instructions":
        return list(instruction_rows(build))
    return lines_of([build / "tests" / "bench" / "bench", name, *SIZE_OPTIONS[size]])


def first_match(path, pattern):
    match = re.search(pattern, Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    return match[1].strip() if match else ""


def words_of(command):
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True, check=False)
    return run.stdout.strip()


def about(build):
    """Machine, compiler, commit: what a figure means nothing without."""
    program = lines_of([build / "tests" / "bench" / "bench", "about"])[0]
    changed = words_of(["git", "status", "--porcelain", "--untracked-files=no"])
    return {
        "processor": first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$")
                     or platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "hypervisor": "hypervisor" in first_match("/proc/cpuinfo", r"^(?:flags|Features)\s*:(.*)$"),
        "load_before": os.getloadavg()[0],
        "compiler": program["compiler"],
        "real_time": program["real_time"],
        "commit": words_of(["git", "rev-parse", "--short=12", "HEAD"])
                  + (", with changes" if changed else ""),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def described(machine):
    quiet = machine["load_before"] < 0.5
    return (f"{machine['processor']}, {machine['processors']} processors"
            f"{' of a virtual machine' if machine['hypervisor'] else ''}, "
            f"{machine['memory_gib']} GiB, Linux {machine['kernel']}; {machine['compiler']}; "
            f"commit {machine['commit']}; {machine['date']}; "
            f"{'real time' if machine['real_time'] else 'no real time'} for pollers; load "
            f"{machine['load_before']:.1f} before"
            f"{'' if quiet else ': a BUSY machine, figures are provisional'}")


def report(machine, measured):
    """The whole of it in Markdown."""
    judged = targets.judge(measured)
    parts = [described(machine) + ".\n"]
    if judged:
        parts.append("### Targets\n\n" + targets.as_table(judged) + "\n")
    return "\n".join([*parts, results.tables(measured)])


def wrapped(text, columns=160):
    """Lines of a table may be long, others not."""
    out = []
    for line in text.splitlines():
        while len(line) > columns and not line.startswith("|"):
            at = line.rindex(" ", 0, columns)
            out.append(line[:at])
            line = line[at + 1:]
        out.append(line)
    return "\n".join(out)


def record(folder, machine, measured):
    """Writes JSON, plots, and the tables between the two marks of README.md."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(json.dumps(row) for row in measured.as_json())
    judged = ",\n".join(json.dumps(dict(zip(("measure", "target", "found", "verdict"), t.row())))
                        for t in targets.judge(measured))
    (folder / "latest.json").write_text(
        f'{{"machine": {json.dumps(machine, indent=1)},\n"targets": [\n{judged}\n],\n'
        f'"rows": [\n{rows}\n]}}\n', encoding="utf-8")
    for name, text in plots.draw(measured).items():
        (folder / name).write_text(text, encoding="utf-8")
    readme = folder / "README.md"
    before, _, _ = readme.read_text(encoding="utf-8").partition("<!-- latest -->")
    readme.write_text(f"{before}<!-- latest -->\n{wrapped(report(machine, measured)).strip()}\n",
                      encoding="utf-8")


def run_benches(build, names, size):
    rows = []
    for name in names:
        begun = time.monotonic()
        rows += measure(build, name, size)
        print(f"bench: {name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return rows


# ---- The smoke test. ----

class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, good):
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print(f"FAILED: {what}")


def check_rows(checks, name, rows):
    """It measured something, and nothing that cannot be."""
    checks.check(f"{name}: rows", rows)
    measured = [row for row in rows if "absent" not in row]
    needs_two = any("two processors" in row.get("absent", "") for row in rows)
    checks.check(f"{name}: a measured row", measured or needs_two)
    may_be_nothing = ("starts", "idle")
    checks.check(f"{name}: values", all(
        row["value"] > 0 or row["bench"] in may_be_nothing for row in measured))
    checks.check(f"{name}: quantiles in order", all(
        row["p50"] <= row["p99"] <= row.get("p999", row["p99"])
        for row in measured if "p99" in row))
    checks.check(f"{name}: every absence has a reason",
                 all(row["absent"] for row in rows if "absent" in row))


def smoke(build):
    """Everything in miniature: whether it measures, judges, draws and records; no times."""
    checks = Checks()
    rows = []
    for name in SMOKE_BENCHES:
        some = measure(build, name, "tiny")
        check_rows(checks, name, some)
        rows += some
    line = "handle round trip: Go 90.0 ns, C 10.0 ns, 9.00 x C; with 2 empty calls 66.0 ns, 1.36 x"
    rows.append(bindings.row_of(line))
    checks.check("a line that is no measure", bindings.row_of(line.replace("ns", "s")) is None)
    measured = results.Results(rows)
    machine = about(build)
    judged = targets.judge(measured)
    checks.check("targets are judged", len(judged) >= (20 if machine["processors"] > 1 else 8))
    for title, bench in ((results.TITLES[bench], bench) for bench in results.TITLES):
        checks.check(f"{bench}: has a table", f"### {title}" in report(machine, measured))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "README.md").write_text("kept\n<!-- latest -->\ngone\n", encoding="utf-8")
        record(folder, machine, measured)
        text = (folder / "README.md").read_text(encoding="utf-8")
        checks.check("the words before the mark stay", text.startswith("kept\n"))
        checks.check("the last record goes", "gone" not in text and "### Targets" in text)
        saved = json.loads((folder / "latest.json").read_text(encoding="utf-8"))
        checks.check("the record is whole", len(saved["rows"]) == len(measured.as_json()))
        for plot in folder.glob("*.svg"):
            root = xml.etree.ElementTree.parse(plot).getroot()
            checks.check(f"{plot.name} is a drawing", root.tag.endswith("svg") and len(root) > 5)
        checks.check("plots", len(list(folder.glob("*.svg"))) >= 3)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


def main():
    parser = argparse.ArgumentParser(description="Measures vdset beside everyone else.")
    parser.add_argument("build", type=Path)
    parser.add_argument("name", nargs="?", choices=BENCHES)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    build = options.build.resolve()
    if options.smoke:
        return smoke(build)
    if options.name == "instructions" and options.record:
        return subprocess.run([sys.executable, instructions.__file__, str(build), "--record"],
                              check=False).returncode
    if options.record and (options.name or options.quick):
        sys.exit("bench: --record takes a whole run: no NAME, no --quick")
    machine = about(build)
    names = [options.name] if options.name else BENCHES
    measured = results.Results(run_benches(build, names, "quick" if options.quick else "full"))
    print(report(machine, measured))
    if options.record:
        record(RECORD, machine, measured)
        print(f"bench: recorded in {RECORD.relative_to(ROOT)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
