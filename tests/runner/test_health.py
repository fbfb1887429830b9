"""Whether an application is alive and ready, asked from outside while it lives its life."""

import signal
import textwrap
from pathlib import Path

import pytest

from tests.support.health import Client, ask

pytest.importorskip("h11")

HEALTHY = """
import logging
from gestalt.core import Group, Readiness, Supervisor
from gestalt.runner.health import Health
from gestalt.runner.watchdog import Watchdog

class Tells(logging.Handler):
    def emit(self, record):
        if "health endpoint listens on" in record.getMessage():
            say(record.args[0])
        else:
            print(logging.Formatter().format(record), file=sys.stderr)

logging.getLogger("gestalt.runner").addHandler(Tells())
logging.getLogger("gestalt.runner").setLevel("INFO")

class Gate(Part):
    # Waits for a line of its input, at one of the steps of its life.
    def __init__(self, name, *steps):
        super().__init__(name=name)
        self.steps = steps

    async def _open(self):
        await super()._open()
        await self.wait("open")

    async def _drain(self):
        await self.wait("drain")

    async def wait(self, step):
        if step in self.steps:
            say(f"{self.name} at {step}")
            await asyncio.to_thread(sys.stdin.readline)

def healthy(*parts, drain_delay=0.0, address="127.0.0.1:0", own=False, **options):
    watchdog = Watchdog(0.3, tell=False)
    health = Health(address, watchdog=None if own else watchdog, **options)
    attendants = [health] if own else [watchdog, health]
    run(*parts, loop=LOOP, drain_delay=drain_delay, attendants=attendants)
"""

LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)


@pytest.fixture
def healthy(script):
    """Run a script, and give its process and the address of its health endpoint."""

    def healthy(body: str):
        process = script(HEALTHY + textwrap.dedent(body), stdin=True)
        return process, process.next_line()

    return healthy


def why(answer) -> dict[str, str]:
    return {each["check"]: each["reason"] for each in answer["failed"]}


def test_it_is_ready_when_all_parts_have_started_until_the_stop_begins(healthy) -> None:
    process, address = healthy("healthy(Gate('one'), Gate('two', 'open', 'drain'), own=True)")
    process.wait_for("two at open")
    status, answer = ask(address, "/readyz")
    assert (status, why(answer)) == (503, {"application": "it is starting"})
    assert ask(address, "/livez") == (200, {"status": "alive"})
    process.write("go on\n")
    process.wait_until(lambda: ask(address, "/readyz") == (200, {"status": "ready"}))
    process.send(signal.SIGTERM)
    process.wait_for("two at drain")
    status, answer = ask(address, "/readyz")
    assert (status, why(answer)) == (503, {"application": "it is stopping"})
    assert ask(address, "/livez")[0] == 200
    process.write("go on\n")
    assert process.end() == -signal.SIGTERM
    with pytest.raises(ConnectionRefusedError):
        ask(address, "/livez")


@LOOPS
def test_a_blocked_event_loop_is_neither_alive_nor_ready_and_is_answered_for(healthy) -> None:
    process, address = healthy("""
        class Blocking(Part):
            async def _open(self):
                asyncio.get_running_loop().call_later(0.5, self.block)

            def block(self):
                say("blocked")
                sys.stdin.readline()

        healthy(Blocking(), Draining(), Gate("steady"))
    """)
    process.wait_for("blocked")
    process.wait_until(lambda: ask(address, "/livez")[0] == 503)
    status, answer = ask(address, "/livez")
    assert answer["status"] == "not alive"
    assert why(answer)["event loop"].startswith("it has been blocked for ")
    status, answer = ask(address, "/readyz")
    assert status == 503
    assert why(answer)["event loop"].startswith("it has been blocked for ")
    process.write("go on\n")
    process.wait_until(lambda: ask(address, "/livez")[0] == 200)
    process.wait_until(lambda: ask(address, "/readyz")[0] == 200)


