"""Each test's broker: an embedded one of its own, and then the run's private RabbitMQ.

GESTALT_AMQP_URL names a running RabbitMQ to take instead of the private one.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
import trustme

from gestalt.amq import Bus, connect, tracing
from gestalt.amq.embedded import ThreadedBroker
from tests.support.alarms import Alarm
from tests.support.callers import Raw
from tests.support.missing import without
from tests.support.rabbitmq import NoRabbitMQError, RabbitMQNode, free_ports
from tests.support.waiting import QUICK

URL_VARIABLE = "GESTALT_AMQP_URL"
PLUGINS = ("rabbitmq_auth_mechanism_ssl", "rabbitmq_consistent_hash_exchange")

_ran_on = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have `-k rabbitmq` select whatever needs one, however it is called."""
    for item in items:
        if {"rabbitmq_node", "rabbitmq_url"} & set(getattr(item, "fixturenames", ())):
            item.extra_keyword_matches.add("rabbitmq")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if version := config.stash.get(_ran_on, None):
        terminalreporter.write_line(f"Tested with RabbitMQ {version}")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Vouches for the run's brokers, and for clients that identify themselves by certificate."""
    return trustme.CA()


@pytest.fixture(scope="session")
def _tls_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="session")
def _node(
    authority: trustme.CA,
    _tls_port: int,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[RabbitMQNode | NoRabbitMQError]:
    where = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(str(where / "ca.pem"))
    server = authority.issue_cert("localhost")
    server.cert_chain_pems[0].write_to_path(str(where / "server.pem"))
    server.private_key_pem.write_to_path(str(where / "server.key"))
    config = {
        "listeners.ssl.default": f"127.0.0.1:{_tls_port}",
        "ssl_options.cacertfile": str(where / "ca.pem"),
        "ssl_options.certfile": str(where / "server.pem"),
        "ssl_options.keyfile": str(where / "server.key"),
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": "false",
        "ssl_cert_login_from": "common_name",
        "auth_mechanisms.1": "PLAIN",
        "auth_mechanisms.2": "AMQPLAIN",
        "auth_mechanisms.3": "EXTERNAL",
    }
    try:
        node = RabbitMQNode(plugins=PLUGINS, config=config)
        node.start()
        pytestconfig.stash[_ran_on] = ".".join(map(str, node.version))
    except NoRabbitMQError as error:
        yield error
        return
    try:
        yield node
    finally:
        node.close()


@pytest.fixture
def rabbitmq_node(request: pytest.FixtureRequest) -> RabbitMQNode:
    """The run's private node, with its controls."""
    if os.environ.get(URL_VARIABLE):
        pytest.skip(f"needs a node of its own to control, and {URL_VARIABLE} is set")
    node = request.getfixturevalue("_node")
    if isinstance(node, NoRabbitMQError):
        without(request.config, str(node))
    assert isinstance(node, RabbitMQNode)
    return node


@pytest.fixture
def rabbitmq_version(rabbitmq_node: RabbitMQNode) -> tuple[int, ...]:
    """The version of the run's private node, where brokers differ: (4, 3, 6)."""
    return rabbitmq_node.version


@pytest.fixture
def rabbitmq_url(request: pytest.FixtureRequest) -> str:
    """The address of a RabbitMQ broker, private to the run unless GESTALT_AMQP_URL is set."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        return url
    node: RabbitMQNode = request.getfixturevalue("rabbitmq_node")
    return node.url


@pytest.fixture
def rabbitmq_tls_port(rabbitmq_node: RabbitMQNode, _tls_port: int) -> int:
    """The port where the run's private node speaks TLS."""
    return _tls_port


@pytest.fixture(params=["embedded", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of an embedded broker, and then of a RabbitMQ: what holds for one holds for both."""
    name = "amqp_url" if request.param == "embedded" else "rabbitmq_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def unique() -> str:
    """A name that no other test uses for its queues and exchanges."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def bus(broker_url: str) -> AsyncIterator[Bus]:
    """A bus on the test's broker, which gives up soon."""
    async with connect(broker_url, stop_timeout=5.0, backoff=QUICK) as bus:
        yield bus


@pytest.fixture
def broker_port(broker_url: str) -> int:
    """The port of the broker on this machine."""
    address = urlsplit(broker_url)
    if address.hostname not in ("127.0.0.1", "localhost"):
        pytest.skip(f"needs a broker on this machine, not on {address.hostname}")
    return address.port or 5672


@pytest.fixture(params=["embedded", "rabbitmq"])
def alarm(request: pytest.FixtureRequest) -> Alarm:
    if request.param == "embedded":
        broker: ThreadedBroker = request.getfixturevalue("amqp_broker")
        return Alarm(broker.url, broker.block_publishers, broker.unblock_publishers)
    node: RabbitMQNode = request.getfixturevalue("rabbitmq_node")
    return Alarm(node.url, node.raise_memory_alarm, node.clear_memory_alarm)


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where OpenTelemetry is not installed, which is a path of its own through the code."""
    monkeypatch.setattr(tracing, "load", lambda: None)


@pytest.fixture
async def reported() -> AsyncIterator[list[dict[str, Any]]]:
    """What reached the event loop's exception handler."""
    contexts: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    yield contexts
    loop.set_exception_handler(None)


@pytest.fixture
async def raw(broker_url: str, unique: str) -> AsyncIterator[Raw]:
    """The other end of the service `unique`, of another make."""
    async with await aio_pika.connect(broker_url) as connection:
        raw = Raw(await connection.channel(), unique)
        await raw.open()
        yield raw
