"""What benchmarks need around them: made once for those that follow each other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import Benchmark, Contender, Run, Unavailable
from benchmarks.harness.environments import interpreter
from benchmarks.harness.surroundings import SetupError, Surroundings


def nothing(run: Run) -> None:
    return None


def benchmark(setup: Any) -> Benchmark:
    contenders = [Contender(name="a", run=nothing, work="", guarantees="")]
    return Benchmark(title="", unit="", contenders=contenders, reference="a", setup=setup)


class Recorder:
    """Setups that note when they begin and end."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def setup(self, name: str, *, fails: Exception | None = None, ends: Exception | None = None):
        @contextmanager
        def given() -> Iterator[Mapping[str, Any]]:
            self.noted.append(f"begin {name}")
            if fails is not None:
                raise fails
            yield {"name": name}
            self.noted.append(f"end {name}")
            if ends is not None:
                raise ends

        return given


def test_benchmarks_that_follow_each_other_share_a_setup() -> None:
    recorder, surroundings = Recorder(), Surroundings()
    broker, other = recorder.setup("broker"), recorder.setup("other")
    assert surroundings.around(benchmark(broker)) == {"name": "broker"}
    assert surroundings.around(benchmark(broker)) == {"name": "broker"}
    assert surroundings.around(benchmark(other)) == {"name": "other"}
    assert recorder.noted == ["begin broker", "end broker", "begin other"]
    surroundings.close()
    assert recorder.noted[-1] == "end other"


@pytest.mark.parametrize(
    ("error", "seen"),
    [(Unavailable("no broker"), Unavailable), (TimeoutError("does not start"), SetupError)],
)
def test_what_does_not_start_is_not_waited_for_again(
    error: Exception, seen: type[Exception]
) -> None:
    recorder, surroundings = Recorder(), Surroundings()
    broker, other = recorder.setup("broker", fails=error), recorder.setup("other")
    for _ in range(2):
        with pytest.raises(seen, match=str(error)):
            surroundings.around(benchmark(broker))
    assert recorder.noted == ["begin broker"]
    assert surroundings.around(benchmark(other)) == {"name": "other"}


def test_a_setup_that_does_not_end_is_told_of_once() -> None:
    recorder, surroundings = Recorder(), Surroundings()
    surroundings.around(benchmark(recorder.setup("broker", ends=OSError("it stays"))))
    with pytest.raises(SetupError, match="it stays"):
        surroundings.close()
    surroundings.close()


def test_an_environment_that_could_not_be_made_is_not_waited_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hatch = tmp_path / "hatch"
    hatch.write_text(f"#!/bin/sh\necho called >>{tmp_path}/calls\necho 'no network' >&2\nexit 1\n")
    hatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot make the environment for-tests: no network"):
            interpreter("for-tests")
    assert (tmp_path / "calls").read_text() == "called\n"
