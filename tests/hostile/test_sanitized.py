#!/usr/bin/env python3
"""Deep tier. Goal: nothing that this project runs reads or writes what is not its own, does what
C++ does not define, or loses memory. Method: every test that meson knows, in a build under gcc's
address and undefined-behaviour sanitizers, with leak checks; 2,000 N scribbled rounds there; what
valgrind can follow, under valgrind. What is left out is listed with its reason: a test that is
neither run nor listed fails. A program that does wrong on purpose must be told of first.

usage: test_sanitized.py BUILD_DIR ORDINARY_BUILD_DIR [SUITE/NAME | valgrind]...
  with names: these alone, for work on them. VDSET_TEST_DEEP=N
"""
import fnmatch
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".ci"))
import sum_tests  # noqa: E402

# Programs are three to ten times as slow.
TIMES_SLOWER = 10

# Not run, and why.
LEFT_OUT = {
    "*/*-mutant": "must end badly, each in its own way",
    "*/mutant-*": "must end badly, each in its own way",
    "crash/crash-mutants": "must end badly, each in its own way",
    "crash/crash": "a life for each system call: a sanitizer makes thousands of its own; soak "
                   "kills here",
    "crash/parked": "programs of the crash sweep",
    "crash/latency": "what a process costs that has a given size: sanitizers have their own",
    "model/model": "fibers on stacks of their own, which sanitizers do not follow; its programs "
                   "never have them",
    "model/promela-*": "no code of ours",
    "headers/*": "compiles, runs nothing",
    "abi/gate*": "compares what was compiled, runs nothing",
    "allocator/*": "asks whose malloc serves whom: here the sanitizer's serves all",
    "man/*": "no code of ours",
    "install/*": "the ordinary build as others use it",
    "rust/*": "Rust's own checks; the library below it is judged through C",
    "go/*": "runs under Go's race detector; the library below it is judged through C",
    "bench/*": "counts and times instructions",
    "hostile/race": "another sanitizer, its own build",
    "fuzz/*": "each corpus and more runs under clang's sanitizers, in test bounded",
}
# Programs that valgrind follows, with what of them. It has no pidfds and no futex_waitv, tells of
# what a test does to a child on purpose, and is too slow for the watchdogs of other tests.
UNDER_VALGRIND = [
    ["tests/unit/test_core_unit"],
    ["tests/unit/test_abi_unit", "-sfe=*test_life*,*test_memory*",
     "-tce=in a forked child*,the same name alive*"],
    ["tests/descriptors/test_hooks"],
    ["tests/sqlcmd/test_sqlcmd_language"],
] + [[f"fuzz/fuzz_{path.name}", path] for path in sorted((ROOT / "fuzz/corpora").iterdir())
     if path.name != "canary"]
# The objects of a role that has just ended are freed with the next; a block behind them is reached
# from its middle alone ("possibly lost").
VALGRIND = ["valgrind", "--quiet", "--error-exitcode=9", "--exit-on-first-error=yes",
            "--leak-check=full", "--errors-for-leak-kinds=definite,indirect",
            "--show-leak-kinds=definite,indirect"]
CANARY = "tests/hostile/sanitizer_canary"
TOLD_BY_SANITIZERS = {
    "behind": r"AddressSanitizer: heap-buffer-overflow",
    "freed": r"AddressSanitizer: heap-use-after-free",
    "library": r"AddressSanitizer: heap-buffer-overflow(.|\n)* in vdset_set_create ",
    "shift": r"runtime error: shift exponent",
    "leak": r"LeakSanitizer: detected memory leaks",
}
TOLD_BY_VALGRIND = {
    "behind": r"Invalid read of size 4",
    "freed": r"Invalid read of size 4",
    "leak": r"definitely lost",
    "unset": r"depends on uninitialised value",
}
passed = failed = 0


def check(what, good, words=""):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print(f"FAILED: {what}\n{words}", flush=True)
    return good


