#!/usr/bin/env python3
"""What the checked-in corpora reach of core/ and abi/: clang's regions, each counted once however
often a template is instantiated.

usage: coverage.py BUILD_DIR [HARNESS...]. BUILD_DIR holds the replaying harnesses, built with
-fprofile-instr-generate -fcoverage-mapping. Prints a table by harness, one by file for all of them
together, and the regions that none reaches.
"""
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("core", "abi")
CODE_REGION = 0


def replay(program: Path, corpus: Path, work: Path) -> Path:
    """Runs a harness over its corpus; returns the indexed profile."""
    raw = work / f"{program.name}.profraw"
    subprocess.run([program, corpus], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "LLVM_PROFILE_FILE": str(raw)})
    indexed = raw.with_suffix(".profdata")
    subprocess.run(["llvm-profdata-16", "merge", "-o", indexed, raw], check=True)
    return indexed


def regions_of(program: Path, profile: Path) -> dict:
    """(file, first line, column, last line, column) -> how often it ran."""
    export = subprocess.run(["llvm-cov-16", "export", program, f"-instr-profile={profile}"],
                            check=True, capture_output=True, text=True).stdout
    regions = defaultdict(int)
    for function in json.loads(export)["data"][0]["functions"]:
        files = [name_of(name) for name in function["filenames"]]
        for l1, c1, l2, c2, count, file, _, kind in function["regions"]:
            if kind == CODE_REGION and files[file].startswith(tuple(f"{x}/" for x in LAYERS)):
                key = (files[file], l1, c1, l2, c2)
                regions[key] = max(regions[key], count)
    return regions


def name_of(path: str) -> str:
    resolved = Path(path).resolve()
    return str(resolved.relative_to(ROOT)) if resolved.is_relative_to(ROOT) else ""


def share(regions: dict, prefix: str) -> str:
    counts = [count for key, count in regions.items() if key[0].startswith(prefix)]
    if not counts:
        return "-"
    return f"{100 * sum(c > 0 for c in counts) / len(counts):.1f} % of {len(counts)}"


def print_unreached(regions: dict) -> None:
    """By file; a region inside of another that is listed says nothing more."""
    lines = defaultdict(list)
    for (file, l1, c1, l2, c2), count in sorted(regions.items()):
        within = lines[file] and (l2, c2) <= lines[file][-1][2:]
        if count == 0 and not within:
            lines[file].append((l1, c1, l2, c2))
    print("\nreached by none (first line:column, last line:column):")
    for file, places in lines.items():
        if places:
            print(f"{file}: " + ", ".join(f"{a}:{b}-{c}:{d}" for a, b, c, d in places))


def main() -> int:
    build, *names = sys.argv[1:]
    work = Path(build) / "profiles"
    work.mkdir(parents=True, exist_ok=True)
    harnesses = names or sorted(path.stem.removeprefix("fuzz_")
                                for path in (ROOT / "fuzz").glob("fuzz_*.cpp"))
    together = defaultdict(int)
    print("| harness | inputs | bytes | " + " | ".join(f"regions of `{x}/`" for x in LAYERS) + " |")
    print("|---|---|---|" + "---|" * len(LAYERS))
    for name in harnesses:
        program = (Path(build) / "fuzz" / f"fuzz_{name}").resolve()
        corpus = ROOT / "fuzz" / "corpora" / name
        regions = regions_of(program, replay(program, corpus, work))
        for key, count in regions.items():
            together[key] = max(together[key], count)
        sizes = [path.stat().st_size for path in corpus.iterdir()]
        shares = " | ".join(share(regions, f"{x}/") for x in LAYERS)
        print(f"| {name} | {len(sizes)} | {sum(sizes)} | {shares} |")
    print("| together | | | " + " | ".join(share(together, f"{x}/") for x in LAYERS) + " |")
    print("\n| file | regions |\n|---|---|")
    for file in sorted({key[0] for key in together}):
        print(f"| `{file}` | {share(together, file)} |")
    print_unreached(together)
    return 0 if together else 1


if __name__ == "__main__":
    sys.exit(main())
