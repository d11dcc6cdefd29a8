#!/usr/bin/env python3
"""Tests the checkers: each house rule must see a planted fault, and the sum must not be fooled.

Goal: a rule that cannot fail is no rule. Method: a copy of the tree, one fault planted at a time,
and the rule must say something that it did not say before.
"""
import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

import sum_tests
import tidy
import tidy_source

ROOT = Path(__file__).resolve().parent.parent
LONG_FUNCTION = "\nvoid planted(int a) {\n" + "  ++a;\n" * 80 + "}\n"
UNFINISHED = "// TO" "DO: planted\n"

# rule, file, text added to it (a new file if there is none).
PLANTED = [
    ("memory-orders", "core/planted.hpp", "int x = __ATOMIC_RELAXED;\n"),
    ("memory-orders", "core/planted.hpp", "auto x = std::memory_order_relaxed;\n"),
    ("layers", "core/planted.hpp", "#include <vector>\n"),
    ("layers", "core/planted.hpp", "#include <atomic>\n"),
    ("layers", "core/planted.hpp", "#include \"abi/handle.hpp\"\n"),
    ("layers", "abi/planted.cpp", "#include <unistd.h>\n"),
    ("layers", "abi/planted.cpp", "#include <thread>\n"),
    ("layers", "bindings/planted.cpp", "#include \"core/ring.hpp\"\n"),
    ("layers", "docs/examples/planted.c", "#include \"abi/set.hpp\"\n"),
    ("no-sleeping", "abi/planted.cpp", "void f() { usleep(1); }\n"),
    ("nothing-unfinished", "abi/planted.cpp", UNFINISHED),
    ("nothing-unfinished", "docs/planted.md", UNFINISHED),
    ("no-machine-paths", "docs/planted.md", "See /" "home/me/notes.\n"),
    ("line-length", "abi/planted.cpp", "// " + "x" * 98 + "\n"),
    ("line-length", "abi/include/vdset.h", "// " + "x" * 158 + "\n"),
    ("file-length", "core/planted.hpp", "\n" * 500 + "int x;\n"),
    ("file-length", "tests/planted.cpp", "\n" * 800 + "int x;\n"),
    ("function-length", "core/planted.hpp", LONG_FUNCTION),
    ("function-length", "abi/planted.cpp", "namespace a { struct B {" + LONG_FUNCTION + "}; }\n"),
    ("function-length", "tests/planted.py", "def f():\n" + "    f()\n" * 80),
    ("no-leftovers", "tests/unit/planted.cpp.orig", "int x;\n"),
    ("no-leftovers", "core/planted.hpp~", "int x;\n"),
    ("build-lists", "abi/planted.cpp", "int x;\n"),
    ("build-lists", "docs/examples/planted.c", "int x;\n"),
    ("build-lists", "core/planted.hpp", "int x;\n"),
    ("build-lists", "tests/orp" "han.sh", "true\n"),
    ("links", "docs/planted.md", "[gone](gone.md)\n"),
    ("links", "docs/planted.md", "`core/gone.hpp`\n"),
    ("public-comments", "abi/include/vdset.h", "\nVDSET_API int32_t vdset_planted(void);\n"),
    ("site-ledger", "core/atomics.hpp", ("  count\n", "  planted_site, count\n")),
    ("scripts", "tests/planted.sh", "if\n"),
    ("scripts", "tests/planted.sh", "#!/bin/sh\n"),
    ("clean-ends", "abi/planted.cpp", "int x; \n"),
    ("clean-ends", "abi/planted.cpp", "int x;"),
]

# What a test prints, how it ends: what that counts for.
JUDGED = [
    ("[doctest] test cases:  12 |  12 passed | 0 failed | 0 skipped\n", 0, (12, 0)),
    ("\x1b[0m[doctest] test cases: 3 | 2 passed | 1 failed | 0 skipped\n", 1, (2, 1)),
    ("[doctest] test cases: 0 | 0 passed | 0 failed | 4 skipped\n", 0, (0, 1)),
    ("noise\n7 passed, 0 failed\n", 0, (7, 0)),
    ("skipped: a case: why\n7 passed, 0 failed\n", 0, (6, 0)),
    ("skipped: the only case: why\n1 passed, 0 failed\n", 0, (0, 1)),
    ("7 passed, 0 failed\n", 139, (7, 1)),
    ("7 passed, 2 failed\n", 0, (7, 2)),
    ("0 passed, 0 failed\n", 0, (0, 1)),
    ("all fine, said 7 passed, 0 failed\n", 0, (0, 1)),
    ("", 0, (0, 1)),
]

FUNCTIONS = """
namespace a {
template <class T> struct alignas(64) B {
  B() : a_{1}, b_(2) {
  }
  int get(int x = {}) const { return x; }
  int table[2] = {f(1), 2};
};
}  // } { not code
TEST_CASE("braces { in text") {
  if (true) { auto f = [] { return '{'; }; }

}
"""
FUNCTIONS_FOUND = [("B", 4, 2), ("get", 6, 1), ("TEST_CASE", 10, 4)]


class Counter:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, what):
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print(f"FAILED: {what}")


def faults(root, rule):
    """The lines that tidy prints for this rule."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        tree = tidy.Tree(root)
        tidy.RULES.get(rule, tidy.nothing_unfinished)(tree)
    return {line for line in printed.getvalue().splitlines() if f"[{rule}]" in line}


def plant(path, fault):
    old = path.read_text() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((old or "") + fault if isinstance(fault, str) else old.replace(*fault))
    return old


def test_rules(count):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".git", "build", "build-*"))
        for rule, name, fault in PLANTED:
            before = faults(root, rule)
            old = plant(root / name, fault)
            count.check(faults(root, rule) - before,
                        f"rule {rule} does not see what was planted in {name}: {fault[:60]!r}")
            if old is None:
                (root / name).unlink()
            else:
                (root / name).write_text(old)
        named = {rule for rule, _, _ in PLANTED}
        for rule in tidy.RULES:
            count.check(rule in named, f"rule {rule} has no planted fault")
        for path in root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for rule, looks in tidy.RULES.items():
            tree = tidy.Tree(root)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(OSError):
                looks(tree)
            count.check(tree.failed or not tree.counts.get(rule), f"{rule} is content with nothing")


def main():
    count = Counter()
    for text, code, expected in JUDGED:
        found = sum_tests.judge(text, code)[:2]
        count.check(found == expected, f"{text!r} with code {code} counts as {found}")
    found = list(tidy_source.functions_of(tidy_source.blank_comments(FUNCTIONS)))
    count.check(found == FUNCTIONS_FOUND, f"functions found: {found}")
    test_rules(count)
    print(f"{count.passed} passed, {count.failed} failed")
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main())
