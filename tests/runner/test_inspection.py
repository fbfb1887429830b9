"""A view into running applications, by their sockets."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from gestalt.runner.errors import InspectionError
from gestalt.runner.inspection import places
from gestalt.runner.inspection.client import ApplicationEnded, Client, connect, running
from gestalt.runner.inspection.server import Server

from .conftest import Process

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets")

APPLICATION = """
from gestalt.core import Group, Timer

def ready():
    say("ready")

async def wait():
    say("waiting")
    await asyncio.Event().wait()
"""


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test alone for the sockets."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return folder


@pytest.fixture
def start(script: Callable[..., Process], runtime: Path) -> Callable[..., Process]:
    """Start an application, and wait until it is ready."""

    def start(body: str, expected: str = "ready", before: str = "", **options: Any) -> Process:
        place = f"import os\nos.environ['XDG_RUNTIME_DIR'] = {str(runtime)!r}\n"
        process = script(f"{place}{before}\n{APPLICATION}\n{dedent(body)}", **options)
        process.wait_for(expected)
        return process

    return start


@pytest.fixture
def client(start: Callable[..., Process]) -> Iterator[Client]:
    process = start("run(Timer.after(0, ready), wait, inspect=True, loop=LOOP)")
    with connect(str(process.pid)) as client:
        yield client


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def has_ended(client: Client) -> bool:
    try:
        client.ask("application")
    except ApplicationEnded:
        return True
    return False


def raw(client: Client) -> socket.socket:
    """Another connection to the same application, without manners."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(client.path))
    connection.settimeout(10)
    return connection


def answer(connection: socket.socket) -> Any:
    data = b""
    while not data.endswith(b"\n"):
        received = connection.recv(65536)
        assert received, data
        data += received
    return json.loads(data)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)
def test_a_snapshot_tells_components_as_a_tree_and_the_tasks(
    start: Callable[..., Process], loop: str
) -> None:
    process = start(
        """
        run(
            Group(Part(name="inner"), Timer.every(60.0, ready, delay=0), name="outer"),
            wait, inspect=True, loop=LOOP,
        )
        """,
        "waiting",
    )
    with connect(str(process.pid)) as client:
        until(lambda: client.ask("application")["state"] == "running")
        snapshot = client.ask("snapshot")
    components = {each["name"]: each for each in snapshot["components"]}
    assert [(each["name"], each["kind"], each["state"]) for each in components.values()] == [
        ("outer", "Group", "running"),
        ("inner", "Part", "running"),
        ("ready", "Timer", "running"),
    ]
    assert components["outer"]["parent"] is None
    assert components["inner"]["parent"] == components["outer"]["id"]
    assert {each["name"]: each["value"] for each in components["ready"]["metrics"]}["fired"] == 1
    (task,) = [each for each in snapshot["tasks"] if each["name"] == "wait"]
    assert (task["state"], task["at"]["function"]) == ("waiting", "wait")
    assert snapshot["application"]["pid"] == process.pid
    assert snapshot["application"]["state"] == "running"
    assert snapshot["loop"]["kind"] == loop
    assert snapshot["loop"]["blocked"] is None
    assert 0 <= snapshot["age"] < 5
    assert snapshot["process"]["memory"] > 1_000_000


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)
def test_while_the_loop_is_blocked_it_says_by_whom_and_what_it_saw_last(
    start: Callable[..., Process], loop: str
) -> None:
    process = start(
        """
        def block():
            say("blocking")
            sys.stdin.readline()

        async def blocker():
            say("ready")
            while not os.path.exists("go"):
                await asyncio.sleep(0.01)
            block()

        run(blocker, inspect=True, loop=LOOP)
        """,
        stdin=True,
    )
    with connect(str(process.pid)) as client:
        before = client.ask("snapshot")
        assert [each["name"] for each in before["tasks"] if each["name"] == "blocker"]
        Path(client.path.parents[2], "go").touch()
        process.wait_for("blocking")
        began = time.monotonic()
        snapshot = client.ask("snapshot")
        assert time.monotonic() - began < 5
        blocked = snapshot["loop"]["blocked"]
        assert blocked["name"] == "blocker"
        assert blocked["seconds"] > 0.2
        assert blocked["stack"][-1]["function"] == "block"
        assert snapshot["age"] > 0
        assert [each["name"] for each in snapshot["tasks"] if each["name"] == "blocker"]
        later = client.ask("snapshot")["loop"]
        assert later["blocked"]["seconds"] > blocked["seconds"]
        assert later["holders"] == [{"name": "blocker", "share": later["busy"]}]
        stacks = client.ask("stacks")
        # One that asks more than it may meanwhile is sent away without the first answer.
        with raw(client) as rude:
            rude.sendall(b'{"ask": "metrics"}\n' + bytes(5000))
            assert answer(rude) == {"error": "a request has at most 4096 bytes"}
    process.write("\n")
    assert process.end() == 0, process.errors
    (running,) = [each for each in stacks["tasks"] if each["state"] == "running"]
    assert running["name"] == stacks["loop"]["holder"] == "blocker"
    assert [each["function"] for each in running["stack"]][-2:] == ["blocker", "block"]


