"""Contenders in processes of their own: what comes back, and what happens when nothing does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.harness import Contender, Unavailable
from benchmarks.harness.process import ContenderError, Sample, measure


@pytest.fixture(scope="module")
def functions() -> Iterator[Any]:
    """The sample contenders, importable here and in their processes."""
    with pytest.MonkeyPatch.context() as patch:
        here = str(Path(__file__).parent)
        patch.syspath_prepend(here)
        patch.setenv("PYTHONPATH", here)
        import sample_contenders

        yield sample_contenders


def contender(**functions: Any) -> Contender:
    return Contender(name="sample", work="", guarantees="", **functions)


async def run(of: Contender, seconds: float = 0.05, **options: Any) -> Sample:
    grace = options.pop("grace", 30.0)
    return await measure(of, options, seconds=seconds, warmup=0.01, pin=True, grace=grace)


async def test_a_measurement_comes_back_as_the_contender_gave_it(functions: Any) -> None:
    sample = await run(contender(run=functions.hundred, package="pytest"))
    assert (sample.count, sample.seconds, sample.cpu, sample.extra) == (100, 2.0, 0.5, {"lost": 0})
    assert sample.version == pytest.__version__
    assert (sample.rate, sample.cpu_each) == (50.0, 0.005)


async def test_cpu_time_is_that_of_the_measured_call_alone(functions: Any) -> None:
    sample = await run(contender(run=functions.burning), seconds=0.2)
    assert 0.2 <= sample.cpu < 0.3


async def test_a_pair_meets_over_what_the_server_handed_to_ready(functions: Any) -> None:
    pair = contender(server=functions.serve, client=functions.send)
    sample = await run(pair, size=100_000)
    assert sample.count == 100_000
    assert sample.extra == {"options": 1, "told": 0}
    assert sample.cpu > 0


async def test_a_server_is_told_the_count_of_its_client(functions: Any) -> None:
    pair = contender(server=functions.serve_blocking, client=functions.hundred)
    assert (await run(pair)).count == 100


async def test_what_a_contender_prints_does_not_disturb(functions: Any) -> None:
    assert (await run(contender(run=functions.chatter))).count == 100


async def test_a_failing_contender_is_named_with_its_traceback(functions: Any) -> None:
    with pytest.raises(ContenderError, match=r"sample \(process\) failed(.|\n)*the reason"):
        await run(contender(run=functions.fail))


@pytest.mark.parametrize("side", ["server", "client"])
async def test_either_side_that_fails_ends_the_pair(functions: Any, side: str) -> None:
    pair: dict[str, Any] = {"server": functions.serve_blocking, "client": functions.hundred}
    with pytest.raises(ContenderError, match=rf"sample \({side}\) failed"):
        await run(contender(**pair | {side: functions.fail}))


async def test_a_process_that_dies_is_an_error(functions: Any) -> None:
    with pytest.raises(ContenderError, match="ended too early"):
        await run(contender(run=functions.crash))


async def test_a_contender_that_hangs_is_ended_and_shows_where(functions: Any) -> None:
    with pytest.raises(ContenderError, match=r"Timeout(.|\n)*in hang"):
        await run(contender(run=functions.hang), grace=1.0)


async def test_a_contender_may_be_unavailable(functions: Any) -> None:
    with pytest.raises(Unavailable, match="no broker is here"):
        await run(contender(run=functions.lacking))


async def test_one_function_of_a_contender_must_measure(functions: Any) -> None:
    with pytest.raises(ContenderError, match="0 of its functions gave a Measured"):
        await run(contender(run=functions.nothing))


async def test_nothing_done_is_an_error(functions: Any) -> None:
    with pytest.raises(ContenderError, match="nothing to compare"):
        await run(contender(run=functions.zero))
