"""One page of everything that was measured: Markdown, with a plot for each benchmark."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median

from benchmarks.harness import bars, better, report
from benchmarks.harness.results import Results
from benchmarks.harness.summary import Case

PAGE = "benchmarks.md"
PLOTS = "benchmarks"
"""The folder of the plots, beside the page."""

README = Path(__file__).parents[1] / "README.md"
SUITES = {
    "net": "Sockets",
    "amq": "RabbitMQ",
    "start": "Import and start",
    "codecs": "Codecs",
    "core": "Timers",
    "amq_embedded": "The embedded broker",
    "codecs_worst": "What one hostile message costs",
}
"""The sections, in the order of the page."""


def write(folder: Path, results: Results) -> None:
    """Write the page, and its plots; what was drawn there before is gone."""
    plots = folder / PLOTS
    plots.mkdir(exist_ok=True)
    for old in plots.glob("*.svg"):
        old.unlink()
    for name, cases in grouped(results.cases).items():
        if (drawn := bars.plot(cases)) is not None:
            (plots / file(name)).write_text(drawn, encoding="utf-8")
    readme = Path(os.path.relpath(README, folder)).as_posix()
    (folder / PAGE).write_text(markdown(results, readme), encoding="utf-8")


def file(benchmark: str) -> str:
    """The name of a benchmark's plot."""
    return benchmark.replace("/", "-").replace("_", "-") + ".svg"


def grouped(cases: Sequence[Case]) -> Mapping[str, list[Case]]:
    """The cases of each benchmark."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.benchmark, []).append(case)
    return found


def markdown(results: Results, readme: str = "README.md") -> str:
    """Return the page.

    Args:
        results: what was measured.
        readme: where how it is measured is told, from where the page is.
    """
    return "\n".join(
        [
            "<!-- Made of benchmarks/results.json by `./dev run bench:page`. -->",
            "",
            "# How fast it is",
            "",
            "Gestalt and its peers, side by side in one run: same work, same guarantees, stated with each table.",
            f"[How it is measured]({readme}), and what keeps the comparison fair.",
            "",
            *machine(results),
            *repeat(),
            *where_better(results.cases),
            *suites(results),
        ]
    )


def machine(results: Results) -> Iterator[str]:
    """Say where the figures come from, and how far they can be trusted."""
    of = results.machine
    around = {name: version for case in results.cases for name, version in case.versions.items()}
    packages = {
        row.package: case.rounds[row.name][0].version
        for case in results.cases
        for row in case.rows
        if row.package and not row.package.startswith("gestalt-") and row.name in case.rounds
    }
    servers = [*around.items()]
    if of["nats-server"]:
        servers.append(("NATS server", str(of["nats-server"])))
    facts = [
        ["processor", f"{of['processor'] or 'unknown'}, {of['machine']}"],
        ["cores", str(of["cores"])],
        ["system", str(of["system"])],
        ["Python", str(of["python"])],
        ["servers", ", ".join(f"{name} {version}" for name, version in servers) or "none"],
        ["libraries", ", ".join(f"{name} {packages[name]}" for name in sorted(packages)) or "none"],
        ["measured on", ", ".join(results.dates)],
    ]
    yield from ["## The machine", "", report.tabular([["what", "which"], *facts]), ""]
    spreads = sorted(
        case.rate(name).percent for case in results.cases for name in case.rounds
    )
    if spreads:
        most = spreads[int(0.9 * (len(spreads) - 1))]
        yield (
            f"With {of['cores']} cores, both ends of a connection, the broker and whatever else runs share "
            f"them, and the machine is noisy: the rates of one row differ by ± {median(spreads):.0f} % in half "
            f"of all rows, and by up to ± {most:.0f} % in nine of ten. Absolute figures belong to this machine; "
            "ratios, taken round by round, travel better."
        )
    quick = sum(case.quick for case in results.cases)
    yield (
        "Tables show medians; ± is half of the whole range; CPU time is that of all processes of a row, without "
        f"a broker. {quick or 'None'} of {len(results.cases)} tables {'are' if quick != 1 else 'is'} of a quick run, "
        "which says so: one or three short rounds (0.2 to 1 s) in place of five of full length, with little warm-up. "
        "It shows orders of magnitude, and differences beyond its ±."
    )
    yield ""


def repeat() -> Iterator[str]:
    """Say how the same is had on another machine."""
    yield from [
        "## Repeat it",
        "",
        "    ./dev run bench:all            # everything, in full length",
        "    ./dev run bench:all --quick    # an impression, in three minutes",
        "    ./dev run bench:net --json net.json && ./dev run bench:page net.json",
        "",
        "The first two leave the page, its plots and `results.json` in `.hatch/benchmarks`, the last one makes this "
        "page anew. `./dev` brings the peers. RabbitMQ is found where it is installed, NATS where `nats-server` is "
        "on PATH (Debian: `apt-get install rabbitmq-server nats-server`); without them their rows say so.",
        "",
    ]


def where_better(cases: Sequence[Case]) -> Iterator[str]:
    """List each row of Gestalt's that a peer surpasses."""
    found = list(better.better(cases))
    yield from ["## Where a peer is better", ""]
    if not found:
        yield from ["Nowhere in these figures.", ""]
        return
    yield from [
        "Taken from the figures: each row of Gestalt's that a contender on the same event loop surpasses, in the rate, in "
        "CPU time, or in what the table is about. In brackets what was not so in every round. What it does less for "
        "that, and promises less, stands in the tables.",
        "",
    ]
    table = [["measurement", "Gestalt", "in", "better"]]
    for key, group in groupby(found, key=lambda each: (each.case.heading, each.ours, each.number)):
        heading, ours, number = key
        said = [shown(each) for each in sorted(group, key=lambda each: -each.times.median)]
        table.append([heading, ours, {"cpu": "CPU time"}.get(number, number), ", ".join(said)])
    yield from [report.tabular(table), ""]


