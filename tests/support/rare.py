"""What tests of rare values on the embedded broker have in common."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from gestalt.amq.wire import methods as m
from tests.support.wire_client import ClosedError, WireClient


@contextlib.contextmanager
def on_a_channel(url: str) -> Iterator[WireClient]:
    """A client with its first channel open."""
    with WireClient(url) as client:
        client.channel(1)
        yield client


def declared(client: WireClient, **arguments: Any) -> str:
    """Declare a queue, and return its name; the arguments' names lose their underscores."""
    named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    lasting = named.get("x-queue-type") in ("stream", "quorum")
    name = f"odd-{uuid.uuid4().hex}" if lasting else ""
    method = m.QueueDeclare(0, name, durable=lasting, exclusive=not lasting, arguments=named)
    answer = client.call(1, method)
    assert isinstance(answer, m.QueueDeclareOk)
    return answer.queue


def refusal(client: WireClient, method: m.Method) -> tuple[int, str]:
    """Call what the broker refuses, and return its code and words."""
    with pytest.raises(ClosedError) as caught:
        client.call(1, method)
    return caught.value.code, caught.value.text
