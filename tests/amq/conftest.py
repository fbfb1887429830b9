"""One private RabbitMQ for the whole run; GESTALT_AMQP_URL names a running broker instead."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from gestalt.amq import Bus, connect
from gestalt.core import Backoff
from rabbitmq import NoRabbitMQError, RabbitMQNode

URL_VARIABLE = "GESTALT_AMQP_URL"
QUICK = Backoff(initial=0.02, maximum=0.2)

_reasons = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_reasons] = []


def _without(config: pytest.Config, reason: str) -> None:
    """Skip the test, to be told at the end of the run; in CI, where nobody reads it, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    config.stash[_reasons].append(reason)
    pytest.skip(reason)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    reasons = config.stash.get(_reasons, [])
    if reasons:
        terminalreporter.write_line(
            f"!!! {len(reasons)} AMQP TESTS DID NOT RUN: {'; '.join(sorted(set(reasons)))}",
            red=True,
            bold=True,
        )


@pytest.fixture(scope="session")
def _node() -> Iterator[RabbitMQNode | NoRabbitMQError]:
    try:
        node = RabbitMQNode()
        node.start()
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
        _without(request.config, str(node))
    assert isinstance(node, RabbitMQNode)
    return node


@pytest.fixture
def rabbitmq_url(request: pytest.FixtureRequest) -> str:
    """The address of a RabbitMQ broker, private to the run unless GESTALT_AMQP_URL is set."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        return url
    node: RabbitMQNode = request.getfixturevalue("rabbitmq_node")
    return node.url


@pytest.fixture
def unique() -> str:
    """A name that no other test uses for its queues and exchanges."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def bus(rabbitmq_url: str) -> AsyncIterator[Bus]:
    """A bus on the run's broker, which gives up soon."""
    async with connect(rabbitmq_url, stop_timeout=5.0, backoff=QUICK) as bus:
        yield bus


@pytest.fixture
def broker_port(rabbitmq_url: str) -> int:
    """The port of the broker on this machine."""
    address = urlsplit(rabbitmq_url)
    if address.hostname not in ("127.0.0.1", "localhost"):
        pytest.skip(f"needs a broker on this machine, not on {address.hostname}")
    return address.port or 5672
