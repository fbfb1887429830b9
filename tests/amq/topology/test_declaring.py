"""Exchanges, queues and bindings that are declared without being used."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aio_pika
import aio_pika.abc
import pytest

from gestalt.amq import (
    Binding,
    Bus,
    Drift,
    Exchange,
    Queue,
    TopologyError,
    Unroutable,
    connect,
)
from gestalt.amq.__main__ import main
from gestalt.core import State
from tests.support.collector import Collector
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, until


@pytest.fixture
async def admin(broker_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(broker_url) as connection:
        yield await connection.channel()


async def count(broker_url: str, queue: str) -> int:
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def test_what_is_declared_takes_messages_at_once(
    bus: Bus, broker_url: str, unique: str
) -> None:
    alternate = Exchange(f"{unique}.lost", type="fanout")
    inner = Exchange(f"{unique}.inner", type="direct")
    await bus.declare(
        Binding(alternate, "", to=f"{unique}.lost"),
        Binding(
            Exchange(unique, arguments={"alternate-exchange": alternate.name}), "a.*", to=inner
        ),
        Binding(inner, ["a.b", "a.c"], to=Queue(unique, type="classic")),
    )
    publisher = bus.publisher(
        Exchange(unique, arguments={"alternate-exchange": alternate.name}), mandatory=True
    )
    for key in ("a.b", "a.c", "elsewhere"):
        await publisher.publish("x", key)
    assert await count(broker_url, unique) == 2
    assert await count(broker_url, f"{unique}.lost") == 1
    with pytest.raises(Unroutable):
        await publisher.publish("x", "a.d")


async def test_what_is_declared_before_the_start_is_there_when_it_has_started(
    broker_url: str, unique: str
) -> None:
    bus = connect(broker_url)
    bus.declare(Binding(unique, "#", to=unique))
    for _ in range(2):
        async with bus:
            await bus.publisher(unique, mandatory=True).publish("x", "any")
    assert await count(broker_url, unique) == 2


async def test_what_is_declared_without_a_connection_can_be_awaited() -> None:
    bus = connect("amqp://localhost")
    await bus.declare(Queue("orders"))
    assert "orders" in {each.name for each in bus.topology.plan().queues}


async def test_a_binding_that_is_refused_is_named(bus: Bus, unique: str) -> None:
    arguments = {"x-match": "nonsense"}
    by_headers = Exchange(unique, type="headers")
    with pytest.raises(TopologyError, match=f"binding of .*{unique}"):
        await bus.declare(Binding(by_headers, "", to=Queue(unique), arguments=arguments))


async def test_a_start_fails_by_a_declaration_that_is_refused_and_names_all_of_them(
    broker_url: str, admin: aio_pika.abc.AbstractChannel, unique: str
) -> None:
    await admin.declare_exchange(unique, "fanout", durable=True)
    await admin.declare_queue(unique, durable=True)
    bus = connect(broker_url)
    bus.declare(Binding(unique, "#", to=unique), Queue(f"{unique}.theirs", declare=False))
    with pytest.raises(TopologyError, match="refuses 3 things") as caught:
        await bus.start()
    for name in (f"exchange {unique!r}", f"queue {unique!r}", f"queue '{unique}.theirs'"):
        assert name in str(caught.value)
    assert bus.state is State.FAILED


async def test_declaring_on_a_running_bus_raises_and_harms_nothing_else(
    bus: Bus, admin: aio_pika.abc.AbstractChannel, unique: str
) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    await admin.declare_queue(f"{unique}.q", durable=True)
    with pytest.raises(TopologyError, match="exists with other properties") as caught:
        await bus.declare(Queue(f"{unique}.q"))
    assert caught.value.code == 406
    await bus.publisher(unique).publish("x", "any")
    await got.wait(1)


async def test_it_is_declared_again_on_each_new_connection(
    broker_url: str, broker_port: int, admin: aio_pika.abc.AbstractChannel, unique: str
) -> None:
    async with Proxy(broker_port) as proxy:
        url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
        async with connect(url, backoff=QUICK) as bus:
            await bus.declare(Binding(unique, "#", to=unique))
            await admin.queue_delete(unique)
            await proxy.cut()
            publisher = bus.publisher(unique, mandatory=True)

            async def published() -> bool:
                try:
                    await publisher.publish("x", "any")
                except Unroutable:
                    return False
                return True

            async with asyncio.timeout(10):
                while not await published():
                    await asyncio.sleep(0.01)


async def test_a_declaration_refused_on_a_new_connection_is_trouble_until_it_is_not(
    broker_url: str,
    broker_port: int,
    admin: aio_pika.abc.AbstractChannel,
    unique: str,
    reported: list[object],
) -> None:
    async with Proxy(broker_port) as proxy:
        url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
        async with connect(url, backoff=QUICK) as bus:
            await bus.declare(Queue(unique))
            await admin.queue_delete(unique)
            await admin.declare_queue(unique, durable=True)
            await proxy.cut()
            await until(lambda: bus.reported > 0)
            assert not bus.ready
            await admin.queue_delete(unique)
            await until(lambda: bus.ready)
            assert await count(broker_url, unique) == 0


APPLICATION = """
from gestalt.amq import Binding, Exchange, Queue, connect

