"""What the reader sees of a case: Markdown tables, and what stands below them."""

from collections.abc import Sequence

from benchmarks.harness.summary import Case, Row

Table = list[list[str]]


def markdown(case: Case) -> str:
    """Return a case's heading, one table of all there is to say, and what stands below it."""
    table = [
        [*cells, *said] for cells, said in zip(figures(case), words(case.rows, case), strict=True)
    ]
    return "\n".join([f"### {case.heading}", "", tabular(table), "", *below(case), ""])


def figures(case: Case) -> Table:
    """Return the head of a case's table and its rows, those of failed contenders included."""
    head = ["contender", f"{case.unit}s/s", "±", "ratio", f"CPU µs/{case.unit}", "CPU ratio"]
    table = [[*head, *case.extras]]
    for row in shown(case):
        name = row.name
        if name in case.failed:
            table.append([name, "failed", *[""] * (len(table[0]) - 2)])
            continue
        version = case.rounds[name][0].version
        rate, cpu = case.rate(name), case.cpu(name)
        cells = [f"{name} {version}" if version else name]
        several = len(case.rounds[name]) > 1
        cells += [f"{rate.median:,.0f}", percent(rate.percent) if several else ""]
        cells += [f"{case.ratio(name).median:.2f}" if case.compared() else ""]
        cells += [f"{cpu.median * 1e6:.2f}"]
        cells += [f"{case.cpu_ratio(name).median:.2f}" if case.compared() else ""]
        for extra in case.extras:
            spread = case.extra(name, extra)
            cells.append("" if spread is None else f"{spread.median:.4g}")
        table.append(cells)
    return table


def percent(value: float) -> str:
    """Return what narrow columns do not break."""
    return f"{value:.0f}\u00a0%"


def words(rows: Sequence[Row], case: Case) -> Table:
    """Return what each contender that `figures` tells of does, and what it guarantees."""
    names = {row.name for row in shown(case)}
    told = [[row.work, row.guarantees] for row in rows if row.name in names]
    return [["work", "guarantees"], *told]


def shown(case: Case) -> list[Row]:
    """The contenders that were measured, or failed."""
    return [row for row in case.rows if row.name in case.rounds or row.name in case.failed]


def below(case: Case) -> list[str]:
    """Return what is to be said of a case beside its numbers, a sentence each."""
    said = [f"Ratios are to {case.reference}, round by round."] if case.compared() else []
    said += [f"{name} was not measured: {why}" for name, why in case.unavailable.items()]
    said += [f"{name} failed: {error.sentence}" for name, error in case.failed.items()]
    return [*said, case.note] if case.note else said


def tabular(table: Table) -> str:
    """Return a table in Markdown; its first row is the head."""
    head, *rows = table
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def line(cells: Sequence[str]) -> str:
    """Return one line of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
