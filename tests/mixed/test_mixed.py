#!/usr/bin/env python3
"""Goal: a set works whatever languages its processes are written in. Method: one role program for
each language (README.md); every combination of server, primary and secondary as three processes
that pass buffers by handle, both ways.

usage: test_mixed.py BUILD_DIRECTORY [LANGUAGE=PROGRAM | LANGUAGE]...

A LANGUAGE without a program is built by build_LANGUAGE.sh. The last line is `N passed, N failed`.
"""
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUN_SECONDS = 60
# An even number and an odd one, fewer than the window and more.
ROUNDS = (1, 12)


def programs(build, words):
    """Language: its program, or why there is none."""
    out = {}
    for word in words:
        language, _, program = word.partition("=")
        if not program:
            done = subprocess.run(["bash", HERE / f"build_{language}.sh", build], text=True,
                                  capture_output=True, check=False)
            lines = done.stdout.splitlines()
            program = lines[-1] if done.returncode == 0 and lines else ""
            if not program:
                print(f"build_{language}.sh: exit code {done.returncode}\n{done.stderr}")
        out[language] = program
    return out


class Role:
    """A process that plays one role."""

    def __init__(self, program, role, name, rounds, environment, stdin):
        self.role = role
        self.process = subprocess.Popen(
            [program, role, name, str(rounds)], stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment)
        self.count = {"server": 4 * rounds}.get(role, 2 * rounds)

    def end(self, deadline):
        """What is wrong, or an empty text."""
        try:
            out, errors = self.process.communicate(timeout=max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, errors = self.process.communicate()
            errors += f"(ended after {RUN_SECONDS} s)"
        last = out.splitlines()[-1:] or [""]
        if self.process.returncode == 0 and last[0] == f"ok {self.count}":
            return ""
        return (f"{self.role}: exit code {self.process.returncode}, last line '{last[0]}', "
                f"not 'ok {self.count}': {errors.strip()}")


def is_ready(primary):
    """Waits for the primary's first line, also when it never comes."""
    line = primary.process.stdout.readline()
    return line == "ready\n"


def run(chosen, name, rounds, environment, server_rounds=0):
    """One run of three processes; what went wrong, each role's in a line. A server that does other
    rounds is a fault that must be found."""
    deadline = time.monotonic() + RUN_SECONDS
    mine, other = socket.socketpair()
    server, primary, secondary = chosen
    roles = []
    with mine, other:
        roles.append(Role(primary, "primary", name, rounds, environment, mine))
        if is_ready(roles[0]):
            roles.append(Role(secondary, "secondary", name, rounds, environment, other))
            roles.append(Role(server, "server", name, server_rounds or rounds, environment,
                              subprocess.DEVNULL))
    return [fault for role in roles if (fault := role.end(deadline))] + (
        [] if len(roles) == 3 else ["the primary did not say ready"])


class Count:
    """Checks that passed and failed."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, faults):
        self.passed += not faults
        self.failed += bool(faults)
        if faults:
            print(f"FAILED: {what}\n  " + "\n  ".join(faults))


def run_all(known, folder, environment, count):
    """Every combination, and for each language a run that must fail."""
    rounds = ROUNDS + ((200,) if int(os.environ.get("VDSET_TEST_DEEP") or 0) else ())
    for languages in itertools.product(known, repeat=3):
        chosen = [known[language] for language in languages]
        for n in rounds:
            count.check("server {}, primary {}, secondary {}, {} rounds".format(*languages, n),
                        run(chosen, "-".join(languages), n, environment) if all(chosen)
                        else ["a language is missing"])
    count.check("nothing is left behind", os.listdir(folder))
    for language, program in known.items():
        found = run([program] * 3, "planted", 6, environment, 5) if program else [""] * 3
        count.check(f"{language}: all find a server that does otherwise",
                    [] if len(found) == 3 else ["not all do", *found])


def main():
    build, words = sys.argv[1], sys.argv[2:]
    count = Count()
    known = programs(build, words)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "VDSET_RUNTIME_DIR": folder,
                       "LD_LIBRARY_PATH": f"{build}/abi:{build}/bindings/vdi"}
        os.chmod(folder, 0o700)
        run_all(known, folder, environment, count)
    print(f"{count.passed} passed, {count.failed} failed")
    return 0 if count.passed and not count.failed else 1


if __name__ == "__main__":
    sys.exit(main())
