"""Contenders in processes of their own: what comes back, and what happens when nothing does."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import Contender, Unavailable, process
from benchmarks.harness.launch import ContenderError
from benchmarks.harness.process import Sample, measure
from tests.support.processes import is_running
from tests.support.waiting import until


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
    with pytest.raises(ContenderError, match=rf"sample \({side}\) failed: ValueError: the reason"):
        await run(contender(**pair | {side: functions.fail}))


async def test_a_process_that_dies_is_an_error(functions: Any) -> None:
    with pytest.raises(ContenderError, match="ended too early"):
        await run(contender(run=functions.crash))


async def test_a_contender_that_hangs_is_ended_and_shows_where(functions: Any) -> None:
    with pytest.raises(ContenderError, match=r"Timeout(.|\n)*in hang") as raised:
        await run(contender(run=functions.hang), grace=1.0)
    assert raised.value.sentence == "sample (process) did not end within 1.03 s"


async def test_a_contender_that_cannot_end_itself_is_ended(
    functions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "CHILD_GRACE", 0.5)
    with pytest.raises(ContenderError, match="sample did not end within"):
        await run(contender(run=functions.stop_itself), grace=0.5)
    with pytest.raises(ContenderError, match="did not end within"):
        await run(contender(run=functions.hang_where_no_signal_helps), grace=0.5)


async def test_a_server_that_hangs_when_its_client_is_done_is_ended(functions: Any) -> None:
    pair = contender(server=functions.serve_and_hang_at_the_end, client=functions.hundred)
    with pytest.raises(ContenderError, match=r"in serve_and_hang_at_the_end") as raised:
        await run(pair, grace=1.5)
    assert raised.value.sentence == "sample (server) did not end within 1.53 s"
    assert raised.value.hung


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("/nowhere/at/all", "cannot be started: .*No such file"),
        ("/bin/false", "ended too early, with status 1"),
    ],
)
async def test_an_interpreter_that_dies_at_its_start_is_an_error(
    functions: Any, monkeypatch: pytest.MonkeyPatch, python: str, sentence: str
) -> None:
    monkeypatch.setattr(process, "interpreter", lambda environment: python)
    with pytest.raises(ContenderError, match=rf"sample \(process\) {sentence}") as raised:
        await run(contender(run=functions.hundred, environment="another"))
    assert not raised.value.hung


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("crash", "sample (process) ended too early, with status 3"),
        ("leave", "sample (process) ended too early, with status 1"),
        ("kill_itself", "sample (process) ended too early, by SIGSEGV"),
        ("answer_garbage", "sample (process) gave no answer, but b'this is no answer\\n'"),
        ("answer_without_end", "sample (process) gave no answer"),
        ("give_words", "sample gave 'many' as its count, not a number"),
        ("give_no_number", "sample gave nan as its p99 µs, not a number"),
        ("give_what_is_no_json", "sample (process) ended too early, with status 1"),
        ("flood", "sample (process) failed"),
    ],
)
async def test_whatever_a_contender_does_is_an_error_of_its_own(
    functions: Any, function: str, sentence: str
) -> None:
    began = time.monotonic()
    with pytest.raises(ContenderError) as raised:
        await run(contender(run=getattr(functions, function)))
    assert raised.value.sentence.startswith(sentence)
    # None of them waited for a deadline.
    assert time.monotonic() - began < 20
    assert len(raised.value.details) < 100_000


async def test_of_a_flood_the_end_is_kept(functions: Any) -> None:
    with pytest.raises(ContenderError) as raised:
        await run(contender(run=functions.flood), seconds=0.3)
    assert "the last line" in raised.value.details
    assert "after a flood" in raised.value.details


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
@pytest.mark.parametrize(
    "function",
    ["leave_a_child", "leave_a_child_in_a_session_of_its_own", "crash_beside_a_child"],
)
async def test_what_a_contender_has_started_ends_with_it(
    functions: Any, tmp_path: Path, function: str
) -> None:
    measuring = run(contender(run=getattr(functions, function)), folder=str(tmp_path))
    if function == "crash_beside_a_child":
        with pytest.raises(ContenderError, match="ended too early, with status 3"):
            await measuring
    else:
        assert (await measuring).count == 100
    children = (tmp_path / "children").read_text().split()
    assert children
    await until(lambda: not any(is_running(int(pid)) for pid in children))


async def test_a_child_that_comes_back_in_its_place_gives_no_answer(functions: Any) -> None:
    assert (await run(contender(run=functions.fork_and_return_twice))).count == 100


async def test_a_contender_finds_nothing_to_read(functions: Any) -> None:
    assert (await run(contender(run=functions.read_input))).extra == {"read": 0}


async def test_a_contender_may_be_unavailable(functions: Any) -> None:
    with pytest.raises(Unavailable, match="no broker is here"):
        await run(contender(run=functions.lacking))


async def test_one_function_of_a_contender_must_measure(functions: Any) -> None:
    with pytest.raises(ContenderError, match="0 of its functions gave a Measured"):
        await run(contender(run=functions.nothing))


async def test_nothing_done_is_an_error(functions: Any) -> None:
    with pytest.raises(ContenderError, match="nothing to compare"):
        await run(contender(run=functions.zero))
