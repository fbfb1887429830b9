"""What the harness computes and says: medians, ratios, floors, tables."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import Benchmark, Contender, Run, cli, floors, report, results
from benchmarks.harness.floors import Floor
from benchmarks.harness.launch import ContenderError
from benchmarks.harness.process import Sample
from benchmarks.harness.rounds import Effort, order
from benchmarks.harness.summary import Case, Row, Spread


def nothing(run: Run) -> None:
    return None


def contenders(*names: str) -> list[Contender]:
    return [Contender(name=n, run=nothing, work=f"work of {n}", guarantees="all") for n in names]


def rows(*names: str) -> list[Row]:
    return [Row.of(contender) for contender in contenders(*names)]


def sample(rate: float, cpu: float = 1.0, **extra: float) -> Sample:
    return Sample(count=100, seconds=100 / rate, cpu=cpu * 100, extra=extra)


def case(**values: Any) -> Case:
    rounds = {
        # The second round is disturbed: everything runs at half its speed.
        "ours": [sample(30, 2.0, lost=0), sample(15, 4.0, lost=1), sample(30, 2.0, lost=0)],
        "theirs": [sample(10, 4.0), sample(5, 8.0), sample(20, 4.0)],
    }
    given = {
        "benchmark": "net/stream",
        "name": "64 B",
        "unit": "message",
        "title": "One way",
        "reference": "theirs",
        "rows": rows("ours", "theirs"),
        "rounds": rounds,
    }
    return Case(**given | values)


def test_a_spread_is_the_median_within_its_range() -> None:
    assert Spread.of([3, 1, 2]) == Spread(2, 1, 3)
    assert Spread.of([4, 1]) == Spread(2.5, 1, 4)
    assert Spread.of([8, 10, 12]).percent == 20
    assert Spread.of([0, 0]).percent == 0


def test_ratios_compare_runs_of_the_same_round() -> None:
    assert case().ratio("ours") == Spread(3.0, 1.5, 3.0)
    assert case().cpu_ratio("ours") == Spread(0.5, 0.5, 0.5)
    assert case().ratio("theirs", against="ours").median == pytest.approx(1 / 3)
    assert case().rate("ours") == Spread(30, 15, 30)


@pytest.mark.parametrize(
    ("promise", "kept"),
    [
        ({"number": "ratio", "at_least": 3.0}, True),
        ({"number": "ratio", "at_least": 3.1}, False),
        ({"number": "ratio", "at_least": 1.0, "against": "theirs"}, True),
        ({"number": "cpu_ratio", "at_most": 0.5}, True),
        ({"number": "cpu_ratio", "at_most": 0.4}, False),
        ({"number": "rate", "at_least": 30}, True),
        ({"number": "cpu", "at_most": 1.9}, False),
        # A contender's own numbers count by the worst run.
        ({"number": "lost", "at_most": 0}, False),
        ({"number": "lost", "at_most": 1}, True),
        ({"number": "lost", "at_least": 0}, True),
        ({"number": "lost", "at_least": 1}, False),
        # What was not measured is not kept.
        ({"number": "latency", "at_most": 1}, False),
        ({"number": "ratio", "at_least": 1, "against": "absent"}, False),
        ({"number": "ratio", "at_least": 1, "contender": "absent"}, False),
        # Promises about other cases and other benchmarks.
        ({"number": "ratio", "at_least": 9, "case": "1 KiB"}, True),
        ({"number": "ratio", "at_least": 9, "case": "64 B"}, False),
        ({"number": "ratio", "at_least": 9, "benchmark": "net/echo"}, True),
    ],
)
def test_floors(promise: dict[str, Any], kept: bool) -> None:
    floor = Floor(**{"benchmark": "net/stream", "contender": "ours"} | promise)
    assert (floors.check([case()], [floor]) == []) is kept


def test_a_broken_floor_says_what_was_promised() -> None:
    floor = Floor(benchmark="net/stream", contender="ours", number="ratio", at_least=4)
    [sentence] = floors.check([case()], [floor])
    assert sentence == (
        "net/stream (64 B), ours: ratio is 3 (1.5 to 3 in 3 rounds), at least 4 is promised"
    )


@pytest.mark.parametrize(
    ("promise", "doubtful"),
    [
        ({"number": "ratio", "at_least": 3.1}, True),
        ({"number": "cpu_ratio", "at_most": 0.4}, True),
        ({"number": "ratio", "at_least": 3.0}, False),
        # More rounds mend no bad run, and do not bring what is not there.
        ({"number": "lost", "at_most": 0}, False),
        ({"number": "latency", "at_most": 1}, False),
        ({"number": "ratio", "at_least": 1, "against": "absent"}, False),
        ({"number": "ratio", "at_least": 9, "case": "1 KiB"}, False),
    ],
)
def test_a_floor_that_more_rounds_can_mend_is_in_doubt(
    promise: dict[str, Any], doubtful: bool
) -> None:
    floor = Floor(**{"benchmark": "net/stream", "contender": "ours"} | promise)
    assert floors.in_doubt(case(), [floor]) is doubtful


@pytest.mark.parametrize(
    "text",
    [
        'number = "ratio"',
        'number = "ratio"\nat_least = 1\nat_most = 2',
        'number = "lost"\nat_most = 0\nagainst = "theirs"',
        'number = "ratio"\nat_leats = 1',
    ],
)
def test_a_floor_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "floors.toml"
    file.write_text(f'[[floor]]\nbenchmark = "a/b"\ncontender = "ours"\n{text}\n')
    with pytest.raises(ValueError, match=r"a/b|at_leats"):
        floors.load(file)


def test_the_floors_of_the_project_name_what_exists() -> None:
    for floor in floors.load(cli.FLOORS):
        suite, _, name = floor.benchmark.partition("/")
        benchmark = cli.load(suite, [name])[floor.benchmark]
        names = {contender.name for contender in benchmark.contenders}
        assert {floor.contender, floor.against or benchmark.reference} <= names
        assert floor.case is None or floor.case in benchmark.cases


def test_the_table_has_a_row_for_each_measured_contender() -> None:
    shown = report.markdown(
        case(
            rows=rows("ours", "theirs", "others"),
            unavailable={"others": "not | here"},
        )
    )
    lines = [line.split(" | ") for line in shown.splitlines() if line.startswith("|")]
    assert [len(line) for line in lines] == [9] * 4
    assert lines[2][:6] == ["| ours", "30", "25\N{NO-BREAK SPACE}%", "3.00", "2000000.00", "0.50"]
    assert lines[2][6:] == ["0", "work of ours", "all |"]
    assert shown.startswith("### One way, 64 B\n")
    assert "others was not measured: not | here" in shown


def test_a_table_without_the_reference_has_no_ratios() -> None:
    rounds = {"ours": [sample(30)]}
    shown = report.markdown(case(rounds=rounds, unavailable={"theirs": "absent"}))
    assert "| ours | 30 |  |  | 1000000.00 |  |" in shown


def test_the_json_file_holds_every_run(tmp_path: Path) -> None:
    results.write(tmp_path / "out.json", results.here([case()], {}))
    [written] = json.loads((tmp_path / "out.json").read_text())["cases"]
    ours = written["contenders"]["ours"]
    assert ours["ratio"] == {"median": 3.0, "low": 1.5, "high": 3.0}
    assert [run["extra"] for run in ours["runs"]] == [{"lost": 0}, {"lost": 1}, {"lost": 0}]


def test_each_round_begins_with_another_contender() -> None:
    a, b, c = contenders("a", "b", "c")
    assert [order([a, b, c], n)[0] for n in range(4)] == [a, b, c, a]
    assert order([a, b, c], 1) == [b, c, a]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (5, 2.0)),
        (["--quick"], (3, 0.5)),
        (["--smoke"], (1, 0.1)),
        (["--quick", "--rounds", "7", "--seconds", "4"], (7, 4.0)),
    ],
)
def test_the_effort_that_the_command_line_asks_for(
    arguments: list[str], expected: tuple[int, float]
) -> None:
    effort: Effort = cli.effort(cli.parser().parse_args(["core", *arguments]))
    benchmark = Benchmark(title="", unit="", contenders=contenders("a"), reference="a")
    assert (effort.rounds, effort.length(benchmark)) == expected


def test_a_name_that_no_benchmark_has_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["core", "absent", "--list"]) == 2
    assert "no benchmark is named absent" in capsys.readouterr().err


def test_a_contender_that_nobody_has_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["core", "--only", "absent", "--list"]) == 2
    assert "no contender has absent in its name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: suite"),
        (["weather"], "invalid choice: 'weather'"),
        (["core", "--rounds", "0"], "a whole number above 0, not '0'"),
        (["core", "--rounds", "-1"], "not '-1'"),
        (["core", "--seconds", "nan"], "a number above 0, not 'nan'"),
        (["core", "--seconds", "soon"], "a number above 0, not 'soon'"),
        (["core", "--grace", "inf"], "a number above 0, not 'inf'"),
        (["core", "--quick", "--smoke"], "not allowed with"),
        (["core", "--json", "/nowhere/at/all.json"], "/nowhere/at/all.json cannot be written"),
    ],
)
def test_a_wrong_argument_gets_a_sentence_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_the_row_of_a_contender_that_failed_says_so() -> None:
    failed = {"others": ContenderError("others (process) did not end within 3 s", "the stack")}
    failing = case(rows=rows("ours", "others", "theirs"), failed=failed)
    shown = report.markdown(failing)
    lines = [line.split(" | ") for line in shown.splitlines() if line.startswith("|")]
    assert [len(line) for line in lines] == [9] * 5
    assert lines[3][:3] == ["| others", "failed", ""]
    assert "others failed: others (process) did not end within 3 s" in shown
    assert "the stack" not in shown
    assert results.to_json(failing)["failed"]["others"]["details"] == "the stack"


def test_a_contender_is_either_alone_or_a_pair() -> None:
    for functions in ({}, {"server": nothing}, {"run": nothing, "client": nothing}):
        with pytest.raises(ValueError, match="needs either run, or server and client"):
            Contender(name="x", work="", guarantees="", **functions)


def test_a_benchmark_needs_its_reference() -> None:
    with pytest.raises(ValueError, match="no contender is named 'b'"):
        Benchmark(title="", unit="", contenders=contenders("a"), reference="b")
