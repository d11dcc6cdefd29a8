#!/usr/bin/env python3
"""Copies a source with one check removed, so that a test can show that it would notice.

usage: mutant.py SOURCE COPY FROM TO [STAMP]
FROM must stand in it exactly once.
"""
import sys
from pathlib import Path

source, copy, old, new, *stamps = sys.argv[1:]
text = Path(source).read_text(encoding="utf-8")
if text.count(old) != 1:
    sys.exit(f"{source}: '{old}' stands there {text.count(old)} times, not once")
Path(copy).parent.mkdir(parents=True, exist_ok=True)
Path(copy).write_text(text.replace(old, new), encoding="utf-8")
for stamp in stamps:
    Path(stamp).write_text("// Made after the mutant.\n", encoding="utf-8")
