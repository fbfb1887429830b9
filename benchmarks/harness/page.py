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

HEAD = """\
<!-- Made of benchmarks/results.json by `./dev run bench:page`. -->

# How fast it is

Gestalt and its peers, side by side in one run: what each does for its figure, and what it
guarantees, stands with it. [How it is measured]({readme}), and what keeps the comparison fair.
"""

TRUST = """\
With {cores} cores, both ends of a connection, the broker and whatever else runs share them, and
the machine is noisy: the rates of one row differ by ±\u00a0{half} in half of all rows, and by up
to ±\u00a0{most} in nine of ten. Absolute figures belong to this machine; ratios, taken round by
round, travel better. Tables show medians; ± is half of the whole range; CPU time is that of all
processes of a row, without a broker.

Below each table stands how many rounds it took, and how long they were: the more of both, the
better it can be trusted.{quick}
"""

QUICK = """ {tables} of a quick run: one or three short
rounds (0.2 to 1 s each, hardly warmed up) in place of five of full length show orders of
magnitude, and no difference that is within its ±."""

REPEAT = """\
## Repeat it

    ./dev run bench:all            # everything, in full length
    ./dev run bench:all --quick    # an impression, in three minutes
    ./dev run bench:net --json net.json
    ./dev run bench:page net.json  # this page, of what was measured
    ./dev run bench:all --json full.json --resume --within 420  # in parts, until not status 3

The first two leave a page, its plots and `results.json` in `.hatch/benchmarks`. `./dev` brings the
peers. RabbitMQ is found where it is installed, NATS where `nats-server` is on PATH (Debian:
`apt-get install rabbitmq-server nats-server`); without them their rows say so.
"""

BETTER = """\
## Where a peer is better

Taken from the figures: each row of Gestalt's that a peer on the same event loop surpasses, and how
many times, in the rate, in CPU time, or in what the table is about; in brackets what was not so in
every round. What the peer leaves out for that, or does not promise, stands in its table.
"""

BARE = """\
## What the work takes at least

The same, of what is no library: protocols written by hand for one benchmark, and what a row of
Gestalt's calls itself. It is the price of what stands under "guarantees".
"""


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
    """The cases of each benchmark, in the order of the page."""
    order = list(SUITES)
    found: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: order.index(suite_of(case.benchmark))):
        found.setdefault(case.benchmark, []).append(case)
    return found


def suite_of(benchmark: str) -> str:
    """The suite of `suite/file`."""
    return benchmark.partition("/")[0]


def markdown(results: Results, readme: str = "README.md") -> str:
    """Return the page.

    Args:
        results: what was measured.
        readme: where how it is measured is told, from where the page is.
    """
    parts = [
        HEAD.format(readme=readme),
        *machine(results),
        REPEAT,
        *surpassing(results.cases, BETTER, bare=False),
        *suites(results),
        *surpassing(results.cases, BARE, bare=True),
    ]
    return "\n".join(parts)


def machine(results: Results) -> Iterator[str]:
    """Say where the figures come from, and how far they can be trusted."""
    of = results.machine
    servers = {name: version for case in results.cases for name, version in case.versions.items()}
    if of["nats-server"]:
        servers["NATS server"] = str(of["nats-server"])
    packages = {
        row.package: str(case.rounds[row.name][0].version)
        for case in results.cases
        for row in case.rows
        if row.package and not row.package.startswith("gestalt-") and row.name in case.rounds
    }
    facts = [
        ["processor", f"{of['processor'] or 'unknown'}, {of['machine']}"],
        ["cores", str(of["cores"])],
        ["system", str(of["system"])],
        ["Python", str(of["python"])],
        ["servers", listed(servers)],
        ["libraries", listed(packages)],
        ["measured on", ", ".join(results.dates)],
    ]
    yield from ["## The machine", "", report.tabular([["what", "which"], *facts]), ""]
    spreads = sorted(
        case.rate(name).percent
        for case in results.cases
        for name, samples in case.rounds.items()
        if len(samples) > 1
    ) or [0.0]
    quick = sum(case.quick for case in results.cases)
    tables = f"{quick} of {len(results.cases)} tables {'is' if quick == 1 else 'are'}"
    yield TRUST.format(
        cores=of["cores"],
        half=report.percent(median(spreads)),
        most=report.percent(spreads[int(0.9 * (len(spreads) - 1))]),
        quick=QUICK.format(tables=tables) if quick else "",
    )


def listed(versions: Mapping[str, str]) -> str:
    """Names and versions, in the order of the alphabet."""
    return ", ".join(f"{name} {versions[name]}" for name in sorted(versions)) or "none"


def surpassing(cases: Sequence[Case], text: str, *, bare: bool) -> Iterator[str]:
    """List each row of Gestalt's that a peer surpasses, or what the work takes bare."""
    ordered = [case for each in grouped(cases).values() for case in each]
    found = [each for each in better.better(ordered) if each.other.bare == bare]
    table = [["measurement", "Gestalt", "surpassed by"]]
    for key, group in groupby(found, key=lambda each: (each.case.heading, each.ours.name)):
        table.append([*key, "; ".join(map(by_whom, group))])
    yield from [text, report.tabular(table) if found else "Nowhere in these figures.", ""]


def by_whom(one: better.Better) -> str:
    """Write who is better, and how many times; in brackets what was not so in every round."""
    names = {"rate": "rate", "cpu": "CPU time"}
    said = []
    for number, times in one.times.items():
        text = f"{names.get(number, number)} {times.median:.2f}"
        said.append(text if times.low > 1 else f"({text})")
    return f"{one.other.name}: {', '.join(said)}"


def suites(results: Results) -> Iterator[str]:
    """Give each suite a section, in which each benchmark has its plot and its tables."""
    benchmarks = grouped(results.cases)
    missing = results.missing
    for suite, title in SUITES.items():
        names = [name for name in benchmarks if suite_of(name) == suite]
        lacking = [name for name in missing if suite_of(name) == suite]
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
