"""Plots of a run as SVG, by the standard library alone. Light and dark, no script, no font."""
import math
from html import escape

from results import number

WIDTH = 760
LABEL = 250
ROW = 24
COLOURS = ["#3b6fd4", "#d1782c", "#2f9e6e", "#a452b8", "#b8a12f", "#c4485c", "#4aa3b8", "#777777",
           "#7d5a3c", "#5c7d2f", "#8a8ad0"]
OURS = COLOURS[0]
OTHERS = "#9aa4b2"
STYLE = """<style>
text { font: 12px sans-serif; fill: #1c2430 } .t { font-weight: 600; font-size: 14px }
.s { fill: #667080 } .g { stroke: #d5dae1; stroke-width: 1 } svg { background: #ffffff }
@media (prefers-color-scheme: dark) { text { fill: #e3e8ef } .s { fill: #9aa4b2 }
.g { stroke: #39414d } svg { background: #161a20 } }
</style>"""


def round_up(value):
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.999)


def drawing(height, title, subtitle, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img">\n<title>{escape(title)}</title>\n'
            f'{STYLE}\n<text class="t" x="12" y="22">{escape(title)}</text>\n'
            f'<text class="s" x="12" y="40">{escape(subtitle)}</text>\n'
            + "\n".join(body) + "\n</svg>\n")


def bars(title, subtitle, rows):
    """Horizontal bars from (label, value, text, ours), in the order given."""
    most = max(value for _, value, _, _ in rows)
    body = []
    for i, (label, value, text, ours) in enumerate(rows):
        y = 56 + i * ROW
        width = max(1.0, (WIDTH - LABEL - 150) * value / most)
        body.append(f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>')
        body.append(f'<rect x="{LABEL}" y="{y + 2}" width="{width:.1f}" height="{ROW - 7}" '
                    f'rx="2" fill="{OURS if ours else OTHERS}"/>')
        body.append(f'<text class="s" x="{LABEL + width + 6:.1f}" y="{y + 14}">'
                    f'{escape(text)}</text>')
    return drawing(68 + len(rows) * ROW, title, subtitle, body)


def lines(title, subtitle, series, x_names):
    """Lines from {name: [value or None for each x]}, from zero."""
    left, top, height = 56, 60, 260
    width = WIDTH - left - 24
    tick = round_up(max(v for values in series.values() for v in values if v is not None) / 4)
    most = 4 * tick
    step = width / max(1, len(x_names) - 1)
    body = []
    for i in range(5):
        y = top + height - height * i / 4
        body.append(f'<line class="g" x1="{left}" x2="{left + width}" y1="{y:.0f}" y2="{y:.0f}"/>')
        body.append(f'<text class="s" x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">'
                    f'{tick * i:g}</text>')
    for i, name in enumerate(x_names):
        body.append(f'<text class="s" x="{left + i * step:.0f}" y="{top + height + 18}" '
                    f'text-anchor="middle">{escape(name)}</text>')
    for k, (name, values) in enumerate(series.items()):
        colour = COLOURS[k % len(COLOURS)]
        points = " ".join(f"{left + i * step:.1f},{top + height - height * v / most:.1f}"
                          for i, v in enumerate(values) if v is not None)
        stroke = 3 if name.startswith("vdset") else 1.5
        body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" '
                    f'stroke-width="{stroke}"/>')
        y = top + height + 42 + (k // 2) * 18
        x = left + (k % 2) * (width / 2)
        body.append(f'<rect x="{x:.0f}" y="{y - 9}" width="12" height="10" fill="{colour}"/>')
        body.append(f'<text x="{x + 18:.0f}" y="{y}">{escape(name)}</text>')
    return drawing(top + height + 52 + (len(series) + 1) // 2 * 18, title, subtitle, body)


def ratio_bars(results, bench, title, subtitle):
    rows = sorted((m for m in results.of(bench) if m.ratio()), key=lambda m: m.ratio())
    return bars(title, subtitle, [
        (m.row, m.ratio(), f"{m.ratio():.2f} x, {number(m.median())} ns", "vdset" in m.row)
        for m in rows]) if rows else None


def line_plot(results, bench, wanted, title, subtitle, ratio=False):
    chosen = [m for m in results.of(bench) if wanted(m)]
    if not chosen:
        return None
    xs = sorted({m.x for m in chosen})
    series = {}
    for m in chosen:
        series.setdefault(m.row, [None] * len(xs))[xs.index(m.x)] = \
            m.ratio() if ratio else m.median()
    return lines(title, subtitle, series, [f"{x:.0f}" for x in xs])


def bulk_bars(results):
    rows = [m for m in results.of("bulk") if m.x == 1 << 20]
    return bars("Bulk stream, buffers of 1 MiB", "GiB/s; the consumer reads every byte", [
        (m.row, m.median(), f"{number(m.median())} GiB/s", "vdset" in m.row)
        for m in sorted(rows, key=lambda m: -m.median())]) if rows else None


def backup_bars(results):
    rows = results.of("backup")
    return bars("The whole tool", "seconds, same database and disk; shorter is better", [
        (m.row, m.median(), f"{number(m.median())} s", "vdset" in m.row)
        for m in sorted(rows, key=lambda m: m.median())]) if rows else None


def draw(results):
    """{file name: SVG} of whatever was measured."""
    drawn = {
        "round-trip.svg": ratio_bars(
            results, "trip", "Command round trip, two processes, polling",
            "as a multiple of the cache-line ping-pong of the same second; shorter is better"),
        "sleeping.svg": ratio_bars(
            results, "sleeping", "Command round trip, both asleep when it comes",
            "as a multiple of the cache-line ping-pong of the same second; shorter is better"),
        "stream.svg": line_plot(
            results, "stream", lambda m: (m.ratio() or 99) < 10 and m.row not in (
                "pipe", "unix stream", "Boost.Interprocess message_queue"),
            "Stream of commands", "time per command as a multiple of the ping-pong, by commands "
            "under way; lower is better", ratio=True),
        "handles.svg": line_plot(
            results, "handles", lambda m: "server" not in m.row,
            "Handles", "ns per call, by buffers live; lower is better"),
        "bulk.svg": bulk_bars(results),
        "devices.svg": line_plot(
            results, "devices", lambda m: m.unit == "M commands/s",
            "All devices of a set together", "million commands per second, by devices; higher "
            "is better"),
        "backup.svg": backup_bars(results),
    }
    return {name: text for name, text in drawn.items() if text}
