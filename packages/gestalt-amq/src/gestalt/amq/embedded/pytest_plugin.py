"""The fixtures `amqp_broker` and `amqp_url`, for every project that has gestalt-amq installed.

The broker is imported when a test asks for it, not before.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import ThreadedBroker


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "amqp_compatible", "the version of RabbitMQ that amqp_broker is like (4.3, 4.0 or 3.10)"
    )


@pytest.fixture
def amqp_compatible(request: pytest.FixtureRequest) -> str | None:
    """The version of RabbitMQ that `amqp_broker` is like; None for the default.

    It is what `amqp_compatible` says in pytest's configuration. Define a fixture of this name where
    tests want another one.
    """
    return str(request.config.getini("amqp_compatible")) or None


@pytest.fixture
def amqp_broker(amqp_compatible: str | None) -> "Iterator[ThreadedBroker]":
    """A fresh AMQP broker for this test, in a thread of its own, with test controls."""
    from .model import DEFAULT_VERSION
    from .server import ThreadedBroker

    # A test is over: clients that are still open are cut, and not waited for.
    with ThreadedBroker(stop_timeout=0, compatible=amqp_compatible or DEFAULT_VERSION) as broker:
        yield broker


@pytest.fixture
def amqp_url(amqp_broker: "ThreadedBroker") -> str:
    """The URL of the test's own AMQP broker."""
    return amqp_broker.url