def run(*words):
    """(exit code, what it said)."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                          errors="replace", check=False)
    return done.returncode, done.stdout


def introspect(build, what):
    return json.loads(subprocess.run(["meson", "introspect", f"--{what}", str(build)], check=True,
                                     stdout=subprocess.PIPE).stdout)


def why_left_out(name):
    return next((why for pattern, why in LEFT_OUT.items() if fnmatch.fnmatch(name, pattern)), "")


def chosen_tests(build, wanted):
    """(sum_tests.Test of what is run, ids of the targets it needs). Says what is left out."""
    tests, targets = [], set()
    for entry in introspect(build, "tests"):
        suites = [suite.split(":")[-1] for suite in entry["suite"]]
        name = f"{suites[0]}/{entry['name']}"
        if "deep" in suites or (wanted and name not in wanted):
            continue
        if not why_left_out(name):
            targets.update(entry["depends"])
            tests.append(sum_tests.Test(name, command_of(build, name, entry["cmd"]),
                                        entry["timeout"] * TIMES_SLOWER, entry["env"],
                                        entry["workdir"] or str(build), not entry["is_parallel"]))
    return tests, targets


def command_of(build, name, command):
    """As meson says; what needs other languages, with those of C alone."""
    if name == "hostile/scribble":
        rounds = 2000 * int(os.environ.get("VDSET_TEST_DEEP") or 1)
        return [str(build / "tests/hostile/scribble"), "rounds", str(rounds)]
    if name == "conformance/conformance":
        program = str(build / "tests/conformance/test_conformance")
        return [program, *(word for face in ("c", "pull", "vdi") for word in ("--face", face))]
    if name == "mixed/mixed":
        return [word for word in command if word not in ("rust", "go")]
    return command


def set_up(build, wanted):
    """Configures and builds what is run, and what is installed on the way. None, or its tests."""
    if not (build / "build.ninja").exists():
        # Lines for the reports and no more: it compiles three times as fast.
        code, said = run("meson", "setup", build, ROOT, "-Doptimization=1", "-Ddebug=false",
                         "-Dc_args=-g1", "-Dcpp_args=-g1", "-Db_ndebug=false",
                         "-Db_sanitize=address,undefined", "--prefix=/usr/local", "--libdir=lib",
                         "-Dpkgconfig.relocatable=true")
        if not check("a build under sanitizers is set up", code == 0, said):
            return None
    run("ninja", "-C", build, "build.ninja")
    tests, needed = chosen_tests(build, wanted)
    files = [build / CANARY]
    for target in introspect(build, "targets"):
        if target["id"] in needed or target["installed"] or target["name"] == "sanitizer_canary":
            files += map(Path, target["filename"])
    code, said = run("ninja", "-C", build, *sorted({str(file.relative_to(build))
                                                    for file in files}))
    return tests if check("builds under the sanitizers", code == 0, said[-8000:]) else None


def make_compilers(build):
    """For tests that compile: what they make is judged too, or at least takes our libraries."""
    runtime = run("gcc", "-print-file-name=libasan.so")[1].strip()
    flags = "-fsanitize=address,undefined"
    folder = build / "compilers"
    folder.mkdir(exist_ok=True)
    for name, more in (("gcc", flags), ("g++", flags),
                       ("clang++-16", f"-Qunused-arguments -Wl,--no-as-needed {runtime}")):
        real = run("sh", "-c", f"command -v {name}")[1].strip()
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {real} {more} "$@"\n')
        path.chmod(0o755)
    return str(folder)


def judge_canary(program, before, told):
    code, said = run(*before, program, "nothing")
    check(f"{before[:1]} nothing is told of nothing", code == 0, said)
    for kind, words in told.items():
        code, said = run(*before, program, kind)
        check(f"{before[:1]} a planted fault is told: {kind}",
              code != 0 and re.search(words, said), said)


def judge_instrumented(build):
    """No program or library of ours is without."""
    libraries = [build / "abi/libvdset.so", build / "bindings/vdi/libsqlvdi.so"]
    programs = [path for folder in ("bindings", "fuzz", "tests") for path in
                (build / folder).rglob("*") if path.is_file() and os.access(path, os.X_OK)
                and path.read_bytes()[:4] == b"\x7fELF" and ".so" not in path.name]
    check("there are programs", len(programs) > 20)
    for path in libraries + programs:
        if path.name in ("test_model", "role32"):  # Built without, on purpose.
            continue
        said = run("nm", "-D", "--undefined-only", path)[1]
        check(f"{path.name} is instrumented", "__asan_report_load" in said
              and "__ubsan_handle" in said)


def under_sanitizers(build, wanted):
    tests = set_up(build, wanted)
    if tests is None:
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, sum_tests.interrupted)
    for name in sorted(why for why in LEFT_OUT if not wanted):
        print(f"left out: {name}: {LEFT_OUT[name]}")
    os.environ["VDSET_TEST_DEEP"] = "0"
    os.environ["PATH"] = make_compilers(build) + ":" + os.environ["PATH"]
    # Who writes into what is read-only is to die of it as everywhere; a test preloads its own.
    os.environ["ASAN_OPTIONS"] = ":".join((
        "detect_leaks=1", "abort_on_error=1", "handle_segv=0", "handle_sigbus=0",
        "verify_asan_link_order=0"))
    os.environ["UBSAN_OPTIONS"] = "halt_on_error=1:abort_on_error=1:print_stacktrace=1"
    judge_instrumented(build)
    judge_canary(build / CANARY, [], TOLD_BY_SANITIZERS)
    logs, reports = build / "test-logs", build / "reports"
    for folder in (logs, reports):
        folder.mkdir(exist_ok=True)
    for old in reports.iterdir():
        old.unlink()
    # Also of processes whose words nobody reads, or whose death nobody wonders at.
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        os.environ[name] += f":log_path={reports}/report"
    limit = time.monotonic() + sum(test.timeout for test in tests)
    add_up(sum_tests.run_all(tests, logs, limit))
    found = sorted(reports.iterdir())
    check(f"no process reported anything, {len(found)} did", not found,
          "".join(path.read_text(errors="replace")[:4000] for path in found[:5]))


def add_up(results):
    global passed, failed
    for result in results:
        passed += result.passed
        failed += result.failed
    print(", ".join(f"{result.name} {result.seconds:.0f} s" for result in results))


def under_valgrind(ordinary):
    judge_canary(ordinary / CANARY, VALGRIND, TOLD_BY_VALGRIND)
    for program, *words in UNDER_VALGRIND:
        code, said = run(*VALGRIND, ordinary / program, *words)
        counted = sum_tests.judge(said, code)
        check(f"{program} under valgrind", code == 0 and counted[0] > 0 and not counted[1], said)
        print(f"valgrind {program}: {counted[0]} passed, {counted[1]} failed", flush=True)


def main():
    build, ordinary = (Path(word).resolve() for word in sys.argv[1:3])
    wanted = sys.argv[3:]
    if not wanted or "valgrind" in wanted:
        under_valgrind(ordinary)
    if wanted != ["valgrind"]:
        under_sanitizers(build, wanted)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
