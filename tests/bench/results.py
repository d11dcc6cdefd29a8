"""Rows of the bench program, added up: medians, regimes, the targets, and tables in Markdown."""
import statistics
from collections import OrderedDict

NEAR_NS = 200  # A ping-pong below this: the two processors share a cache.
NOT_HERE = "not measured in this regime"


class Measured:
    """All samples of one row at one x."""

    def __init__(self, first):
        self.bench, self.row, self.x = first["bench"], first["row"], first.get("x")
        self.unit = first["unit"]
        self.samples = []

    def values(self, name="value"):
        return [sample[name] for sample in self.samples if name in sample]

    def median(self, name="value"):
        values = self.values(name)
        return statistics.median(values) if values else None

    def regime(self, near):
        """(median value, median ratio to the ping-pong) of one regime, or None."""
        chosen = [sample for sample in self.samples
                  if "ping" in sample and (sample["ping"] < NEAR_NS) == near]
        if not chosen:
            return None
        return (statistics.median(sample["value"] for sample in chosen),
                statistics.median(sample["value"] / sample["ping"] for sample in chosen))

    def ratio(self):
        """The median over both regimes of the ratio to the ping-pong."""
        ratios = [s["value"] / s["ping"] for s in self.samples if s.get("ping")]
        return statistics.median(ratios) if ratios else None

    def by_repetition(self):
        values = {s.get("repetition", 0): s["value"] for s in self.samples}
        if len(values) != len(self.samples):
            raise ValueError(f"{self.bench}, {self.row}: a repetition twice")
        return values

    def against(self, other):
        """The median of the ratios to another row, repetition by repetition."""
        mine, theirs = self.by_repetition(), other.by_repetition()
        ratios = [mine[i] / theirs[i] for i in mine.keys() & theirs.keys() if theirs[i]]
        return statistics.median(ratios) if ratios else None


class Results:
    """Everything that one run measured."""

    def __init__(self, rows):
        self.measured, self.absent = OrderedDict(), OrderedDict()
        for row in rows:
            if "absent" in row:
                self.absent[row["bench"], row["row"]] = row["absent"]
                continue
            key = row["bench"], row["row"], row.get("x")
            self.measured.setdefault(key, Measured(row)).samples.append(row)

    def get(self, bench, row, x=None):
        for key, measured in self.measured.items():
            if key[:2] == (bench, row) and (x is None or key[2] == x):
                return measured
        return None

    def of(self, bench):
        """The measured rows of a bench, in the order in which they came."""
        return [measured for key, measured in self.measured.items() if key[0] == bench]

    def benches(self):
        return list(OrderedDict.fromkeys([*(key[0] for key in self.measured),
                                          *(key[0] for key in self.absent)]))

    def as_json(self):
        return [{"bench": m.bench, "row": m.row, "x": m.x, "unit": m.unit, "median": m.median(),
                 "ratio_to_ping_pong": m.ratio(), "samples": [
                     {name: value for name, value in sample.items()
                      if name not in ("bench", "row", "x", "unit")} for sample in m.samples]}
                for m in self.measured.values()] + [
            {"bench": bench, "row": row, "absent": why}
            for (bench, row), why in self.absent.items()]


def number(value):
    """Three significant digits, no exponent; whole numbers as they are."""
    if value is None:
        return ""
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    digits = 2 if abs(value) < 10 else 1
    return f"{value:.{digits if abs(value) >= 0.1 else 4}f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def size_name(value):
    value = round(value)
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= factor:
            return f"{value // factor} {unit}"
    return str(value)


