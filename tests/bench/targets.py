"""What the figures should be, and whether they are: ratios within one run, medians."""
from results import NOT_HERE, number, table

OURS = "vdset, polling"
WAITING = "vdset, waiting"
DEBIAN_RINGS = ("Boost.Lockfree spsc_queue", "Concurrency Kit ck_ring spsc",
                "DPDK rte_ring SP/SC", "DPDK rte_ring MP/MC")
MIB = 1 << 20


class Target:
    """One claim: what was found (None: not measured), and whether that meets it."""

    def __init__(self, measure, wanted, found, met, note=""):
        self.measure, self.wanted, self.note = measure, wanted, note
        self.found = found
        self.verdict = "not measured" if found is None else "met" if met else "missed"

    def row(self):
        found = self.note if self.found is None else \
            f"{self.found}{'; ' + self.note if self.note else ''}"
        return [self.measure, self.wanted, found, self.verdict]


def at_most(measure, wanted, value, limit, unit, note=""):
    found = None if value is None else f"{number(value)}{unit}"
    return Target(measure, wanted, found, value is not None and value <= limit, note)


def at_least(measure, wanted, value, limit, unit, note=""):
    found = None if value is None else f"{number(value)}{unit}"
    return Target(measure, wanted, found, value is not None and value >= limit, note)


def against(results, bench, row, other, x=None, other_x=None):
    mine, theirs = results.get(bench, row, x), results.get(bench, other, other_x or x)
    return mine.against(theirs) if mine and theirs else None


def trip_targets(results):
    ours = results.get("trip", OURS)
    if ours is None:
        return
    yield at_most("command round trip, busy", "<= 1.6 x the ping-pong", ours.ratio(), 1.6, " x")
    calls = results.get("waiting", WAITING)
    if calls:
        yield at_most("the same, in calls that wait", "<= 1.6 x the ping-pong", calls.ratio(), 1.6,
                      " x")
    peers = {name: m.ratio() for name in DEBIAN_RINGS if (m := results.get("trip", name))}
    if peers:
        best = min(peers, key=peers.get)
        yield at_most("the same, against every Debian peer", "faster than all",
                      ours.ratio(), peers[best], " x", f"the fastest, {best}: "
                      f"{number(peers[best])} x")
    yield at_most("command round trip, sleeping", "<= 1.15 x a bare futex",
                  against(results, "sleeping", WAITING, "bare futex"), 1.15, " x")


def stream_targets(results):
    at16, at64 = results.get("stream", OURS, 16), results.get("stream", OURS, 64)
    if at16 is None or at64 is None:
        return
    near, far = at16.regime(True), at16.regime(False)
    yield at_most("command stream, depth 16", "<= 1 x the ping-pong (100 ns at 100 ns), near",
                  near[1] if near else None, 1.0, " x",
                  "; ".join(([] if near else [NOT_HERE]) +
                            ([f"far {number(far[1])} x"] if far else [])))
    yield at_most("the same, depth 64", "no slower than depth 16", at64.against(at16), 1.05,
                  " x depth 16")


def flat(results, row):
    """The slowest over the fastest number of buffers."""
    medians = [m.median() for m in results.of("handles") if m.row == row]
    return max(medians) / min(medians) if medians else None


def handle_targets(results):
    mapped, got = "MapBufferHandle, client", "GetBufferHandle, client"
    refused = "MapBufferHandle refuses, client"
    slowest = [m.median() for m in results.of("handles") if m.row == mapped]
    if not slowest:
        return
    yield at_most("MapBufferHandle, validated", "<= 4 ns", max(slowest), 4, " ns")
    yield at_most("the same, 1 to 4096 buffers", "flat", flat(results, mapped), 1.25,
                  " x from fastest to slowest")
    ratios = [m.against(results.get("handles", mapped, m.x)) for m in results.of("handles")
              if m.row == refused]
    yield at_most("the same, refusals", "as cheap as hits", max(ratios), 1.15, " x a hit")
    yield at_most("GetBufferHandle, 4096 live", "<= 6 ns",
                  results.get("handles", got, 4096).median(), 6, " ns")
    yield at_most("the same, 1 to 4096 buffers", "flat", flat(results, got), 1.25,
                  " x from fastest to slowest")


def bulk_targets(results):
    if results.get("bulk", WAITING, MIB) is None:
        return
    yield at_least("bulk stream, 1 MiB", ">= 0.95 x a raw zero-copy ring",
                   against(results, "bulk", WAITING, "raw ring, same pages, waiting", MIB), 0.95,
                   " x")
    yield at_least("the same, against a pipe", ">= 8 x",
                   against(results, "bulk", WAITING, "pipe", MIB), 8, " x")


def devices_targets(results):
    bare = {"commands, a thread each": "bare rings and futexes, a thread each",
            "64 KiB read, a thread each": "64 KiB read, bare rings and futexes",
            "commands, one polling thread": None}
    for row, least in bare.items():
        value = against(results, "devices", row, row, 64, 4)
        if value is None:
            continue
        of_bare = against(results, "devices", least, least, 64, 4) if least else None
        note = f"bare rings and futexes: {number(of_bare)} x" if of_bare else ""
        beside = against(results, "devices", row, least, 64) if least else None
        note += f", ours {number(beside)} x theirs at 64" if beside else ""
        yield at_least(f"64 devices: {row}", ">= 0.9 x of 4 devices", value, 0.9, " x", note)


def processor_targets(results):
    if results.get("one-processor", WAITING) is None:
        return
    yield at_most("both on one processor", "<= 2 x a bare futex",
                  against(results, "one-processor", WAITING, "bare futex"), 2, " x")
    starts = results.get("starts", WAITING)
    yield at_most("the same, slow modes", f"none in {starts.x:.0f} starts", starts.median(), 0,
                  " slow starts")
    yield at_least("the same, twofold load", ">= 0.7 of the fair share",
                   results.get("load, one processor", WAITING).median(), 0.7, "")


def idle_targets(results):
    for side in ("client", "server"):
        used = results.get("idle", f"{side}, processor time")
        if used is None:
            return
        yield at_most(f"idle, 64 devices: {side}", "< 0.1 % of a core", used.median(), 0.1, " %")
    woken = results.get("idle", "client, wake-ups")
    yield at_most("the same, wake-ups", "no storms: <= 2 per second and waiting thread",
                  woken.median() / woken.x, 2, "")


def backup_targets(results):
    value = against(results, "backup", "vdset backup", "sqlite3 .backup")
    if value is not None:
        size = results.of("backup")[0].x
        yield at_most(f"vdset backup, {size:.0f} MiB cached", "<= 1.2 x sqlite3 .backup",
                      value, 1.2, " x")


def judge(results):
    """The targets of whatever was measured."""
    return [target for group in (trip_targets, stream_targets, handle_targets, bulk_targets,
                                 devices_targets, processor_targets, idle_targets, backup_targets)
            for target in group(results)]


def as_table(judged):
    return table(["measure", "target", "found", ""], [target.row() for target in judged])
