"""Plots: the rows of a benchmark as bars, in an SVG that is light or dark as its reader is.

Written here rather than by a plotting library: such a file holds its text as text, follows
`prefers-color-scheme`, is the same whenever the numbers are, and its diff shows which changed.
"""

from collections.abc import Iterator, Sequence
from html import escape
from textwrap import wrap

from benchmarks.harness.summary import Case, Row, Spread

WIDTH = 480
MARGIN = 20
BAR = WIDTH - 2 * MARGIN
LINE = 36
"""The height of a row: its text, its bar, and the room below."""

TITLE = 52
"""How many characters of a title fit into a line."""
TITLE_LINE = 18

STYLE = """
text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.quiet { fill: #59636e }
.value { text-anchor: end }
.card { fill: #ffffff; stroke: #d1d9e0 }
.ours { fill: #0969da }
.peer { fill: #a5afb9 }
.track { fill: #eff2f5 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  .card { fill: #0d1117; stroke: #3d444d }
  .ours { fill: #4493f8 }
  .peer { fill: #656c76 }
  .track { fill: #1c2128 }
  .spread { stroke: #f0f6fc }
}
"""


def plot(cases: Sequence[Case]) -> str | None:
    """Return the plot of a benchmark's cases, or None where none has what is to be drawn."""
    drawn = [case for case in cases if any(number(case, row) for row in case.rows)]
    if not drawn:
        return None
    parts: list[str] = []
    top = MARGIN
    for case in drawn:
        parts += panel(case, top)
        top += height(case)
    title = escape(drawn[0].title)
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{top - 1}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def heading(case: Case) -> int:
    """The height of a case's title and of the line below."""
    return TITLE_LINE * len(wrap(case.heading, TITLE)) + 28


def height(case: Case) -> int:
    """The height of a case's panel: heading, rows, and a gap."""
    return heading(case) + LINE * len(case.rows) + MARGIN // 2


def panel(case: Case, top: int) -> Iterator[str]:
    """Draw a case, the best row first, and those without a number last."""
    for number_of_line, line in enumerate(wrap(case.heading, TITLE)):
        y = top + 12 + TITLE_LINE * number_of_line
        yield f'<text class="title" x="{MARGIN}" y="{y}">{escape(line)}</text>'
    y = top + heading(case) - 16
    yield f'<text class="quiet" x="{MARGIN}" y="{y}">{escape(subtitle(case))}</text>'
    found = {row.name: number(case, row) for row in case.rows}
    most = max((spread.high for spread in found.values() if spread), default=0.0)
    sign = -1 if case.plot == "rate" else 1

    def place(row: Row) -> float:
        spread = found[row.name]
        return sign * spread.median if spread else float("inf")

    for position, row in enumerate(sorted(case.rows, key=place)):
        yield from bar(case, row, found[row.name], most, top + heading(case) + LINE * position)


def bar(case: Case, row: Row, spread: Spread | None, most: float, top: int) -> Iterator[str]:
    """Draw a row: name and value, the bar of the median, and a line from the least to the most."""
    kind = "ours" if row.is_ours else "peer"
    if spread is None:
        value = "failed" if row.name in case.failed else "not measured"
    else:
        value = shown(case, spread.median)
    quiet = "" if spread else " quiet"
    yield f'<text class="{quiet.strip()}" x="{MARGIN}" y="{top + 12}">{escape(row.name)}</text>'
    yield f'<text class="value{quiet}" x="{WIDTH - MARGIN}" y="{top + 12}">{value}</text>'
    yield rect("track", top, BAR)
    if spread is None or most <= 0:
        return
    yield rect(kind, top, length(spread.median, most))
    low, high = (MARGIN + length(value, most) for value in (spread.low, spread.high))
    yield f'<path class="spread" d="M{low:.0f} {top + 22}H{high:.0f}"/>'


def rect(kind: str, top: int, width: float) -> str:
    """A bar of a row."""
    return (
        f'<rect class="{kind}" x="{MARGIN}" y="{top + 18}" width="{width:.0f}" height="8" rx="2"/>'
    )


def length(value: float, most: float) -> float:
    """How long a bar is; what is below 0 has none."""
    return BAR * max(0.0, value) / most


def number(case: Case, row: Row) -> Spread | None:
    """What is drawn of a row, or None where it was not measured or does not give it."""
    if row.name not in case.rounds or not case.plot:
        return None
    return case.number(row.name, case.plot)


def shown(case: Case, value: float) -> str:
    """Write a value as the tables do."""
    match case.plot:
        case "rate":
            return f"{value:,.0f}"
        case "cpu":
            return f"{value * 1e6:.2f}"
        case _:
            return f"{value:.4g}"


def subtitle(case: Case) -> str:
    """Say what is drawn, and which way is better."""
    match case.plot:
        case "rate":
            return f"{case.unit}s/s, more is better"
        case "cpu":
            return f"CPU µs/{case.unit}, less is better"
        case extra:
            return f"{extra}, less is better"