bus = connect("{url}", declare=False, backoff=None)
bus.declare(Binding("{name}", "audit.*", to="{name}.audit"))
publisher = bus.publisher("{name}")
requester = bus.requester("{name}")


@bus.subscriber("{name}", "job.*", queue="{name}")
async def work(message):
    if message.body == "poison":
        raise ValueError("poison")


@bus.responder("{name}")
async def answer(request):
    return request.body * 2


def make():
    return bus


class Wrong:
    def __repr__(self):
        return "secret"


wrong = Wrong()
"""


@pytest.fixture
def application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unique: str
) -> Callable[[str], str]:
    """Write an application, and return the name of its module."""
    module = unique.replace("-", "_")

    def write(url: str) -> str:
        (tmp_path / f"{module}.py").write_text(APPLICATION.format(url=url, name=unique))
        monkeypatch.syspath_prepend(str(tmp_path))
        sys.modules.pop(module, None)
        return module

    return write


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command, and return its status and what it said."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(["topology", *arguments])
        except SystemExit as error:
            status = int(error.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_plan_shows_everything_for_people_and_as_json(
    run: Run, application: Callable[[str], str], unique: str
) -> None:
    module = application("amqp://localhost")
    status, text, _ = run("plan", f"{module}:bus")
    assert status == 0
    for part in (
        f"{unique}.retry.1000",
        f"{unique}.audit",
        "configure: ^$",
        "permissions to apply",
    ):
        assert part in text
    status, text, _ = run("plan", f"{module}:make", "--json")
    told = json.loads(text)
    assert told["permissions"]["application"]["configure"] == "^$"
    assert f"{unique}.requests" in {each["name"] for each in told["queues"]}


def test_verify_tells_what_is_missing_and_creates_nothing_then_apply_makes_it(
    run: Run, application: Callable[[str], str], broker_url: str, unique: str
) -> None:
    module = application(broker_url)
    for _ in range(2):
        status, text, _ = run("verify", f"{module}:bus")
        assert status == 1
        assert f"queue '{unique}.retry.1000' is missing" in text
        assert f"exchange {unique!r} is missing" in text
    status, text, _ = run("apply", f"{module}:bus", "--url", broker_url)
    assert (status, text) == (0, "declared 3 exchanges, 9 queues, 2 bindings\n")
    status, text, _ = run("verify", f"{module}:bus", "--url", broker_url)
    assert status == 0, text
    assert "2 were not compared" in text
    assert json.loads(run("verify", f"{module}:bus", "--json")[1]) == {"drift": []}


def test_what_others_declare_must_exist_and_is_told_as_that(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amqp_url: str, unique: str
) -> None:
    module = unique.replace("-", "_")
    (tmp_path / f"{module}.py").write_text(
        "from gestalt.amq import Exchange, Queue, connect\n"
        f"bus = connect({amqp_url!r})\n"
        "bus.declare(Exchange('theirs', declare=False), Queue('taken', declare=False))\n"
        "bus.subscription('amq.topic', '#', print)\n"
        "other = connect('amqp://localhost')\n"
        "other.declare(Exchange('ours'))\n"
        "def needs(name): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = run("plan", f"{module}:bus")[1].splitlines()
    for line in (
        "    theirs: must exist",
        "    amq.topic: must exist",
        "    taken: must exist",
        "    amq.gen-...: private ones, which the broker names",
    ):
        assert line in lines
    assert run("verify", f"{module}:bus")[0] == 1
    status, text, _ = run("apply", f"{module}:other", "--url", amqp_url, "--json")
    assert (status, json.loads(text)["declared"]["exchanges"]) == (0, 1)
    status, text, _ = run("verify", f"{module}:other", "--url", amqp_url)
    assert (status, text) == (0, f"all is as {module}:other needs it\n")
    assert "is no Bus" in run("plan", f"{module}:needs")[2]


async def test_verify_names_other_properties_and_changes_none(
    bus: Bus, admin: aio_pika.abc.AbstractChannel, unique: str
) -> None:
    await admin.declare_exchange(unique, "fanout", durable=True)
    await admin.declare_queue(unique, durable=True, arguments={"x-max-length": 5})
    planned = connect("amqp://elsewhere")
    planned.declare(Binding(unique, "#", to=unique), Binding("amq.topic", "#", to=unique))
    for _ in range(2):
        drift = await bus.topology.verify(planned.topology.plan())
        problems = {(each.kind, each.name): each.problem for each in drift}
        assert problems == {
            ("exchange", unique): "different",
            ("queue", f"{unique}.parked"): "missing",
            ("queue", unique): "different",
        }
        assert any("x-dead-letter-exchange" in each.reason for each in drift)
    with pytest.raises(TopologyError, match="refuses 2 things"):
        await bus.topology.apply(planned.topology.plan())
    # What was not refused is there now.
    assert {each.name for each in await bus.topology.verify(planned.topology.plan())} == {unique}
    assert all(isinstance(each, Drift) for each in drift)


async def test_verify_asks_for_nothing_that_comes_and_goes(bus: Bus, unique: str) -> None:
    planned = connect("amqp://elsewhere")
    planned.service(unique, print)
    planned.subscription("amq.topic", "#", print)
    plan = planned.topology.plan()
    assert {each.passing or each.exclusive for each in plan.queues} == {True}
    assert [each for each in await bus.topology.verify(plan) if each.kind == "queue"] == []


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("{module}", "is not of the form module:bus"),
        ("{module}:", "is not of the form module:bus"),
        ("no.such.module:bus", "there is no module 'no' here"),
        ("{module}:nothing", "there is no 'nothing'"),
        ("{module}:wrong", "is no Bus"),
        ("{module}:work", "is no Bus"),
    ],
)
def test_what_is_no_bus_is_refused_without_being_shown(
    run: Run, application: Callable[[str], str], target: str, words: str
) -> None:
    module = application("amqp://localhost")
    status, _, error = run("plan", target.format(module=module))
    assert status == 2
    assert words in error
    assert "secret" not in error


def test_an_import_that_fails_within_the_module_is_its_own_error(
    run: Run, application: Callable[[str], str], tmp_path: Path
) -> None:
    module = application("amqp://localhost")
    (tmp_path / f"{module}.py").write_text("import no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        run("plan", f"{module}:bus")


def test_the_bus_of_a_whole_application_is_found(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unique: str
) -> None:
    module = unique.replace("-", "_")
    (tmp_path / f"{module}.py").write_text(
        "from gestalt.amq import Queue, connect\n"
        "from gestalt.core import Group, Timer\n"
        "def service(name):\n"
        "    bus = connect('amqp://guest:secret@localhost', name=name)\n"
        "    bus.declare(Queue(name))\n"
        "    return Group(bus, Timer.every(1.0, print))\n"
        "def one():\n"
        "    return Group(service('orders'), Timer.every(1.0, print))\n"
        "def two():\n"
        "    return Group(service('orders'), service('bills'))\n"
        "none = Timer.every(1.0, print)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    status, text, _ = run("plan", f"{module}:one")
    assert status == 0
    assert "orders" in text
    status, _, error = run("plan", f"{module}:two")
    assert status == 2
    assert "holds several buses, 'orders', 'bills': name a function" in error
    status, _, error = run("plan", f"{module}:none")
    assert status == 2
    assert "it is a Timer" in error


def test_a_plan_that_contradicts_itself_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unique: str
) -> None:
    module = unique.replace("-", "_")
    (tmp_path / f"{module}.py").write_text(
        "from gestalt.amq import Queue, connect\n"
        "bus = connect('amqp://localhost')\n"
        "bus.declare(Queue('a'), Queue('a', type='classic'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    status, text, _ = run("plan", f"{module}:bus")
    assert status == 1
    assert "queue 'a' is named with different properties" in text
