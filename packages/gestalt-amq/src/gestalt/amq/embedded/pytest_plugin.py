"""The fixtures `amqp_broker` and `amqp_url`, for every project that has gestalt-amq installed.

The broker is imported when a test asks for it, not before.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import ThreadedBroker


@pytest.fixture
def amqp_broker() -> "Iterator[ThreadedBroker]":
    """A fresh AMQP broker for this test, in a thread of its own, with test controls."""
    from .server import ThreadedBroker

    # A test is over: clients that are still open are cut, and not waited for.
    with ThreadedBroker(stop_timeout=0) as broker:
        yield broker


@pytest.fixture
def amqp_url(amqp_broker: "ThreadedBroker") -> str:
    """The URL of the test's own AMQP broker."""
    return amqp_broker.url
