"""What was measured, as a JSON file that can be read again."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.launch import ContenderError
from benchmarks.harness.machine import Machine, machine
from benchmarks.harness.process import Sample
from benchmarks.harness.summary import Case, Row

SMALL = re.compile(r'\{[^{}]*(?:"extra": \{[^{}]*\}[^{}]*)?\}')
"""An object that stands in one line: a spread, or a run."""

DIGITS = 6
"""How many digits of a number are kept: far more than a measurement is good for."""


@dataclass(frozen=True, slots=True)
class Results:
    """All cases of one machine, in the order in which they were measured.

    Attributes:
        dates: the days on which that was done, in UTC.
        missing: why whole benchmarks were not measured, in a line each.
    """

    machine: Machine
    dates: Sequence[str]
    cases: Sequence[Case]
    missing: Mapping[str, str] = field(default_factory=dict)


def here(cases: Sequence[Case], missing: Mapping[str, str]) -> Results:
    """What was measured on this machine just now."""
    return Results(machine(), [datetime.now(UTC).date().isoformat()], cases, missing)


def merge(parts: Sequence[Results]) -> Results:
    """Put runs of one machine together; the later of two runs of the same case counts.

    Raises:
        ValueError: they are from different machines.
    """
    first = parts[0].machine
    if any(part.machine != first for part in parts):
        raise ValueError("the results are from different machines, and cannot be compared")
    cases = {(case.benchmark, case.name): case for part in parts for case in part.cases}
    dates = sorted({date for part in parts for date in part.dates})
    measured = {benchmark for benchmark, _ in cases}
    missing = {
        benchmark: why
        for part in parts
        for benchmark, why in part.missing.items()
        if benchmark not in measured
    }
    return Results(first, dates, [*cases.values()], missing)


def write(path: Path, results: Results, *, details: bool = True) -> None:
    """Write all runs.

    Args:
        path: where to.
        results: what.
        details: whether what failing contenders printed is written; it names this machine's paths.
    """
    content = {
        "machine": results.machine,
        "dates": results.dates,
        "missing": results.missing,
        "cases": [to_json(case, details=details) for case in results.cases],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    text = SMALL.sub(lambda found: re.sub(r"\n\s*", " ", found[0]), text)
    if not path.is_file():
        path.write_text(text + "\n", encoding="utf-8")  # a pipe, or /dev/stdout
        return
    # At once: what ends this half way costs nothing that was there.
    part = path.with_name(f"{path.name}.part")
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)


def read(path: Path) -> Results:
    """Read what `write` has written.

    Raises:
        ValueError: that is not what it is.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cases = [from_json(case) for case in content["cases"]]
        return Results(content["machine"], content["dates"], cases, content["missing"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no results of benchmarks: {error!r}") from error


def to_json(case: Case, *, details: bool = True) -> dict[str, Any]:
    """Return a case as plain values."""
    # Before anything is derived: from what is read again, the same is.
    rounds = {name: [*map(rounded, samples)] for name, samples in case.rounds.items()}
    case = replace(case, rounds=rounds)
    measured = {}
    for name, samples in case.rounds.items():
        numbers = {"rate": case.rate(name), "cpu": case.cpu(name)}
        if case.compared():
            numbers |= {"ratio": case.ratio(name), "cpu_ratio": case.cpu_ratio(name)}
        for extra in case.extras:
            if (spread := case.extra(name, extra)) is not None:
                numbers[extra] = spread
        row: dict[str, Any] = {
            key: {of: shortened(value) for of, value in asdict(spread).items()}
            for key, spread in numbers.items()
        }
        row["version"] = samples[0].version
        row["runs"] = [run_to_json(sample) for sample in samples]
        measured[name] = row
    return {
        "benchmark": case.benchmark,
        "case": case.name,
        "title": case.title,
        "unit": case.unit,
        "reference": case.reference,
        "note": case.note,
        "plot": case.plot,
        "compares_cpu": case.compares_cpu,
        "seconds": case.seconds,
        "quick": case.quick,
        "versions": dict(case.versions),
        "rows": [asdict(row) for row in case.rows],
        "contenders": measured,
        "unavailable": dict(case.unavailable),
        "failed": {
            name: {"sentence": error.sentence, "details": error.details if details else ""}
            for name, error in case.failed.items()
        },
    }


def run_to_json(sample: Sample) -> dict[str, Any]:
    """Return a run as plain values."""
    run = {"count": sample.count, "seconds": sample.seconds, "cpu": sample.cpu}
    return run | {"extra": sample.extra} if sample.extra else run


def rounded(sample: Sample) -> Sample:
    """Return a run with numbers of DIGITS digits."""
    extra = {name: shortened(value) for name, value in sample.extra.items()}
    seconds, cpu = shortened(sample.seconds), shortened(sample.cpu)
    return replace(sample, seconds=seconds, cpu=cpu, extra=extra)


def shortened(value: float) -> float:
    """Return a number of DIGITS digits."""
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")


def from_json(content: Mapping[str, Any]) -> Case:
    """Return the case that `to_json` has made this of."""
    return Case(
        benchmark=content["benchmark"],
        name=content["case"],
        title=content["title"],
        unit=content["unit"],
        reference=content["reference"],
        note=content["note"],
        plot=content["plot"],
        compares_cpu=content["compares_cpu"],
        seconds=content["seconds"],
        quick=content["quick"],
        versions=content["versions"],
        rows=[Row(**row) for row in content["rows"]],
        rounds={
            name: [
                Sample(
                    count=run["count"],
                    seconds=run["seconds"],
                    cpu=run["cpu"],
                    extra=run.get("extra", {}),
                    version=row["version"],
                )
                for run in row["runs"]
            ]
            for name, row in content["contenders"].items()
        },
        unavailable=content["unavailable"],
        failed={name: ContenderError(**error) for name, error in content["failed"].items()},
    )