def test_stacks_are_in_the_order_of_awaits(start: Callable[..., Process]) -> None:
    process = start(
        """
        async def inmost():
            say("ready")
            await asyncio.Event().wait()

        async def middle():
            await asyncio.create_task(inmost(), name="the inmost")

        async def outer():
            await middle()

        run(outer, inspect=True, loop=LOOP)
        """
    )
    stacks: dict[str, Any] = {}
    tasks: dict[str, dict[str, Any]] = {}

    def all_wait() -> bool:
        stacks.update(client.ask("stacks"))
        tasks.update({each["name"]: each for each in stacks["tasks"]})
        return {each["state"] for each in tasks.values()} == {"waiting"}

    with connect(str(process.pid)) as client:
        until(all_wait)
    assert [each["function"] for each in tasks["outer"]["stack"]][-2:] == ["outer", "middle"]
    assert tasks["outer"]["waits_for"] == "task the inmost"
    assert [each["function"] for each in tasks["the inmost"]["stack"]] == ["inmost", "Event.wait"]
    (thread,) = [each for each in stacks["threads"] if each["loop"]]
    assert thread["name"] == "MainThread"


def test_the_socket_is_for_its_user_alone_and_goes_with_the_application(
    start: Callable[..., Process], runtime: Path
) -> None:
    process = start("run(Timer.after(0, ready), wait, inspect=True, loop=LOOP)")
    folder = runtime / "gestalt"
    path = folder / f"{process.pid}.sock"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each["pid"] for each in running()] == [process.pid]
    with connect(str(process.pid)) as client:
        client.ask("application")
        process.send(signal.SIGTERM)
        assert process.end() == -signal.SIGTERM
        with pytest.raises(ApplicationEnded):
            client.ask("application")
    assert list(folder.iterdir()) == []
    with pytest.raises(InspectionError, match=f"there is no process {process.pid}; no application"):
        connect(str(process.pid))


