"""What the parent of workers tells of them: metrics of all on one page, and readiness."""

import asyncio
import json
import os
import re
import signal
import socket
import urllib.error
import urllib.request

import pytest

from gestalt.core import State
from gestalt.runner.errors import InspectionError
from gestalt.runner.workers.metrics import WorkersPage
from gestalt.runner.workers.process import WorkerProcess
from gestalt.runner.workers.questions import Questions, ask_within
from gestalt.runner.workers.readiness import WorkersReady
from tests.support.waiting import until

from .conftest import DEADLINE

pytest.importorskip("h11")
parser = pytest.importorskip("prometheus_client.parser")

APP = """
import asyncio, os, pathlib, time
from gestalt.core import Component, Readiness
from gestalt.core.metrics import Counter, register

me = os.environ["GESTALT_WORKER"]
orders = register(Counter("orders", help="Orders that were taken.", labels={"worker": "Ann"}))
orders.add(int(me))

class Part(Component, Readiness):
    async def _open(self): self._spawn(self.work(), name="work")
    async def _close(self): pass
    async def work(self):
        while True:
            await asyncio.sleep(0.01)
            while pathlib.Path(f"block{me}").exists(): time.sleep(0.01)
    async def _drain(self): print("drain", flush=True)
    @property
    def trouble(self): return "no broker" if pathlib.Path(f"bad{me}").exists() else None

part = Part(name="part")
"""


@pytest.fixture
def start(launch, tmp_path):
    """Run workers with a health endpoint; gives the process, and a function that asks it."""
    (tmp_path / "app.py").write_text(APP)

    def start(count, *options):
        process = launch(
            *("-m", "gestalt.runner", "run", "app:part", "--loop", "asyncio"),
            *("--workers", str(count), "--health-address", "127.0.0.1:0", *options),
        )
        process.wait_for_error("all workers are ready")
        [port] = re.findall(r"The health endpoint listens on 127.0.0.1:(\d+)", process.errors)

        def ask(path):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as page:
                    return page.status, page.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()

        return process, ask

    return start


def samples(page):
    """All samples by name and labels; each name has one family."""
    families = list(parser.text_string_to_metric_families(page))
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_one_page_has_the_metrics_of_all_workers_by_their_numbers(start):
    process, ask = start(2, "--no-inspect")
    status, page = ask("/metrics")
    assert status == 200
    found = samples(page)
    for number in ("1", "2"):
        worker = ("worker", number)
        # A label of the application's own that has this name is kept.
        assert found["orders_total", ("exported_worker", "Ann"), worker] == float(number)
        running = ("gestalt_component_running", ("component", "part"), ("kind", "Part"), worker)
        assert found[running] == 1
        assert found["gestalt_worker_answered", worker] == 1
        assert found["gestalt_process_loop_lag_seconds_bucket", ("le", "+Inf"), worker] >= 0
    of_parent = ("component", "workers"), ("kind", "Workers")
    assert found["gestalt_supervisor_parts", *of_parent] == 2
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    assert "gives no metrics" not in process.errors


def test_a_worker_that_is_blocked_costs_its_own_metrics_alone_and_is_told(start, tmp_path):
    process, ask = start(2)
    (tmp_path / "block2").touch()
    status, page = ask("/metrics")
    assert status == 200
    found = samples(page)
    assert found["gestalt_worker_answered", ("worker", "2")] == 0
    assert found["orders_total", ("exported_worker", "Ann"), ("worker", "1")] == 1
    assert ("orders_total", ("exported_worker", "Ann"), ("worker", "2")) not in found
    [line] = re.findall("WARNING gestalt.runner: (worker 2 gives no metrics: .*)", process.errors)
    assert "the event loop did not answer within 1 s: it is blocked by part work" in line
    # One of two is enough.
    assert ask("/readyz")[0] == 200
    (tmp_path / "bad1").touch()
    assert ask("/livez")[0] == 200
    process.wait_until(lambda: ask("/readyz")[0] == 503)
    reason = json.loads(ask("/readyz")[1])["failed"][0]["reason"]
    assert reason.startswith("0 of 2 are ready, and 1 have to be: worker 1 (part: no broker)")
    (tmp_path / "block2").unlink()
    process.wait_until(lambda: ask("/readyz")[0] == 200)
    assert samples(ask("/metrics")[1])["gestalt_worker_answered", ("worker", "2")] == 1


def test_it_is_ready_while_half_of_the_workers_are(start, tmp_path):
    process, ask = start(3)
    [pid] = re.findall(r"worker 3 is ready: process (\d+)", process.errors)
    process.wait_until(lambda: ask("/readyz")[0] == 200)
    # Two have said that they are: nobody waits for the third one.
    os.kill(int(pid), signal.SIGSTOP)
    try:
        assert ask("/readyz") == (200, '{"status": "ready"}\n')
    finally:
        os.kill(int(pid), signal.SIGCONT)
    (tmp_path / "bad1").touch()
    process.wait_until(lambda: ask("/readyz?verbose")[0] == 200)
    (tmp_path / "bad2").touch()
    process.wait_until(lambda: ask("/readyz")[0] == 503)
    [failed] = json.loads(ask("/readyz")[1])["failed"]
    assert failed == {
        "check": "workers",
        "reason": "1 of 3 are ready, and 2 have to be: workers 1, 2 (part: no broker)",
    }


