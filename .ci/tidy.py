#!/usr/bin/env python3
"""The house rules as a program.

usage: tidy.py [TREE]

Each rule counts what it looked at; a rule that looked at nothing fails, so that none dies
unnoticed. A failure says where, what, and what to do. The last line is `N passed, N failed`.
"""
import ast
import re
import subprocess
import sys
from pathlib import Path

from tidy_source import blank_comments, functions_of

CODE = (".hpp", ".cpp", ".h", ".c")
SCRIPTS = (".py", ".sh")
RUST = (".rs",)
GO = (".go",)  # gofmt sees to the ends of its lines, and indents with tabs.
SHELL = ("dev", ".ci/run")
PUBLIC_HEADER = "abi/include/vdset.h"
LEDGER = "docs/memory-model.md"
ATOMICS = "core/atomics.hpp"

LINE_COLUMNS = 100
TEXT_COLUMNS = 160  # The public header and documents; a row of a table cannot be wrapped.
FILE_LINES = {"core": 500}
FILE_LINES_ELSEWHERE = 800
FUNCTION_LINES = {"core": 60}
FUNCTION_LINES_ELSEWHERE = 80

CORE_MAY_INCLUDE = {"cstdint", "cstddef", "type_traits", "limits", "array", "bit", "utility", "new",
                    "concepts"}
# Standard C++ headers that are the system in disguise: abi/ has its port for that.
SYSTEM_IN_DISGUISE = {"csignal", "ctime", "chrono", "condition_variable",
                      "filesystem", "fstream", "future", "iostream", "semaphore", "thread"}
ABI_MAY_INCLUDE_C = {"vdset.h", "mimalloc.h"}

ORDER_WORDS = re.compile(r"\b(std::memory_order\w*|memory_order_\w+|__ATOMIC_\w+)")
SLEEP_WORDS = re.compile(r"\b(usleep|sleep_for|sleep_until|nanosleep|clock_nanosleep)\b")
UNFINISHED_WORDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.$}~])/(home|root|work|Users)/\w[\w./-]*")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.MULTILINE)
LEFTOVER = re.compile(r"\.(orig|rej|bak|old|tmp|patch|diff)$|~$|(^|/)(core|a\.out|nohup\.out)$")
LINK = re.compile(r"\]\(([^)\s]+)\)")
TREE_PATH = re.compile(r"`((?:core|abi|bindings|tests|fuzz|docs|\.ci)/[\w./*-]+)`")
DOCUMENT = re.compile(r"\bdocs/[\w./-]+\.md\b")


class Tree:
    """The files of a tree, and the count of what was checked in it."""

    def __init__(self, root):
        self.root = root
        self.counts = {}
        self.failed = 0
        self.text = {name: self.read(name) for name in sorted(self.walk(root))}
        self.code = {name: blank_comments(self.text[name]) for name in self.named(CODE)}

    def walk(self, folder):
        for path in folder.iterdir():
            name = path.relative_to(self.root).as_posix()
            if path.name in (".git", "__pycache__") or re.match(r"build(-[^/]*)?$", name):
                continue
            if path.is_dir() and not path.is_symlink():
                yield from self.walk(path)
            elif path.is_file():
                yield name

    def read(self, name):
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return ""  # A picture or a binary sample.

    def named(self, suffixes, *folders):
        return [name for name in self.text if name.endswith(suffixes)
                and (not folders or name.split("/")[0] in folders)]

    def shell_files(self):
        return [name for name in self.text if name.endswith(".sh") or name in SHELL]

    def scripts(self):
        return [name for name in self.text if name.endswith(SCRIPTS) or name in SHELL]

    def check(self, rule, good, where, what, remedy):
        self.counts[rule] = self.counts.get(rule, 0) + 1
        if not good:
            self.failed += 1
            print(f"{where}: {what}: {remedy} [{rule}]")

    def refuse(self, rule, pattern, texts, remedy):
        """No line of any of these texts may match."""
        for name, text in texts.items():
            hits = [(number, match[0]) for number, line in enumerate(text.splitlines(), 1)
                    if (match := pattern.search(line))]
            self.check(rule, not hits, f"{name}:{hits[0][0] if hits else 0}",
                       f"'{hits[0][1] if hits else ''}', {len(hits)} in all", remedy)


def memory_orders(tree):
    texts = {name: tree.code[name] for name in tree.named(CODE, "core") if name != ATOMICS}
    tree.refuse("memory-orders", ORDER_WORDS, texts, f"name a site of {ATOMICS} instead")


