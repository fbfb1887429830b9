"""The clients of these tests."""

import contextlib

import pytest

from tests.support.wire_client import WireClient


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