def test_parts_in_trouble_and_checks_that_fail_are_named_without_secrets(healthy) -> None:
    process, address = healthy("""
        class Store(Part, Readiness):
            @property
            def trouble(self):
                return "no connection to the store"

        class Broken(Part, Readiness):
            async def _open(self):
                # That business is its own.
                self.own = Store(name="own")
                await self.own.start()

            async def _close(self):
                await self.own.stop()

            @property
            def trouble(self):
                raise OSError("user:password")

        async def database():
            raise ConnectionError("user:password@host refuses")

        async def main():
            async with Store(name="of main"):
                say("begun")
                await asyncio.Event().wait()

        healthy(
            Group(Store(name="store"), Gate("gate"), name="group"), Broken(name="broken"), main,
            checks={
                "database": database,
                "disk": lambda: "it is\\nfull " + 300 * "x",
                "flag": lambda: False,
                "hangs": lambda: asyncio.Event().wait(),
                "well": lambda: None,
                "also well": lambda: 1,
                "silent": lambda: "",
            },
            check_timeout=0.2,
        )
    """)
    process.wait_for("begun")
    status, answer = ask(address, "/readyz?verbose")
    found = why(answer)
    assert status == 503
    assert found.pop("disk") == "it is full " + 189 * "x" + "…"
    assert found == {
        "store": "no connection to the store",
        "of main": "no connection to the store",
        "broken": "its trouble cannot be told, by OSError",
        "database": "ConnectionError",
        "flag": "it returned False",
        "hangs": "no answer for 0.2 s",
    }
    well = [each["check"] for each in answer["checks"] if each["ok"]]
    assert well == ["group", "gate", "well", "also well", "silent"]
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    # The log is the place for what an exception says.
    assert "password@host refuses" in process.errors


def test_a_check_is_called_at_most_once_a_second_and_once_at_a_time(healthy) -> None:
    process, address = healthy("""
        calls = 0

        async def check():
            global calls
            calls += 1
            say(f"call {calls}")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                # It takes no notice.
                await asyncio.Event().wait()

        healthy(Gate("part"), checks={"stubborn": check}, check_timeout=0.2)
    """)
    process.wait_until(lambda: "stubborn" in str(ask(address, "/readyz")[1]))
    for _ in range(10):
        status, answer = ask(address, "/readyz")
        assert status == 503
        assert why(answer)["stubborn"].startswith("it still runs after ")
    process.send(signal.SIGKILL)
    process.end()
    assert [line for line in process.lines if line.startswith("call")] == ["call 1"]


def test_parts_go_on_for_the_drain_delay_while_it_is_not_ready(healthy) -> None:
    process, address = healthy("healthy(Draining(name='part'), drain_delay=20.0)")
    process.wait_until(lambda: ask(address, "/readyz")[0] == 200)
    process.send(signal.SIGTERM)
    process.wait_until(lambda: ask(address, "/readyz")[0] == 503)
    assert "draining" not in process.printed()
    # The second signal ends the delay, and cuts the drain.
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert "close part" in process.lines


def test_the_drain_delay_is_over_by_itself_and_a_failure_does_not_wait_for_it(healthy) -> None:
    process, address = healthy("healthy(Gate('part'), drain_delay=0.3)")
    process.wait_until(lambda: ask(address, "/readyz")[0] == 200)
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    process, address = healthy("""
        class Failing(Part):
            async def _open(self):
                self._spawn(self.fail())

            async def fail(self):
                await asyncio.to_thread(sys.stdin.readline)
                raise LookupError("gone")

        healthy(Failing(), drain_delay=20.0)
    """)
    process.wait_until(lambda: ask(address, "/readyz")[0] == 200)
    process.send(signal.SIGTERM)
    process.wait_until(lambda: ask(address, "/readyz")[0] == 503)
    process.write("fail\n")
    assert process.end() == 1


def test_it_listens_on_a_unix_socket_for_its_user_and_takes_the_place_of_a_dead_one(
    healthy, tmp_path: Path
) -> None:
    path = tmp_path / "health.sock"
    body = f"healthy(Gate('part'), address='unix:{path}')"
    process, address = healthy(body)
    assert address == f"unix:{path}"
    assert path.stat().st_mode & 0o777 == 0o600
    assert ask(address, "/livez") == (200, {"status": "alive"})
    process.send(signal.SIGKILL)
    process.end()
    process, address = healthy(body)
    assert ask(address, "/livez") == (200, {"status": "alive"})
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert not path.exists()


def test_an_address_that_is_taken_ends_the_start(healthy, script) -> None:
    _, address = healthy("healthy(Gate('part'))")
    second = script(HEALTHY + f"healthy(Gate('part'), address={address!r})")
    assert second.end() == 1
    assert f"the health endpoint cannot listen on {address}" in second.errors
    assert "open part" not in second.lines