def includes_allowed(name, header):
    """None, or what to do about this include."""
    folder = name.split("/")[0]
    if folder == "core":
        good = (header.startswith(("core/", "gsl/")) or header in CORE_MAY_INCLUDE
                or (header == "atomic" and name == ATOMICS))
        return None if good else "core includes core/, gsl/ and freestanding headers only"
    if folder in ("bindings", "docs"):
        good = not header.startswith(("core/", "abi/", "tests/"))
        return None if good else f"{folder} see <vdset.h> and nothing else of ours"
    if header.startswith(("bindings/", "tests/", "fuzz/")):
        return "abi includes core/ and abi/ only"
    if name.startswith("abi/port/") or name == PUBLIC_HEADER:
        return None
    good = header.startswith(("core/", "abi/")) or (
        header not in SYSTEM_IN_DISGUISE and (not header.endswith(".h")
                                              or header in ABI_MAY_INCLUDE_C))
    return None if good else "the system is reached through abi/port/ only"


def layers(tree):
    for name in tree.named(CODE, "core", "abi", "bindings", "docs"):
        source = blank_comments(tree.text[name], keep_text=True)
        for match in INCLUDE.finditer(source):
            remedy = includes_allowed(name, match[1])
            line = source.count("\n", 0, match.start()) + 1
            tree.check("layers", not remedy, f"{name}:{line}", f"includes {match[1]}", remedy)


def no_sleeping(tree):
    texts = {name: tree.code[name] for name in tree.named(CODE, "core", "abi")}
    tree.refuse("no-sleeping", SLEEP_WORDS, texts, "wait on a doorbell with a deadline")


def nothing_unfinished(tree):
    tree.refuse("nothing-unfinished", UNFINISHED_WORDS, tree.text, "do it now or file an issue")
    tree.refuse("no-machine-paths", MACHINE_PATHS, tree.text, "name it relative to the tree")


def line_lengths(tree):
    for name in [*tree.named(CODE + RUST + GO + (".md",)), *tree.scripts()]:
        is_text = name == PUBLIC_HEADER or name.endswith(".md")
        limit = TEXT_COLUMNS if is_text else LINE_COLUMNS
        long = [(number, len(line))
                for number, line in enumerate(tree.text[name].splitlines(), 1)
                if len(line) > limit and not (is_text and line.lstrip().startswith("|"))]
        first, columns = long[0] if long else (0, 0)
        tree.check("line-length", not long, f"{name}:{first}",
                   f"{columns} columns, {len(long)} such lines", f"wrap at {limit}")


def file_lengths(tree):
    for name in tree.named(CODE + SCRIPTS + RUST + GO):
        limit = FILE_LINES.get(name.split("/")[0], FILE_LINES_ELSEWHERE)
        count = tree.text[name].count("\n")
        tree.check("file-length", count <= limit, name, f"{count} lines",
                   f"split it, {limit} is the limit here")


def function_lengths(tree):
    def check(name, function, first, count):
        limit = FUNCTION_LINES.get(name.split("/")[0], FUNCTION_LINES_ELSEWHERE)
        tree.check("function-length", count <= limit, f"{name}:{first}",
                   f"{function} has {count} lines", f"make it two, {limit} is the limit here")

    for name, code in tree.code.items():
        for function, first, count in functions_of(code):
            check(name, function, first, count)
    for name in tree.named((".py",)):
        for node in ast.walk(ast.parse(tree.text[name])):
            if isinstance(node, ast.FunctionDef):
                check(name, node.name, node.lineno, node.end_lineno - node.lineno + 1)
    for name in tree.shell_files():
        for match in re.finditer(r"^(\w+)\(\) \{.*?^\}", tree.text[name], re.M | re.S):
            first = tree.text[name].count("\n", 0, match.start()) + 1
            check(name, match[1], first, match[0].count("\n") + 1)


def no_leftovers(tree):
    """What merges, editors and crashes leave lying about is no part of the tree."""
    for name in tree.text:
        tree.check("no-leftovers", not LEFTOVER.search(name), name, "a leftover file", "delete it")


def build_lists(tree):
    """Every source is built, every script is run by somebody, every header is included."""
    builds = {name: text for name, text in tree.text.items() if name.endswith("meson.build")}
    for name in tree.named((".cpp", ".c"), "core", "abi", "bindings", "docs", "tests", "fuzz"):
        path = Path(name)
        listed = path.match("fuzz/fuzz_*.cpp")  # `./dev fuzz` finds these by name.
        for folder in path.parents:
            text = builds.get((folder / "meson.build").as_posix(), "")
            inner = path.relative_to(folder).as_posix()
            stem = re.sub(r"^(test|bench)_", "", path.stem)
            listed = listed or any(f"'{word}'" in text for word in (inner, path.stem, stem))
        listed = listed or any(path.name in tree.text[script] for script in tree.shell_files()
                               if Path(script).parent == path.parent)
        # A neighbour's file, as '../support/faults.cpp'.
        listed = listed or any(f"/{path.parent.name}/{path.name}'" in text
                               for text in builds.values())
        tree.check("build-lists", listed, name, "in no meson.build", "list it or delete it")
    callers = "\n".join([*builds.values(), *(tree.text[name] for name in tree.shell_files()),
                         *(tree.text[name] for name in tree.named((".py",)))])
    for name in tree.named(SCRIPTS, "bindings", "tests", "fuzz"):
        tree.check("build-lists", Path(name).name in callers, name, "nobody runs it",
                   "name it in a meson.build or delete it")
    included = {Path(match).name for name in tree.code
                for match in INCLUDE.findall(tree.text[name])}
    for name in tree.named((".hpp",)):
        tree.check("build-lists", Path(name).name in included, name, "included by nobody",
                   "include it or delete it")


