#!/usr/bin/env python3
"""Goal: the table of parity says all there is and nothing wrong. Method: against the library's own
symbols, the text of the header, and a few numbers known by heart. usage: test_table.py TABLE
LIBRARY HEADER. The last line is `N passed, N failed`.
"""
import re
import subprocess
import sys
from pathlib import Path

COLUMNS = {"constant": 3, "error": 3, "struct": 4, "field": 6, "call": 5, "pointer": 2}
KNOWN = {("constant", "VDSET_E_TIMEOUT"): ["-2139684861"],
         ("constant", "VDSET_INFINITE"): ["-1"],
         ("constant", "VDSET_FEATURE_LIKE_TAPE"): ["371"],
         ("error", "VDSET_OK"): ["0"],
         ("struct", "vdset_config"): ["48", "4"],
         ("call", "vdset_set_close"): ["1", "i", "VDSET_0.1"],
         ("call", "vdset_supports"): ["1", "i", "VDSET_0.2"]}

results = []


def check(what, good):
    results.append(good)
    if not good:
        print(f"FAILED: {what}")


def exports(library):
    """(name, node) of every symbol with a default version."""
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                         capture_output=True, text=True).stdout
    return set(re.findall(r" T (\w+)@@([\w.]+)$", out, re.M))


def main():
    table, library, header = sys.argv[1:4]
    rows = [line.split("\t") for line in Path(table).read_text(encoding="utf-8").splitlines()]
    text = Path(header).read_text(encoding="utf-8")
    check("every line is of a known kind and width",
          all(COLUMNS.get(row[0]) == len(row) for row in rows))
    check("no line twice", len({tuple(row) for row in rows}) == len(rows))
    of = {kind: [row[1:] for row in rows if row[0] == kind] for kind in COLUMNS}
    check("calls and nodes are the library's",
          {(row[0], row[3]) for row in of["call"]} == exports(library) and len(of["call"]) > 40)
    words = set(re.findall(r"\bVDSET_[A-Z0-9_]+\b", re.sub(r"/\*.*?\*/", "", text, flags=re.S)))
    words -= {"VDSET_H", "VDSET_API"}
    check("every constant of the header", {row[0] for row in of["constant"]} == words)
    check("every result code", {row[0] for row in of["error"]}
          == {word for word in words if re.match(r"VDSET_(OK$|E_)", word)})
    check("every struct with a body", {row[0] for row in of["struct"]}
          == set(re.findall(r"^struct (\w+) \{", text, re.M)))
    for name, size, _ in of["struct"]:
        end = 0
        for _, _, offset, length, _ in (row for row in of["field"] if row[0] == name):
            check(f"{name}: fields in order, without holes", int(offset) == end)
            end = int(offset) + int(length)
        check(f"{name}: ends where its last field ends", end == int(size))
    for (kind, name), values in KNOWN.items():
        check(f"{kind} {name}", [name, *values] in of[kind])
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if results and all(results) else 1


sys.exit(main())
