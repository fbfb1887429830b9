"""Whole benchmarks of sample contenders: what one of them does costs its own row only."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import Benchmark, Contender, Unavailable, cli
from tests.support.processes import is_running
from tests.support.terminal import Terminal

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
QUICK = ["--smoke", "--rounds", "2", "--seconds", "0.02", "--grace", "2"]


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sample contenders, importable here and in their processes."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    import sample_contenders

    return sample_contenders


def contender(name: str, function: Any) -> Contender:
    return Contender(name=name, run=function, work=f"work of {name}", guarantees="all")


def benchmark(functions: Any, *names: str, **more: Any) -> Benchmark:
    found = [contender(name, getattr(functions, name)) for name in names]
    given = {"title": "One", "unit": "thing", "contenders": found, "reference": names[0]}
    return Benchmark(**given | more)


def measured(
    monkeypatch: pytest.MonkeyPatch, benchmarks: Mapping[str, Benchmark], *arguments: str
) -> int:
    monkeypatch.setattr(cli, "load", lambda suite, names=(): dict(benchmarks))
    return cli.main(["core", *QUICK, *arguments])


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("hang", "hang (process) did not end within "),
        ("crash", "crash (process) ended too early, with status 3"),
        ("fail", "fail (process) failed: ValueError: the reason"),
        (
            "import_what_is_not_there",
            "import_what_is_not_there (process) failed: "
            "ModuleNotFoundError: No module named 'a_library_that_nobody_has'",
        ),
        ("answer_garbage", "answer_garbage (process) gave no answer, but "),
        ("give_words", "give_words gave 'many' as its count, not a number"),
        ("zero", "zero did 0 in "),
    ],
)
def test_a_contender_that_goes_wrong_costs_its_own_row_only(
    functions: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    bad: str,
    why: str,
) -> None:
    written = tmp_path / "out.json"
    wrong = benchmark(functions, "hundred", bad, "burning", cases={"a": {}})
    right = benchmark(functions, "hundred", "burning", title="Two")
    all_of_them = {"core/one": wrong, "core/two": right}
    assert measured(monkeypatch, all_of_them, "--json", str(written)) == 1
    out, err = capsys.readouterr()
    # The row of the bad one says so, and that of each good one has its numbers.
    assert len(re.findall(rf"^\| {bad} \| failed \|", out, re.MULTILINE)) == 1
    assert f"\n{bad} failed: {why}" in out
    assert len(re.findall(r"^\| hundred \| 50 \|", out, re.MULTILINE)) == 2
    assert len(re.findall(r"^\| burning \| \d", out, re.MULTILINE)) == 2
    assert f"benchmarks: core/one (a): {bad}" in err
    cases = json.loads(written.read_text())["cases"]
    assert [list(each["failed"]) for each in cases] == [[bad], []]
    assert [len(each["contenders"]["burning"]["runs"]) for each in cases] == [2, 2]


def test_a_reference_that_hangs_costs_the_ratios_only(
    functions: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measured(monkeypatch, {"core/one": benchmark(functions, "hang", "hundred")}) == 1
    out = capsys.readouterr().out
    assert "| hang | failed |" in out
    assert "| hundred | 50 | 0\N{NO-BREAK SPACE}% |  |" in out
    assert "did not end within" in out


def test_a_setup_that_fails_costs_its_own_benchmark_only(
    functions: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def broken() -> Iterator[Mapping[str, Any]]:
        raise TimeoutError("the broker does not start")
        yield {}

    @contextmanager
    def absent() -> Iterator[Mapping[str, Any]]:
        raise Unavailable("there is no broker")
        yield {}

    all_of_them = {
        "core/broken": benchmark(functions, "hundred", setup=broken),
        "core/absent": benchmark(functions, "hundred", setup=absent),
        "core/good": benchmark(functions, "hundred"),
    }
    assert measured(monkeypatch, all_of_them) == 1
    out, err = capsys.readouterr()
    assert "| hundred | 50 |" in out
    assert "core/broken was not measured: its setup failed" in err
    assert "the broker does not start" in err
    assert "core/absent was not measured: there is no broker" in err


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def test_one_that_hung_is_not_waited_for_in_other_cases(
    functions: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("FOLDER", str(tmp_path))
    names = ["hundred", "note_the_call_and_hang"]
    one = benchmark(functions, *names, cases={"a": {}, "b": {}, "c": {}})
    monkeypatch.setattr(cli, "load", lambda suite, names=(): {"core/one": one})
    # Not --smoke, which takes the first case only.
    assert cli.main(["core", "--rounds", "1", "--seconds", "0.01", "--grace", "0.5"]) == 1
    out, err = capsys.readouterr()
    assert len(re.findall(r"^\| hundred \| 50 \|", out, re.MULTILINE)) == 3
    assert len(re.findall(r"^\| note_the_call_and_hang \| failed \|", out, re.MULTILINE)) == 3
    assert out.count("note_the_call_and_hang failed: note_the_call_and_hang hung in a") == 2
    assert "core/one (c): note_the_call_and_hang hung in a" in err
    assert calls(tmp_path) == 1


def test_what_was_measured_is_kept_and_the_rest_measured_another_time(
    functions: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("FOLDER", str(tmp_path))
    kept = tmp_path / "kept.json"
    one, two = (benchmark(functions, "note_the_call", title=title) for title in ("One", "Two"))
    arguments = ["--json", str(kept), "--resume"]
    both = {"core/one": one, "core/two": two}
    # There is no time, and yet each part gets on by one.
    assert measured(monkeypatch, both, *arguments, "--within", "1e-9") == cli.NOT_ALL
    assert "1 left, go on with --resume: core/two" in capsys.readouterr().err
    assert calls(tmp_path) == 2
    # The one is not measured again, and still there.
    assert measured(monkeypatch, both, *arguments, "--within", "1e-9") == 0
    assert calls(tmp_path) == 4
    assert [each["benchmark"] for each in json.loads(kept.read_text())["cases"]] == [*both]
    assert measured(monkeypatch, both, *arguments) == 0
    assert calls(tmp_path) == 4
    # More is asked for than was done.
    assert measured(monkeypatch, {"core/one": one}, *arguments, "--rounds", "3") == 0
    assert calls(tmp_path) == 7


def test_a_missed_floor_counts_after_five_times_as_many_rounds(
    functions: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("FOLDER", str(tmp_path))
    promises = tmp_path / "floors.toml"
    monkeypatch.setattr(cli, "FLOORS", promises)
    one = {"core/one": benchmark(functions, "note_the_call")}
    floor = '[[floor]]\nbenchmark = "core/one"\ncontender = "note_the_call"\nnumber = "rate"\n'
    promises.write_text(f"{floor}at_least = 1e-9\n")
    assert measured(monkeypatch, one, "--rounds", "1", "--check") == 0
    assert calls(tmp_path) == 1
    promises.write_text(f"{floor}at_least = 1e99\n")
    assert measured(monkeypatch, one, "--rounds", "1", "--check") == 1
    assert calls(tmp_path) == 6
    assert "in 5 rounds), at least 1e+99 is promised" in capsys.readouterr().err


def test_what_cannot_be_resumed_gets_a_sentence_and_status_2(
    functions: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    all_of_them = {"core/one": benchmark(functions, "hundred")}
    assert measured(monkeypatch, all_of_them, "--resume") == 2
    assert "--resume goes with --json or --page" in capsys.readouterr().err
    kept = tmp_path / "kept.json"
    assert measured(monkeypatch, all_of_them, "--json", str(kept)) == 0
    content = json.loads(kept.read_text())
    content["machine"]["processor"] = "another one"
    kept.write_text(json.dumps(content))
    assert measured(monkeypatch, all_of_them, "--json", str(kept), "--resume") == 2
    assert "different machines" in capsys.readouterr().err
    kept.write_text("no results")
    assert measured(monkeypatch, all_of_them, "--json", str(kept), "--resume") == 2
    assert "holds no results" in capsys.readouterr().err


PROGRAM = """
import runpy, sys
from benchmarks.harness import cli, Benchmark, Contender
import sample_contenders as s
contenders = [
    Contender(name=name, run=getattr(s, name), work="", guarantees="")
    for name in sys.argv[1].split()
]
found = Benchmark(title="One", unit="thing", contenders=contenders, reference=contenders[0].name)
cli.load = lambda suite, names=(): {"core/one": found, "core/two": found}
sys.argv[1:] = sys.argv[2:]
runpy.run_module("benchmarks", run_name="__main__")
"""


def command(names: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, names, "core", *arguments]


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{HERE}", "TERM": "xterm", **variables}


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_in_a_terminal_it_shows_what_runs_and_takes_it_back(term: str) -> None:
    narrow = command("hundred burning", "--smoke", "--rounds", "2")
    with Terminal(narrow, columns=30, variables=environment(TERM=term), cwd=ROOT) as terminal:
        assert terminal.wait_ended() == 0, terminal.text
        assert b"core/one  1/2: hundred" in terminal.written
        if term == "dumb":
            assert b"\x1b" not in terminal.written
        else:
            assert "1/2" not in terminal.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_keeps_what_was_measured_and_ends_what_runs(
    tmp_path: Path, number: signal.Signals
) -> None:
    written = tmp_path / "out.json"
    arguments = ["--smoke", "--json", str(written)]
    process = subprocess.Popen(
        # The second benchmark hangs.
        [*command("hundred hang_in_the_second", *arguments)],
        env=environment(FOLDER=str(tmp_path)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 30
    while not (hanging := tmp_path / "hanging").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "benchmarks: interrupted\n")
    assert [each["benchmark"] for each in json.loads(written.read_text())["cases"]] == ["core/one"]
    assert not Path(f"/proc/{hanging.read_text()}").exists()


def test_a_reader_of_tables_that_has_seen_enough_gets_no_traceback() -> None:
    process = subprocess.Popen(
        command("hundred", "--smoke"),
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


def test_what_a_harness_that_is_killed_has_started_ends_by_itself(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("hundred hang_in_the_second", "--smoke"),
        env=environment(FOLDER=str(tmp_path)),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while not (hanging := tmp_path / "hanging").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.wait()
    child = int(hanging.read_text())
    while is_running(child):
        assert time.monotonic() < end
        time.sleep(0.01)