def test_workers_go_on_for_the_drain_delay_while_the_whole_is_not_ready(start):
    process, ask = start(1, "--drain-delay", "20")
    process.send(signal.SIGTERM)
    process.wait_until(lambda: ask("/readyz")[0] == 503)
    assert json.loads(ask("/readyz")[1])["failed"] == [
        {"check": "application", "reason": "it is stopping"}
    ]
    assert samples(ask("/metrics")[1])["gestalt_worker_answered", ("worker", "1")] == 1
    assert process.printed() == []
    # The second signal ends the delay, and begins the stop.
    process.send(signal.SIGTERM)
    process.wait_for("drain")
    assert process.end() == -signal.SIGTERM, process.errors


def test_a_drain_delay_beyond_the_stop_is_refused_by_name(launch):
    process = launch(
        *("-m", "gestalt.runner", "run", "app:part", "--workers", "1", "--drain-delay", "99")
    )
    assert process.end() == 2
    assert "argument --drain-delay: it is part of --shutdown-timeout" in process.errors
    assert "Traceback" not in process.errors


class Answering:
    """The other end of a worker's connection, in the test's hands."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)

    async def asked(self) -> dict:
        data = await asyncio.get_running_loop().sock_recv(self.theirs, 4096)
        return json.loads(data)

    async def answer(self, **answer) -> None:
        line = json.dumps(answer).encode() + b"\n"
        await asyncio.get_running_loop().sock_sendall(self.theirs, line)


@pytest.fixture
async def questions():
    other = Answering()
    asking = await Questions.open(other.ours)
    yield asking, other
    asking.close()
    other.theirs.close()


async def test_a_late_answer_is_that_of_its_question(questions) -> None:
    asking, other = questions
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await asking.ask("metrics")
    first = asyncio.create_task(asking.ask("health"))
    assert await other.asked() == {"ask": "metrics"}
    await other.answer(answer="late")
    assert await other.asked() == {"ask": "health"}
    second = asyncio.create_task(asking.ask("health"))
    await asyncio.sleep(0)
    await other.answer(answer="well")
    assert await asyncio.gather(first, second) == ["well", "well"]


async def test_a_process_that_the_system_cannot_start_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            await WorkerProcess.start(["/missing"], 1)
    await until(lambda: asyncio.all_tasks() == before)


async def test_whoever_waits_for_an_answer_is_told_of_the_end(questions) -> None:
    asking, other = questions
    waiting = asyncio.create_task(asking.ask("health"))
    await other.asked()
    await other.answer(error="it is blocked")
    with pytest.raises(InspectionError, match="it is blocked"):
        await waiting
    waiting = asyncio.create_task(asking.ask("health"))
    await other.asked()
    other.theirs.close()
    with pytest.raises(InspectionError, match="it has ended"):
        await waiting
    with pytest.raises(InspectionError, match="it has ended"):
        await asking.ask("health")


class Worker:
    """A worker that says at once what it was told to."""

    def __init__(self, number, answer, state=State.RUNNING) -> None:
        self.number, self.answer, self.state = number, answer, state

    async def ask(self, name):
        if self.answer is None:
            await asyncio.Event().wait()
        return self.answer if name == "metrics" else {"ready": {"status": "ready", **self.answer}}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([{}], None),
        ([None, {}], None),
        ([None], "0 of 1 are ready, and 1 have to be: worker 1 (no answer within 0.05 s)"),
        ([], None),
    ],
)
async def test_how_many_have_to_be_ready(answers, reason) -> None:
    workers = [Worker(number, answer) for number, answer in enumerate(answers, 1)]
    # One that has done its work has nothing to be ready for.
    done = Worker(9, None, State.STOPPED)
    async with asyncio.timeout(DEADLINE):
        assert await WorkersReady([*workers, done], timeout=0.05)() == reason


async def test_a_question_has_a_deadline() -> None:
    with pytest.raises(InspectionError, match="no answer within"):
        await ask_within(0.01, Worker(1, None), "health")


async def test_pages_of_workers_that_do_not_fit_cost_themselves_and_are_told_once(caplog) -> None:
    counter = "# HELP app_seen Seen.\n# TYPE app_seen counter\napp_seen_total 1.0\n"
    gauge = "# HELP app_seen Seen.\n# TYPE app_seen gauge\napp_seen 2.0\n"
    workers = [
        Worker(1, counter),
        Worker(2, gauge + "# TYPE other gauge\nother 2.0\n"),
        Worker(3, "no { page"),
        Worker(4, None),
    ]
    page = WorkersPage(workers, timeout=0.05)
    for _ in range(2):
        found = samples((await page()).decode())
        answered = {key[1][1]: value for key, value in found.items() if "answered" in key[0]}
        assert answered == {"1": 1, "2": 1, "3": 0, "4": 0}
        assert found["app_seen_total", ("worker", "1")] == 1
        assert ("app_seen", ("worker", "2")) not in found
        assert found["other", ("worker", "2")] == 2
    told = [record.getMessage() for record in caplog.records]
    assert sorted(told) == [
        "the gauge app_seen cannot be shown: another one is a counter",
        "worker 3 gives no metrics: its page cannot be read, by ValueError",
        "worker 4 gives no metrics: no answer within 0.05 s",
    ]
