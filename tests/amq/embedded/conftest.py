"""The clients of these tests; asynchronous tests run on asyncio, and on uvloop where that is."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

import pytest

from gestalt.amq.embedded import ThreadedBroker
from tests.support.rabbitmq import NoRabbitMQError
from tests.support.wire_client import WireClient

try:
    import uvloop
except ImportError:
    uvloop = None


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], Any]]:
    loops: dict[str, Callable[[], Any]] = {"asyncio": asyncio.SelectorEventLoop}
    if uvloop is not None:
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture(scope="session")
def _like(request):
    """The version of the run's RabbitMQ, which the embedded broker is to be like; None for none."""
    url = os.environ.get("GESTALT_AMQP_URL")
    if not url:
        node = request.getfixturevalue("_node")
        if isinstance(node, NoRabbitMQError):
            return None
        url = node.url
    with WireClient(url) as client:
        major, minor = client.version
    return f"{major}.{minor}"


@pytest.fixture(scope="module")
def newest():
    """The URL of an embedded broker that is like the newest version of RabbitMQ."""
    with ThreadedBroker(stop_timeout=0, compatible="4.3") as broker:
        yield broker.url


@pytest.fixture
def amqp_compatible(_like):
    return _like


@pytest.fixture
def connect(broker_url):
    """Connects a client that shows everything that the broker sends; closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(WireClient(broker_url))


@pytest.fixture
def client(connect):
    """A client with channel 1 open."""
    client = connect()
    client.channel(1)
    return client