def test_without_inspect_there_is_no_socket(start: Callable[..., Process], runtime: Path) -> None:
    start("run(Timer.after(0, ready), wait, loop=LOOP)")
    assert list(runtime.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_another_user_is_refused_even_where_the_modes_of_files_let_him_pass(
    client: Client,
) -> None:
    for each in (client.path, client.path.parent):
        each.chmod(0o777)
    program = (
        "import os, socket, sys\n"
        "os.setuid(65534)\n"
        "asker = socket.socket(socket.AF_UNIX)\n"
        "asker.connect(sys.argv[1])\n"
        "print(asker.recv(1000).decode())\n"
    )
    asked = subprocess.run(
        [sys.executable, "-S", "-c", program, client.path.name],
        cwd=client.path.parent,
        capture_output=True,
        text=True,
    )
    assert "for the user of the process alone" in asked.stdout, asked.stderr
    assert client.ask("application")


def test_a_folder_that_others_may_write_to_is_not_used(
    start: Callable[..., Process], runtime: Path
) -> None:
    (runtime / "gestalt").mkdir()
    (runtime / "gestalt").chmod(0o777)
    process = start("run(Timer.after(0, ready), inspect=True, loop=LOOP)")
    assert process.end() == 0
    assert "No inspection:" in process.errors
    assert "needs mode 0700" in process.errors


def test_sockets_in_a_folder_that_others_may_write_to_are_not_asked(
    client: Client, runtime: Path
) -> None:
    (runtime / "gestalt").chmod(0o770)
    assert running() == []


def test_what_a_terminal_would_obey_does_not_come_through(start: Callable[..., Process]) -> None:
    process = start(
        r"""
        import logging

        def log():
            logging.getLogger("app").warning("\x1b]0;mine\x07 \x9b31m\ttab\r\x7f")

        run(Timer.after(0, ready), Timer.every(0.05, log), wait, inspect=True, loop=LOOP)
        """
    )
    with connect(str(process.pid)) as client:
        until(lambda: client.ask("logs")["lines"])
        text = client.ask("logs")["lines"][0]["text"]
    assert text == "�]0;mine� �31m\ttab��"


def test_a_system_without_unix_sockets_is_told_and_runs_without_it(
    start: Callable[..., Process],
) -> None:
    process = start(
        "run(Timer.after(0, ready), inspect=True, loop=LOOP)",
        before="import logging\ndel os.geteuid\nlogging.basicConfig(level=20)",
    )
    assert process.end() == 0
    assert "No inspection: this system has no unix sockets" in process.errors


def test_a_path_that_is_too_long_for_a_socket_is_no_obstacle(
    start: Callable[..., Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    process = start(
        "run(Timer.after(0, ready), wait, inspect=True, loop=LOOP)",
        before=f"os.environ['XDG_RUNTIME_DIR'] = {str(long)!r}",
    )
    with connect(str(process.pid)) as client:
        assert len(str(client.path)) > 108
        assert client.ask("application")["pid"] == process.pid
    process.send(signal.SIGTERM)
    process.end()
    assert list((long / "gestalt").iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_by_the_next(
    start: Callable[..., Process], runtime: Path
) -> None:
    killed = start("run(Timer.after(0, ready), wait, inspect=True, loop=LOOP)")
    killed.send(signal.SIGKILL)
    killed.end()
    assert [each.name for each in (runtime / "gestalt").iterdir()] == [f"{killed.pid}.sock"]
    assert running() == []
    process = start("run(Timer.after(0, ready), wait, inspect=True, loop=LOOP)")
    assert [each.name for each in (runtime / "gestalt").iterdir()] == [f"{process.pid}.sock"]


def test_a_socket_of_a_dead_process_of_the_same_number_makes_room(
    start: Callable[..., Process], runtime: Path
) -> None:
    process = start(
        "run(Timer.after(0, ready), wait, inspect=True, loop=LOOP)",
        before="""
import pathlib, socket
folder = pathlib.Path(os.environ["XDG_RUNTIME_DIR"], "gestalt")
folder.mkdir(mode=0o700)
with socket.socket(socket.AF_UNIX) as left:
    left.bind(str(folder / f"{os.getpid()}.sock"))
""",
    )
    with connect(str(process.pid)) as client:
        assert client.ask("application")["pid"] == process.pid


def test_two_applications_in_one_process_have_a_socket_each(
    start: Callable[..., Process],
) -> None:
    process = start(
        """
        def other():
            run(Part(name="second"), inspect=True, loop=LOOP)

        async def first():
            threading.Thread(target=other, daemon=True).start()
            await asyncio.Event().wait()

        run(Part(name="first"), first, inspect=True, loop=LOOP)
        """,
        "open second",
    )
    until(lambda: len(running()) == 2)
    with connect(str(process.pid)) as client:
        assert client.ask("application")["parts"] == ["first"]
        assert [each["name"] for each in client.ask("snapshot")["components"]] == ["first"]
    with connect(f"{process.pid}.2") as client:
        assert client.ask("application")["parts"] == ["second"]
        assert [each["name"] for each in client.ask("snapshot")["components"]] == ["second"]


def test_forking_is_no_danger_and_the_child_has_nothing_of_it(
    start: Callable[..., Process],
) -> None:
    process = start(
        """
        import warnings
        # Python warns where a process with several threads forks.
        warnings.simplefilter("error")

        async def fork():
            while True:
                child = os.fork()
                if child == 0:
                    time.sleep(0.05)
                    os._exit(0)
                while not os.waitpid(child, os.WNOHANG)[0]:
                    await asyncio.sleep(0.01)
                if not os.path.exists("forked"):
                    open("forked", "w").close()
                    say("ready")

        run(fork, inspect=True, loop=LOOP)
        """
    )
    for _ in range(20):
        with connect(str(process.pid)) as client:
            assert client.ask("snapshot")["application"]["pid"] == process.pid
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.errors == ""


def test_a_child_that_runs_an_application_has_a_socket_of_its_own(
    start: Callable[..., Process],
) -> None:
    process = start(
        """
        import multiprocessing

        def child():
            run(Part(name="child"), inspect=True, loop="asyncio")

        async def parent():
            worker = multiprocessing.get_context("fork").Process(target=child)
            worker.start()
            await asyncio.Event().wait()

        run(parent, inspect=True, loop=LOOP)
        """,
        "open child",
    )
    until(lambda: len(running()) == 2)
    (child,) = [each for each in running() if each["pid"] != process.pid]
    with connect(str(child["pid"])) as client:
        assert client.ask("application")["parts"] == ["child"]
        process.send(signal.SIGKILL)
        os.kill(child["pid"], signal.SIGTERM)
        until(lambda: has_ended(client))


def test_a_request_that_makes_no_sense_is_answered_by_a_sentence(client: Client) -> None:
    with raw(client) as connection:
        connection.sendall(b"what?\n")
        assert answer(connection) == {"error": "a request is a JSON object in one line"}
        connection.sendall(b'{"ask": "the oracle"}\n')
        assert answer(connection)["error"].startswith("there is no such answer; there are: appl")
        connection.sendall(b"x" * 5000)
        assert answer(connection) == {"error": "a request has at most 4096 bytes"}
        assert connection.recv(1) == b""
    assert client.ask("application")


def test_several_requests_at_once_are_answered_in_order_also_at_the_end_of_the_input(
    client: Client,
) -> None:
    with raw(client) as connection:
        connection.sendall(b'{"ask": "snapshot"}\n{"ask": "application"}\n{"ask": "stacks"}\n')
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while received := connection.recv(65536):
            data += received
    answers = [json.loads(line)["answer"] for line in data.splitlines()]
    assert ["components" in each for each in answers] == [True, False, False]
    assert "threads" in answers[2]


def test_there_is_a_bound_on_clients(client: Client) -> None:
    with ExitStack() as stack:
        for _ in range(7):
            stack.enter_context(raw(client))
        with raw(client) as one_too_many:
            assert "clients are connected already" in answer(one_too_many)["error"]
    with raw(client) as another:
        another.sendall(b'{"ask": "application"}\n')
        assert "answer" in answer(another)


def test_who_does_not_answer_is_named_in_time(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with pytest.raises(InspectionError, match="socket does not answer: No such file"):
        Client(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        silent = pytest.raises(InspectionError, match="no answer within")
        with Client(path, timeout=0.01) as client, silent:
            client.ask("application")
    with pytest.raises(InspectionError, match="there is no process 9999999999"):
        connect("9999999999")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc")
def test_a_folder_that_cannot_have_sockets_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")
    with pytest.raises(InspectionError, match="/proc/gestalt cannot be made"):
        places.make_folder()
    with pytest.raises(InspectionError, match="no socket in /proc"):
        places.listen(Path("/proc"))
    places.clean(Path("/proc/gestalt"))


class Echo:
    """Answers at once, by what was asked for."""

    def ask(self, request: dict[str, Any]) -> "Future[object]":
        future: Future[object] = Future()
        future.set_result(request["ask"])
        return future

    def overdue(self) -> float | None:
        return None


def test_a_connection_that_was_handed_over_makes_room_for_nobody(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()
    listener.setblocking(False)
    server = Server(listener, Echo(), lambda _: True, connection=theirs)
    server.start()
    with ExitStack() as stack:
        stack.enter_context(ours)
        for _ in range(8):
            other = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            other.connect(str(tmp_path / "socket"))
            other.sendall(b'{"ask": "other"}\n')
            assert answer(other) == {"answer": "other"}
        ours.settimeout(10)
        ours.sendall(b'{"ask": "still"}\n')
        assert answer(ours) == {"answer": "still"}
    assert server.pause(10)
    server.close()


class Failing(Echo):
    """Answers nothing, by a fault."""

    def ask(self, request: dict[str, Any]) -> "Future[object]":
        raise LookupError(request["ask"])


def test_a_fault_of_who_answers_costs_its_clients_alone(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = socket.socketpair()
    server = Server(None, Failing(), lambda _: True, connection=theirs)
    server.start()
    with ours:
        ours.settimeout(10)
        ours.sendall(b'{"ask": "x"}\n')
        assert ours.recv(1) == b""
    assert server.pause(10)
    server.close()
    assert "inspection: a request failed" in caplog.text


class Repeating(Echo):
    """Answers by what was asked for, a million times as often."""

    def ask(self, request: dict[str, Any]) -> "Future[object]":
        future: Future[object] = Future()
        future.set_result(request["ask"] * 1_000_000)
        return future


def test_an_answer_may_be_longer_than_what_a_socket_holds(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    server = Server(None, Repeating(), lambda _: True, connection=theirs)
    server.start()
    with ours:
        ours.settimeout(10)
        ours.sendall(b'{"ask": "ab"}\n')
        # It waits to be read, and what is asked meanwhile waits for that.
        ours.sendall(b'{"ask": "c"}\n{"ask": "123456789"}\n')
        with ours.makefile("rb") as lines:
            assert json.loads(lines.readline()) == {"answer": "ab" * 1_000_000}
            assert json.loads(lines.readline()) == {"answer": "c" * 1_000_000}
            assert json.loads(lines.readline()) == {"error": "the answer has over 8388608 bytes"}
        ours.sendall(b'{"ask": "gone"}\n')
        ours.recv(1)
    # Who leaves amid an answer costs nothing.
    assert server.pause(10)
    assert server.pause(10)
    server.close()


def test_a_client_that_does_not_read_keeps_nobody_from_his_answers(client: Client) -> None:
    with raw(client) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                slow.send(b'{"ask": "stacks"}\n' * 100)
        assert client.ask("snapshot")["tasks"]


def test_log_lines_are_kept_while_somebody_reads_and_printed_as_before(
    start: Callable[..., Process],
) -> None:
    process = start(
        """
        import logging

        def log():
            logging.getLogger("app").warning("line %s", 1)
            logging.getLogger("app").warning("line %d", "two")
            try:
                1 / 0
            except ZeroDivisionError:
                logging.getLogger("app").exception("oops")
            logging.getLogger("app").debug("never made")

        run(Timer.after(0, ready), Timer.every(0.05, log), wait, inspect=True, loop=LOOP)
        """
    )
    with connect(str(process.pid)) as client:
        assert client.ask("logs") == {"lines": [], "left_out": 0}
        lines: list[dict[str, Any]] = []
        while len(lines) < 7:
            lines += client.ask("logs", after=lines[-1]["number"] if lines else 0)["lines"]
    assert [each["number"] for each in lines] == list(range(1, len(lines) + 1))
    assert {(each["level"], each["logger"], each["text"]) for each in lines} == {
        ("WARNING", "app", "line 1"),
        ("WARNING", "app", "line %d"),
        ("ERROR", "app", "oops (ZeroDivisionError: division by zero)"),
    }
    process.send(signal.SIGTERM)
    process.end()
    # Python's last resort goes on to print what no handler takes.
    assert process.errors.count("line 1") >= sum(each["text"] == "line 1" for each in lines) > 1


def test_answers_of_others_are_given_by_name_in_the_loop_or_anywhere(
    start: Callable[..., Process],
) -> None:
    process = start(
        """
        from gestalt.runner.inspection import Inspection

        async def slow(request):
            await asyncio.sleep(0)
            return {"got": request["x"], "thread": threading.current_thread().name}

        def fail(request):
            raise ValueError("not today")

        def direct(request):
            return threading.current_thread().name

        inspection = Inspection()
        inspection.answer("slow", slow)
        inspection.answer("fail", fail)
        inspection.answer("direct", direct, anywhere=True)
        try:
            inspection.answer("stacks", direct)
        except ValueError as error:
            say(str(error))
        run(Timer.after(0, ready), wait, attendants=[inspection], loop=LOOP)
        """
    )
    assert "inspection answers 'stacks' already" in process.lines
    with connect(str(process.pid)) as client:
        assert client.ask("slow", x=3) == {"got": 3, "thread": "MainThread"}
        assert client.ask("direct") == "gestalt inspection"
        with pytest.raises(InspectionError, match="not today"):
            client.ask("fail")
