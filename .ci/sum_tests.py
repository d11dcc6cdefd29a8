#!/usr/bin/env python3
"""Runs the house rules and every test that meson knows, and adds up what they counted.

usage: sum_tests.py BUILD_DIRECTORY [--deep N]

Prints `suite NAME: N passed, N failed` for each and the sum as the last line. A case that says
`skipped: ` at the beginning of a line did not pass: it is counted apart. A test must end with
a count: doctest's line, or `N passed, N failed`. No count, a count of nothing, a bad exit code and
a time-out are failures. The suite `deep` runs only with --deep. Exit code 0: something ran and
nothing failed.
"""
import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALL_SECONDS = 15 * 60
LINES_SHOWN = 60
RUNNING = set()  # Process groups, so that an interrupt leaves none behind.
COUNT = re.compile(
    r"^\[doctest\] test cases:\s*\d+\s*\|\s*(?P<dp>\d+) passed\s*\|\s*(?P<df>\d+) failed\b"
    r"|^(?P<p>\d+) passed, (?P<f>\d+) failed\b", re.MULTILINE)
SKIPPED = re.compile(r"^skipped: ", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Test:
    name: str
    command: list
    timeout: float
    environment: dict = field(default_factory=dict)
    directory: str = str(ROOT)
    alone: bool = False


@dataclass
class Result:
    name: str
    passed: int
    failed: int
    why: str  # Empty, or why this counts as a failure beyond what the test itself counted.
    seconds: float
    log: Path


def skipped(text):
    return len(SKIPPED.findall(text))


def judge(text, code):
    """What a test's output and exit code count for: (passed, failed, why)."""
    counts = list(COUNT.finditer(COLOUR.sub("", text)))
    if not counts:
        return 0, 1, f"printed no count (exit code {code})"
    last = counts[-1]
    passed = max(int(last["dp"] or last["p"] or 0) - skipped(text), 0)
    failed = int(last["df"] or last["f"] or 0)
    if passed + failed == 0:
        return 0, 1, "ran nothing"
    if code != 0 and failed == 0:
        return passed, 1, f"counted no failure but ended with exit code {code}"
    return passed, failed, ""


def end_group(leader):
    """Ends whatever a test left running; its process started the group: nothing else is in it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def interrupted(number, _frame):
    for leader in list(RUNNING):
        end_group(leader)
    os._exit(128 + number)


def ended_within(process, seconds):
    """Waits without reaping, so that the number of the process group stays taken meanwhile."""
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True


def run(test, logs, deadline):
    """Runs one test in a process group of its own, its output in a log file."""
    log = logs / (re.sub(r"[^\w.-]+", "_", test.name) + ".log")
    begun = time.monotonic()
    limit = min(test.timeout, deadline - begun)
    if limit <= 0:
        log.write_text("")
        return Result(test.name, 0, 1, "not run: the time for all tests is over", 0.0, log)
    why = ""
    with open(log, "wb") as out:
        process = subprocess.Popen(
            test.command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            cwd=test.directory, env={**os.environ, **test.environment}, start_new_session=True)
        RUNNING.add(process.pid)
        if not ended_within(process, limit):
            why = f"ended by the watchdog after {limit:.0f} s"
        end_group(process.pid)
        code = process.wait()
        RUNNING.discard(process.pid)
    passed, failed, fault = judge(log.read_text(errors="replace"), code)
    if why:
        failed, fault = max(failed, 1), why
    return Result(test.name, passed, failed, fault, time.monotonic() - begun, log)


def known_tests(build, deep):
    """The house rules and their own test, then what meson knows."""
    tests = [Test(f"rules/{name}", [sys.executable, str(ROOT / ".ci" / f"{name}.py")], 120)
             for name in ("tidy", "self_test")]
    listed = subprocess.run(["meson", "introspect", "--tests", str(build)], check=True,
                            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout
    for entry in json.loads(listed):
        suites = [suite.split(":")[-1] for suite in entry["suite"]]
        if "deep" in suites and not deep:
            continue
        tests.append(Test("/".join([*suites[:1], entry["name"]]), entry["cmd"],
                          entry["timeout"] * max(deep, 1), entry["env"],
                          entry["workdir"] or str(build), not entry["is_parallel"]))
    return tests


def report(result):
    print(f"suite {result.name}: {result.passed} passed, {result.failed} failed", flush=True)
    lines = result.log.read_text(errors="replace").splitlines()
    for line in lines:
        if SKIPPED.match(line):
            print(f"  {line}", flush=True)
    if not result.failed:
        return
    if result.why:
        print(f"  {result.why}")
    for line in lines[-LINES_SHOWN:]:
        print(f"  | {line}")
    print(f"  all {len(lines)} lines: {result.log}", flush=True)


def run_all(tests, logs, deadline):
    """Tests that may share the machine side by side, then the others one by one."""
    results = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        together = [test for test in tests if not test.alone]
        for result in pool.map(lambda test: run(test, logs, deadline), together):
            report(result)
            results.append(result)
    for test in tests:
        if test.alone:
            results.append(run(test, logs, deadline))
            report(results[-1])
    return results


def main():
    parser = argparse.ArgumentParser(description="Runs every test and adds up.")
    parser.add_argument("build", type=Path)
    parser.add_argument("--deep", type=int, default=0, metavar="N")
    options = parser.parse_args()
    if options.deep:
        os.environ["VDSET_TEST_DEEP"] = str(options.deep)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    build = options.build.resolve()
    logs = build / "test-logs"
    logs.mkdir(exist_ok=True)
    begun = time.monotonic()
    tests = known_tests(build, options.deep)
    results = run_all(tests, logs, begun + ALL_SECONDS * (1 + 4 * options.deep))
    slowest = sorted(results, key=lambda result: -result.seconds)[:3]
    print(f"{len(results)} suites in {time.monotonic() - begun:.0f} s; slowest:",
          ", ".join(f"{result.name} {result.seconds:.1f} s" for result in slowest))
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    left_out = sum(skipped(result.log.read_text(errors="replace")) for result in results)
    if left_out:
        print(f"{left_out} skipped: this machine or user cannot run them")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
