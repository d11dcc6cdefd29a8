"""What the bindings of other languages cost over the calls of vdset.h: each measures its round
trips and C's in turns within one process."""
import re
import subprocess
from pathlib import Path

BINDINGS = Path(__file__).resolve().parent.parent.parent / "bindings"
# Language: the command that it is known by, and how many round trips it measures.
LANGUAGES = {"rust": ("cargo", 3), "go": ("go", 2)}
LINE = re.compile(r"^(?P<trip>.*round trip.*): (?P<language>\w+) (?P<value>[\d.]+) ns, "
                  r"C (?P<c>[\d.]+) ns, (?P<ratio>[\d.]+) x C(?:; (?P<floor>.* x))?$")
SECONDS_MAX = 400  # A first build is in it.


def row_of(line):
    """One line of an overhead.sh as a row, or None."""
    match = LINE.match(line)
    if match is None:
        return None
    return {"bench": "bindings", "row": f"{match['language']}: {match['trip']}", "unit": "ns",
            "value": float(match["value"]), "c": float(match["c"]),
            "ratio": float(match["ratio"]), "floor": match["floor"] or ""}


def measure(build):
    for language, (command, trips) in LANGUAGES.items():
        run = subprocess.run(["bash", BINDINGS / language / "overhead.sh", build], text=True,
                             stdin=subprocess.DEVNULL, capture_output=True, check=False,
                             timeout=SECONDS_MAX)
        rows = [row for line in run.stdout.splitlines() if (row := row_of(line))]
        if run.returncode == 0 and len(rows) == trips:
            yield from rows
        elif f"{command} is missing" in run.stderr:
            yield {"bench": "bindings", "row": language, "absent": f"{command} is not installed"}
        else:
            raise SystemExit(f"bench: {language}: exit code {run.returncode}, {len(rows)} of "
                             f"{trips} rows\n{run.stdout}{run.stderr}")