def test_a_child_that_is_started_again_makes_the_application_not_ready(healthy) -> None:
    process, address = healthy("""
        from gestalt.core import Backoff

        class Poller(Part):
            async def _open(self):
                self._spawn(self.fail())

            async def fail(self):
                await asyncio.to_thread(sys.stdin.readline)
                raise LookupError("gone")

        healthy(Supervisor(Poller(), name="keeper", backoff=Backoff(initial=60, maximum=60)))
    """)
    process.wait_until(lambda: ask(address, "/readyz")[0] == 200)
    process.write("fail\n")
    process.wait_until(lambda: ask(address, "/readyz")[0] == 503)
    assert why(ask(address, "/readyz")[1]) == {"keeper": "Poller is started again"}


def test_one_connection_serves_one_request_after_another(healthy) -> None:
    _, address = healthy("healthy(Gate('part'))")
    client = Client(address)
    client.connect()
    first = client.sock
    assert client.ask("/livez") == (200, {"status": "alive"})
    assert client.ask("/livez", "HEAD") == (200, None)
    assert client.ask("/nothing")[0] == 404
    assert client.ask("/livez", "DELETE")[0] == 405
    assert client.ask("/livez?verbose")[1]["checks"][0]["check"] == "event loop"
    assert client.sock is first
    client.close()


def test_the_command_asks_a_process_or_an_address_and_tells_by_its_status(
    launch, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(
        textwrap.dedent("""
            import asyncio
            full = True
            checks = {"disk": lambda: "it is full" if full else None}

            async def main():
                print("runs", flush=True)
                await asyncio.to_thread(input)
                global full
                full = False
                await asyncio.Event().wait()
        """)
    )
    address = f"unix:{tmp_path}/health.sock"
    process = launch(
        *("-m", "gestalt.runner", "run", "app:main", "--health-address", address),
        *("--health-checks", "app:checks"),
        stdin=True,
    )
    process.wait_for("runs")
    for target in (address, str(process.pid)):
        asked = launch("-m", "gestalt.runner", "health", target)
        assert asked.end() == 1
        assert asked.lines == ["not ready", "  disk: it is full"]
    alive = launch("-m", "gestalt.runner", "health", address, "--live", "--json")
    assert alive.end() == 0
    assert alive.lines == ['{"status": "alive"}']
    process.write("\n")
    process.wait_until(lambda: ask(address, "/readyz")[0] == 200)
    asked = launch("-m", "gestalt.runner", "health", str(process.pid))
    assert asked.end() == 0
    assert asked.lines == ["ready"]
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    asked = launch("-m", "gestalt.runner", "health", address)
    assert asked.end() == 1
    assert asked.lines[0] == "no answer"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--health-address", "nowhere"], "argument --health-address: an address is host:port, "),
        (["--health-address", "::1:80"], "an IPv6 address stands in brackets"),
        (["--health-address", "unix:health"], "a unix socket has an absolute path"),
        (["--health-checks", "app:main"], "'app:main' must be a dict of functions by names"),
        (["--health-checks", "app:gone"], "module 'app' has no attribute 'gone'"),
        (["--drain-delay", "25"], "argument --drain-delay: it is part of --shutdown-timeout"),
    ],
)
def test_what_the_command_line_says_wrongly_is_a_sentence(
    launch, tmp_path: Path, arguments: list[str], error: str
) -> None:
    (tmp_path / "app.py").write_text("async def main(): pass\n")
    process = launch("-m", "gestalt.runner", "run", "app:main", *arguments)
    assert process.end() == 2
    assert error in process.errors


def test_prometheus_scrapes_the_metrics_of_components(healthy) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    process, address = healthy("healthy(Gate('part'))")
    process.wait_until(lambda: ask(address, "/readyz")[0] == 200)
    client = Client(address)
    client.request("GET", "/metrics")
    response = client.getresponse()
    text = response.read().decode()
    client.close()
    assert response.status == 200
    assert response.getheader("Content-Type", "").startswith("text/plain; version=0.0.4")
    (running,) = [
        family
        for family in parser.text_string_to_metric_families(text)
        if family.name == "gestalt_component_running"
    ]
    assert {sample.labels["component"]: sample.value for sample in running.samples} == {"part": 1.0}