TITLES = OrderedDict([
    ("handles", "Handles: ns per call, by buffers live"),
    ("trip", "Command round trip, two processors, polling: ns"),
    ("waiting", "Command round trip, two processors, calls that may sleep, back to back: ns"),
    ("sleeping", "Command round trip, both asleep when it comes: ns"),
    ("one-processor", "Command round trip, both on one processor: ns"),
    ("starts", "Slow modes on one processor: starts slower than three times the median of all"),
    ("load, one processor", "Share of the fair share beside an endless loop, one processor"),
    ("load, two processors", "The same with a loop on each of two processors"),
    ("stream", "Commands under way at a time: ns per command, and x the ping-pong"),
    ("bulk", "Buffers handed over and read: GiB/s, by bytes of a buffer"),
    ("devices", "All devices of a set together, by devices"),
    ("times", "Once per set: us, by waiting threads"),
    ("idle", "64 devices with nothing to do"),
    ("backup", "The whole tool, same database, same disk: seconds"),
    ("instructions", "Instructions per operation"),
    ("bindings", "Bindings over C, processor time of one thread (elapsed between two): ns"),
])
BY_X = {"handles", "stream", "bulk", "devices"}


def regime_cell(measured, near):
    regime = measured.regime(near)
    return f"{number(regime[0])} ({regime[1]:.2f} x)" if regime else NOT_HERE


def trip_table(results, bench):
    rows = sorted(results.of(bench), key=lambda m: m.ratio() or m.median())
    with_ping = any(m.ratio() for m in rows)
    head = ["", "median", *(["near (x ping-pong)", "far (x ping-pong)"] if with_ping else []),
            "p50", "p99", "p99.9"]
    lines = []
    for m in rows:
        regimes = [regime_cell(m, True), regime_cell(m, False)] if with_ping else []
        lines.append([m.row, number(m.median()), *regimes,
                      *(number(m.median(name)) for name in ("p50", "p99", "p999"))])
    return table(head, lines + absent_lines(results, bench, len(head)))


def absent_lines(results, bench, columns):
    return [[row, f"not measured: {why}", *[""] * (columns - 2)]
            for (of, row), why in results.absent.items() if of == bench]


def by_x_table(results, bench):
    xs = sorted({m.x for m in results.of(bench)})
    names = list(OrderedDict.fromkeys(m.row for m in results.of(bench)))
    head = ["", *((size_name(x) if bench == "bulk" else f"{x:.0f}") for x in xs)]
    lines = []
    for name in names:
        line = [name]
        for x in xs:
            m = results.get(bench, name, x)
            ratio = f" ({m.ratio():.2f} x)" if m and bench == "stream" and m.ratio() else ""
            line.append((number(m.median()) if m else "") + ratio)
        unit = results.get(bench, name).unit
        if bench == "devices":
            line[0] += f", {unit}"
        lines.append(line)
    return table(head, lines + absent_lines(results, bench, len(head)))


def plain_table(results, bench):
    lines = []
    for m in results.of(bench):
        count = f" ({m.x:.0f})" if m.x and bench in ("times", "starts", "idle") else ""
        worst = f"; median trip {number(m.median('p50'))} ns, slowest start " \
                f"{number(m.median('p999'))} ns" if bench == "starts" else ""
        lines.append([m.row + count, f"{number(m.median())} {m.unit}{worst}"])
    return table(["", "median"], lines + absent_lines(results, bench, 2))


def binding_table(results):
    lines = [[m.row, number(m.median()), number(m.median("c")), f"{m.median('ratio'):.2f} x",
              m.samples[0]["floor"]] for m in results.of("bindings")]
    head = ["", "binding", "C", "over C", "over C and the crossing alone"]
    return table(head, lines + absent_lines(results, "bindings", len(head)))


def tables(results):
    """One Markdown section for each bench that ran."""
    parts = []
    for bench, title in TITLES.items():
        if bench not in results.benches():
            continue
        if bench == "bindings":
            text = binding_table(results)
        elif bench in BY_X:
            text = by_x_table(results, bench)
        elif any(m.values("p99") for m in results.of(bench)):
            text = trip_table(results, bench)
        else:
            text = plain_table(results, bench)
        parts.append(f"### {title}\n\n{text}\n")
    return "\n".join(parts)
