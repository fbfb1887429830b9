"""What the reader sees: a Markdown table for each case, and a JSON file with all runs."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.summary import Case


def machine() -> dict[str, str | int | None]:
    """Say where the numbers come from."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def markdown(case: Case) -> str:
    """Return a case's heading, its table, and what stands below it."""
    heading = f"### {case.title}" + (f", {case.name}" if case.name else "")
    columns = ["contender", f"{case.unit}s/s", "±", "ratio", f"CPU µs/{case.unit}", "CPU ratio"]
    columns += [*case.extras, "work", "guarantees"]
    rows = []
    for contender in case.contenders:
        name = contender.name
        if name in case.failed:
            blank = [""] * (len(columns) - 4)
            rows.append([name, "failed", *blank, contender.work, contender.guarantees])
        if name not in case.rounds:
            continue
        version = case.rounds[name][0].version
        rate, cpu = case.rate(name), case.cpu(name)
        cells = [f"{name} {version}" if version else name]
        cells += [f"{rate.median:,.0f}", f"{rate.percent:.0f} %"]
        cells += [f"{case.ratio(name).median:.2f}" if case.compared() else ""]
        cells += [f"{cpu.median * 1e6:.2f}"]
        cells += [f"{case.cpu_ratio(name).median:.2f}" if case.compared() else ""]
        for extra in case.extras:
            spread = case.extra(name, extra)
            cells.append("" if spread is None else f"{spread.median:.4g}")
        rows.append([*cells, contender.work, contender.guarantees])
    lines = [heading, "", line(columns), line(["---"] * len(columns)), *map(line, rows)]
    below = [f"{name} was not measured: {why}" for name, why in case.unavailable.items()]
    below += [f"{name} failed: {error.sentence}" for name, error in case.failed.items()]
    if case.compared():
        below.insert(0, f"Ratios are to {case.reference}, round by round.")
    if case.note:
        below.append(case.note)
    return "\n".join([*lines, "", *below, ""])


def line(cells: Sequence[str]) -> str:
    """Return one line of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write(path: Path, cases: Sequence[Case]) -> None:
    """Write all cases with all their runs."""
    content = {"machine": machine(), "cases": [case.json() for case in cases]}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