def document_links(tree):
    for name in tree.named((".md",)):
        text = re.sub(r"^```.*?^```", "", tree.text[name], flags=re.M | re.S)
        for target in LINK.findall(text):
            if re.match(r"[a-z]+:|#", target):
                continue
            path = (tree.root / name).parent / target.split("#")[0]
            tree.check("links", path.exists(), name, f"link to {target}", "there is no such file")
        for target in TREE_PATH.findall(text):
            tree.check("links", any(tree.root.glob(target.rstrip("/"))), name,
                       f"speaks of {target}", "there is no such file")
    for name in tree.named(CODE):
        for target in sorted(set(DOCUMENT.findall(tree.text[name]))):
            tree.check("links", (tree.root / target).exists(), name, f"speaks of {target}",
                       "there is no such file")


def public_comments(tree):
    """A comment ends on the line before every declaration of the public header."""
    before = ""
    for number, line in enumerate(tree.text.get(PUBLIC_HEADER, "").splitlines(), 1):
        if line.startswith("VDSET_API"):
            name = re.search(r"(\w+)\(", line)
            tree.check("public-comments", before.rstrip().endswith("*/"),
                       f"{PUBLIC_HEADER}:{number}", name[1] if name else line,
                       "write a comment just above it")
        before = line


def site_ledger(tree):
    """Every site of the atomics table stands in the ledger of the memory model."""
    ledger = tree.text.get(LEDGER, "")
    sites = re.search(r"enum class Site\b[^{]*\{([^}]*)\}", tree.code.get(ATOMICS, ""))
    for site in re.findall(r"\w+", sites[1]) if sites else []:
        if site != "count":
            tree.check("site-ledger", re.search(rf"\b{site}\b", ledger), ATOMICS,
                       f"site {site} is not in {LEDGER}", "add its row")


def scripts_run(tree):
    """Scripts parse; a script with a first line `#!` is executable, one without is not."""
    for name in tree.shell_files():
        bash = subprocess.run(["bash", "-n", name], cwd=tree.root, stderr=subprocess.PIPE,
                              text=True, check=False)
        tree.check("scripts", bash.returncode == 0, name, bash.stderr.strip(), "mend the syntax")
    for name in tree.scripts():
        marked = tree.text[name].startswith("#!")
        mode = (tree.root / name).stat().st_mode
        tree.check("scripts", marked == bool(mode & 0o111), name,
                   "first line and mode disagree", "chmod +x what begins with #!, nothing else")


def clean_ends(tree):
    """No blanks at line ends, no tabs, one newline at the end."""
    for name in tree.named(CODE + SCRIPTS + RUST + (".md", ".build", ".map")):
        text = tree.text[name]
        good = text.endswith("\n") and not text.endswith("\n\n")
        tree.check("clean-ends", good, name, "its end", "end it with one newline")
    texts = {name: tree.text[name]
             for name in tree.named(CODE + SCRIPTS + RUST + (".md", ".build"))}
    tree.refuse("clean-ends", re.compile(r"[ \t]+$|\t"), texts, "remove blanks at ends and tabs")


RULES = {
    "memory-orders": memory_orders, "layers": layers, "no-sleeping": no_sleeping,
    "nothing-unfinished": nothing_unfinished, "line-length": line_lengths,
    "no-leftovers": no_leftovers, "file-length": file_lengths,
    "function-length": function_lengths, "build-lists": build_lists,
    "links": document_links, "public-comments": public_comments, "site-ledger": site_ledger,
    "scripts": scripts_run, "clean-ends": clean_ends,
}


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    tree = Tree(root)
    for name, rule in RULES.items():
        rule(tree)
        if not tree.counts.get(name):
            tree.check(name, False, str(root), "this rule looked at nothing",
                       "restore what it is about, or delete the rule")
    total = sum(tree.counts.values())
    print(f"{total - tree.failed} passed, {tree.failed} failed")
    return 1 if tree.failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
