"""The brokers and clients of these tests."""

import contextlib

import pytest

from wire_client import WireClient


@pytest.fixture(params=["embedded", "rabbitmq"])
def broker_url(request):
    """The URL of an embedded broker, and then of a RabbitMQ: what holds for one holds for both."""
    return request.getfixturevalue("amqp_url" if request.param == "embedded" else "rabbitmq_url")


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