def shown(one: better.Better) -> str:
    """Write a peer and how much better it is."""
    text = f"{one.peer} {one.times.median:.2f} times"
    return text if one.always else f"({text})"


def suites(results: Results) -> Iterator[str]:
    """Give each suite a section, in which each benchmark has its plot and its tables."""
    benchmarks = grouped(results.cases)
    missing = results.missing
    for suite, title in SUITES.items():
        names = [name for name in benchmarks if name.partition("/")[0] == suite]
        lacking = [name for name in missing if name.partition("/")[0] == suite]
        if not names and not lacking:
            continue
        yield from [f"## {title}", ""]
        for name in names:
            yield from benchmark(name, benchmarks[name])
        for name in lacking:
            yield from [f"`{name}` was not measured: {missing[name]}", ""]


def benchmark(name: str, cases: Sequence[Case]) -> Iterator[str]:
    """Show a benchmark: its plot, its figures, and what its contenders do."""
    first = cases[0]
    yield from [f"### {first.title}", ""]
    if bars.plot(cases) is not None:
        yield from [f"![{first.title}: the figures below, as bars]({PLOTS}/{file(name)})", ""]
    for case in cases:
        if case.name:
            yield from [f"#### {first.title}, {case.name}", ""]
        yield from [report.tabular(report.figures(case)), "", effort(case)]
        yield from [f"{sentence}" for sentence in report.below(case) if sentence != case.note]
        yield ""
    if first.note:
        yield from [first.note, ""]
    yield from ["What each one does, and guarantees:", ""]
    table = [["contender", "work", "guarantees"]]
    table += [[row.name, row.work, row.guarantees] for row in first.rows]
    yield from [report.tabular(table), ""]


def effort(case: Case) -> str:
    """Say how much was measured."""
    rounds = max((len(samples) for samples in case.rounds.values()), default=0)
    text = f"{rounds} rounds" if rounds != 1 else "One round"
    return f"{text} of {case.seconds:g} s{', a quick run' if case.quick else ''}."
