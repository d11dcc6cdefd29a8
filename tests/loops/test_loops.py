#!/usr/bin/env python3
"""Commands through the event loops of docs/examples/: each payload arrives, and no wake is lost.

usage: test_loops.py DIRECTORY libuv|tokio       5,000 commands; N million with VDSET_TEST_DEEP=N
       test_loops.py DIRECTORY soak [SECONDS]    both at once, an hour
DIRECTORY has the programs LOOP-agent and LOOP-engine, the library with slices of a minute, which
each process must have loaded, and late_arm.so: the build's tests/loops, or a copy. Both sides of a
set are processes of their own. The engine numbers the Writes and says what the slowest took; the
agent refuses a number that is not the next. With one command under way at a time each wake counts:
one that is lost takes a minute.
"""
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LATE_MS = 20_000  # A third of a slice; more than a starved process has ever waited.
LOOPS = ("libuv", "tokio")
COMMANDS = 5_000


@dataclass
class Run:
    engine: str
    agent: str
    devices: int
    under_way: int  # On each device.
    share: float  # Of the commands, or the seconds.

    def __str__(self):
        return (f"{self.engine} engine, {self.agent} agent, devices: {self.devices}, "
                f"under way on each: {self.under_way}")


def runs_of(loop):
    runs = [Run(loop, loop, 1, 1, 0.6), Run(loop, loop, 16, 2, 0.2), Run(loop, loop, 64, 1, 0.1)]
    if loop == "tokio":
        return runs + [Run("libuv", loop, 1, 1, 0.05), Run(loop, "libuv", 1, 1, 0.05)]
    return runs + [Run(loop, loop, 1, 4, 0.1)]


def await_from(process, look, otherwise):
    """What `look` finds, once it does; that may be after the process's end."""
    end = time.monotonic() + 60
    while True:
        is_last = process.poll() is not None or time.monotonic() > end
        if found := look():
            return found
        if is_last:
            raise RuntimeError(otherwise)
        time.sleep(0.005)


def check_library(process, words, programs):
    """By the words of its loader: the library is that of `programs`, and no other."""
    def look():
        said = words.read_text() if words.exists() else ""
        return said if "transferring control" in said else None

    said = await_from(process, look, "the loader did not say which library it took")
    loaded = set(re.findall(r"calling init: (.*/libvdset\.so.*)", said))
    if {Path(path).parent.resolve() for path in loaded} != {programs}:
        raise RuntimeError(f"loaded {loaded or 'no libvdset'}, not the library of {programs}")


def play(programs, run, amount, patience, preload=None):
    """Plays a set's life; what the engine and the agent said at their good ends."""
    said = {}
    processes = {}

    def start(role, name, *arguments, **more):
        processes[role] = subprocess.Popen(
            [programs / f"{name}-{role}", "loop", str(run.devices), *arguments],
            env={**environment, **more}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        check_library(processes[role], Path(f"{words}.{processes[role].pid}"), programs)

    with tempfile.TemporaryDirectory() as directory:
        words = Path(directory, "loader")  # And the number of the process.
        environment = {**os.environ, "LD_LIBRARY_PATH": str(programs), "LD_DEBUG": "files",
                       "LD_DEBUG_OUTPUT": str(words), "VDSET_RUNTIME_DIR": directory}
        try:
            start("agent", run.agent, **({"LD_PRELOAD": str(preload)} if preload else {}))
            await_from(processes["agent"], lambda: list(Path(directory).glob("*.sock")),
                       "the agent created no set")
            start("engine", run.engine, str(run.under_way), amount)
            for role in ("engine", "agent"):
                said[role] = processes[role].communicate(timeout=patience)[0]
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
    failures = [f"the {role} ended with {processes[role].returncode}: {text.strip()}"
                for role, text in said.items() if processes[role].returncode != 0]
    if failures:
        raise RuntimeError("; ".join(failures))
    return said


def judge(said, least, late_ms=LATE_MS):
    """How many commands there were, and what the slowest took; raises what is wrong."""
    sent, slowest = map(int, re.fullmatch(
        r"engine: (\d+) commands, the slowest took (\d+) ms\n", said["engine"]).groups())
    seen = int(re.fullmatch(r"agent: (\d+) commands\n", said["agent"])[1])
    if seen != sent or sent < least:
        raise RuntimeError(f"{sent} sent, {seen} seen, at least {least} expected")
    if slowest >= late_ms:
        raise RuntimeError(f"lost wake: {sent} commands, the slowest took {slowest} ms")
    return sent, slowest


def attempt(what, call):
    """One check: 1 and its commands if it passed, else 0."""
    begun = time.monotonic()
    try:
        sent, slowest = call()
    except (OSError, RuntimeError, subprocess.TimeoutExpired, AttributeError) as failure:
        print(f"FAILED: {what}: {failure}", flush=True)
        return 0, 0
    print(f"{what}: {sent} commands in {time.monotonic() - begun:.1f} s, no lost wake, "
          f"the slowest took {slowest} ms", flush=True)
    return 1, sent


def notices_a_late_wake(programs, loop):
    """The judge's own test."""
    run = Run(loop, loop, 1, 1, 1)
    said = play(programs, run, "300", 60, preload=programs / "late_arm.so")
    try:
        judge(said, 300, late_ms=1000)
    except RuntimeError as failure:
        if "lost wake" in str(failure):
            return judge(said, 300)
    raise RuntimeError(f"a wake that came two seconds late was not noticed: {said}")


def count_commands(programs, loop):
    total = int(os.environ.get("VDSET_TEST_DEEP") or 0) * 1_000_000 or COMMANDS
    checks = [("a wake that comes late is noticed", lambda: notices_a_late_wake(programs, loop))]
    for run in runs_of(loop):
        share = round(total * run.share)
        checks.append((str(run), lambda run=run, share=share: judge(
            play(programs, run, str(share), 1500), share)))
    return [attempt(*check) for check in checks]


def soak(programs, seconds):
    def lane(loop):
        results = []
        for run in runs_of(loop):
            share = max(round(seconds * run.share), 1)
            results.append(attempt(str(run), lambda run=run, share=share: judge(
                play(programs, run, f"{share}s", share + 600), run.devices)))
        return results

    with ThreadPoolExecutor(len(LOOPS)) as pool:
        return [result for results in pool.map(lane, LOOPS) for result in results]


def main():
    programs, what = Path(sys.argv[1]).resolve(), sys.argv[2]
    if what == "soak":
        seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 3600
        begun = time.monotonic()
        results = soak(programs, seconds)
        print(f"soak of {time.monotonic() - begun:.0f} s: ", end="")
    else:
        results = count_commands(programs, what)
    good = sum(passed for passed, _ in results)
    print(f"{sum(sent for _, sent in results)} commands")
    print(f"{good} passed, {len(results) - good} failed")
    return 0 if good == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
