"""The page and its plots, made of results that were measured before."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import page as command
from benchmarks.harness import bars, cli, page, results
from benchmarks.harness.launch import ContenderError
from benchmarks.harness.process import Sample
from benchmarks.harness.results import Results
from benchmarks.harness.summary import Case, Row

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
MACHINE = {
    "processor": "Some | Processor",
    "cores": 2,
    "system": "Linux 6.1",
    "machine": "x86_64",
    "python": "CPython 3.11.7",
    "nats-server": None,
}


def samples(*rates: float, cpu: float = 1e-6, version: str | None = None, **extra: float) -> Any:
    return [
        Sample(count=1000, seconds=1000 / rate, cpu=1000 * cpu, extra=extra, version=version)
        for rate in rates
    ]


def stream(**more: Any) -> Case:
    given: dict[str, Any] = {
        "benchmark": "net/stream",
        "name": "64 B",
        "unit": "message",
        "title": "One way",
        "reference": "by hand",
        "rows": [
            Row("by hand", "counts", "none", bare=True),
            Row("gestalt.net", "a <message>", "bounded", "gestalt-net"),
            Row("slow", "sends", "none", "slow-lib"),
            Row("fast", "sends", "none", "fast-lib"),
            Row("fast, uvloop", "sends", "none", "fast-lib", "uvloop"),
            Row("hung", "hangs", "none"),
            Row("absent", "would send", "none"),
        ],
        "rounds": {
            "by hand": samples(400, 400, 400, cpu=1e-7),
            "gestalt.net": samples(100, 200, 300, version="0.1.0"),
            "slow": samples(50, 100, 150, version="1.2"),
            # Better in two of three rounds, and takes more of the processor.
            "fast": samples(150, 190, 450, cpu=2e-6, version="3.4"),
            "fast, uvloop": samples(900, 900, 900, version="3.4"),
        },
        "failed": {"hung": ContenderError("hung (server) did not end within 3 s", "/a/path")},
        "unavailable": {"absent": "absent is not installed"},
        "seconds": 2.0,
    }
    return Case(**given | more)


def of(*cases: Case, **more: Any) -> Results:
    return Results(**{"machine": MACHINE, "dates": ["2026-05-01"], "cases": cases} | more)


def test_results_that_were_written_are_read_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    first = of(stream(versions={"RabbitMQ": "4.3"}), missing={"amq/calls": "no broker"})
    results.write(file, first)
    again = results.read(file)
    results.write(tmp_path / "again.json", again)
    assert file.read_bytes() == (tmp_path / "again.json").read_bytes()
    assert page.markdown(again) == page.markdown(first)


def test_what_a_contender_printed_stays_on_this_machine(tmp_path: Path) -> None:
    results.write(tmp_path / "kept.json", of(stream()), details=False)
    assert "/a/path" not in (tmp_path / "kept.json").read_text()
    assert "/a/path" not in page.markdown(of(stream()))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"machine": {}, "dates": [], "cases": [{}]}'])
def test_what_holds_no_results_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "out.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"out\.json holds no results of benchmarks"):
        results.read(file)


def test_the_later_run_of_a_case_counts_and_fills_what_was_missing() -> None:
    first = of(stream(), stream(name="4 KiB"), missing={"amq/calls": "none", "amq/publish": "none"})
    later = of(stream(title="Again"), stream(benchmark="amq/calls"), dates=["2026-05-03"])
    merged = results.merge([first, later])
    assert [(case.benchmark, case.name, case.title) for case in merged.cases] == [
        ("net/stream", "64 B", "Again"),
        ("net/stream", "4 KiB", "One way"),
        ("amq/calls", "64 B", "One way"),
    ]
    assert merged.dates == ["2026-05-01", "2026-05-03"]
    assert merged.missing == {"amq/publish": "none"}


def test_results_of_two_machines_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="different machines"):
        results.merge([of(stream()), of(stream(), machine=MACHINE | {"cores": 64})])


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_page_tells_of_the_machine_and_of_its_noise() -> None:
    told = section(page.markdown(of(stream(versions={"RabbitMQ": "4.3"}))), "The machine")
    assert "| processor | Some \\| Processor, x86_64 |" in told
    assert "| servers | RabbitMQ 4.3 |" in told
    # What we ship has the version of the repository.
    assert "| libraries | fast-lib 3.4, slow-lib 1.2 |" in told
    assert "| measured on | 2026-05-01 |" in told
    assert "With 2 cores" in told
    # The spreads of the five rows are 0, 0, 50, 50 and 79 %.
    assert re.search(
        r"differ by ±\s50\s% in half of all rows, and by up\sto ±\s50\s% in nine", told
    )


def test_the_page_says_which_tables_are_of_a_quick_run() -> None:
    whole = page.markdown(of(stream()))
    assert "of a quick run" not in whole
    assert "\n3 rounds of 2 s.\n" in whole
    some = page.markdown(of(stream(quick=True, seconds=0.2), stream(name="4 KiB")))
    assert "1 of 2 tables is of a quick run" in some
    assert "\n3 rounds of 0.2 s, a quick run.\n" in some


def test_rows_that_could_not_be_measured_say_why() -> None:
    shown = section(page.markdown(of(stream(), missing={"net/echo": "no network"})), "Sockets")
    assert "| hung | failed |" in shown
    assert "hung failed: hung (server) did not end within 3 s" in shown
    assert "absent was not measured: absent is not installed" in shown
    assert "`net/echo` was not measured: no network" in shown


def test_where_a_peer_is_better_is_taken_from_the_figures() -> None:
    told = page.markdown(of(stream()))
    [peers] = re.findall(r"^\| One way.*", section(told, "Where a peer is better"), re.MULTILINE)
    # Not the slow one, nor what runs on another event loop; nor a number in which it is worse.
    assert peers == "| One way, 64 B | gestalt.net | fast: (rate 1.50) |"
    [least] = re.findall(
        r"^\| One way.*", section(told, "What the work takes at least"), re.MULTILINE
    )
    assert least == "| One way, 64 B | gestalt.net | by hand: rate 2.00, CPU time 10.00 |"


def test_cpu_times_that_do_not_compare_are_not_compared() -> None:
    told = page.markdown(of(stream(compares_cpu=False)))
    assert "| One way, 64 B | gestalt.net | by hand: rate 2.00 |" in told


def test_where_less_is_better_the_number_of_the_plot_is_compared() -> None:
    rounds = {
        "gestalt.net": samples(9, ms=30.0),
        "slow": samples(1, ms=60.0),
        "fast": samples(2, ms=20.0),
        "by hand": samples(100),
    }
    told = page.markdown(of(stream(plot="ms", rounds=rounds)))
    assert "| One way, 64 B | gestalt.net | fast: ms 1.50 |" in told


def test_nothing_better_is_said_to_be_so() -> None:
    told = page.markdown(of(stream(rounds={"gestalt.net": samples(9), "slow": samples(1)})))
    assert "Nowhere in these figures." in section(told, "Where a peer is better")


def texts(drawn: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(drawn).iter(f"{SVG}text")]


def widths(drawn: str, kind: str) -> list[float]:
    found = ElementTree.fromstring(drawn).iter(f"{SVG}rect")
    return [float(each.attrib["width"]) for each in found if each.attrib["class"] == kind]


def test_the_plot_has_bars_by_their_numbers_the_best_one_first() -> None:
    drawn = bars.plot([stream()])
    assert drawn is not None
    assert texts(drawn) == [
        *("One way, 64 B", "messages/s, more is better"),
        *("fast, uvloop", "900", "by hand", "400", "gestalt.net", "200", "fast", "190"),
        *("slow", "100", "hung", "failed", "absent", "not measured"),
    ]
    assert widths(drawn, "ours") == [round(bars.BAR * 200 / 900)]
    assert widths(drawn, "peer")[:2] == [bars.BAR, round(bars.BAR * 400 / 900)]


def test_the_plot_is_light_or_dark_as_its_reader_is_and_the_same_each_time() -> None:
    drawn = bars.plot([stream(title="A < B & C")])
    assert drawn == bars.plot([stream(title="A < B & C")])
    assert drawn is not None
    assert "prefers-color-scheme: dark" in drawn
    assert texts(drawn)[0] == "A < B & C, 64 B"


def test_numbers_of_which_less_is_better_are_drawn_so() -> None:
    rounds = {"gestalt.net": samples(9, ms=30.0), "slow": samples(1, ms=60.0)}
    drawn = bars.plot([stream(plot="ms", rounds=rounds, failed={}, unavailable={})])
    assert drawn is not None
    assert texts(drawn)[1:6] == ["ms, less is better", "gestalt.net", "30", "slow", "60"]
    assert bars.plot([stream(plot="")]) is None
    assert bars.plot([stream(plot="s")]) is None


def test_plots_that_no_benchmark_has_any_more_are_gone(tmp_path: Path) -> None:
    page.write(tmp_path, of(stream(), stream(benchmark="net/udp_send")))
    page.write(tmp_path, of(stream()))
    assert [file.name for file in (tmp_path / "benchmarks").iterdir()] == ["net-stream.svg"]
    text = (tmp_path / "benchmarks.md").read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert (tmp_path / target).exists(), target


def test_the_page_of_the_documentation_is_made_of_its_results() -> None:
    found = results.read(command.RESULTS)
    docs = ROOT / "docs"
    assert (docs / page.PAGE).read_text("utf-8") == page.markdown(found, "../benchmarks/README.md")
    drawn = {page.file(name): bars.plot(cases) for name, cases in page.grouped(found.cases).items()}
    kept = {file.name: file.read_text("utf-8") for file in (docs / page.PLOTS).iterdir()}
    assert kept == {name: plot for name, plot in drawn.items() if plot is not None}


def test_every_suite_has_its_section() -> None:
    assert set(page.SUITES) == set(cli.SUITES)


def test_the_command_puts_results_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "benchmarks" / "results.json"
    for folder in ("benchmarks", "docs"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "RESULTS", kept)
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    results.write(one, of(stream()))
    results.write(two, of(stream(benchmark="core/timers", name="")))
    assert command.main([str(one)]) == 0
    assert command.main([str(two), "--update"]) == 0
    assert len(json.loads(kept.read_text())["cases"]) == 2
    assert "/a/path" not in kept.read_text()
    before = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert command.main([]) == 0
    assert (tmp_path / "docs" / "benchmarks.md").read_text() == before
    assert command.main([str(tmp_path / "absent.json")]) == 2
    assert "absent.json" in capsys.readouterr().err


def test_measuring_can_leave_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "folder"
    arguments = ["core", "timers", "--smoke", "--only", "Timer", "--page", str(folder)]
    assert cli.main(arguments) == 0
    assert f"The page is {folder / 'benchmarks.md'}." in capsys.readouterr().out
    assert "core-timers.svg" in (folder / "benchmarks.md").read_text()
    assert results.read(folder / "results.json").cases[0].benchmark == "core/timers"


def test_all_suites_are_loaded_without_what_they_measure() -> None:
    found = cli.load("all")
    assert {name.partition("/")[0] for name in found} == set(cli.SUITES)
    assert list(cli.load("all", ["net/echo", "core/timers"])) == ["core/timers", "net/echo"]
    with pytest.raises(LookupError, match="no benchmark is named echo; there are amq/"):
        cli.load("all", ["echo"])


def test_a_quick_run_of_everything_takes_one_short_round() -> None:
    quick = cli.effort(cli.parser().parse_args(["all", "--quick"]))
    assert (quick.rounds, quick.seconds, quick.quick) == (1, 0.2, True)
    whole = cli.effort(cli.parser().parse_args(["all"]))
    assert (whole.rounds, whole.seconds, whole.quick) == (5, None, False)
