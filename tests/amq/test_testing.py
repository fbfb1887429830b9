"""Messages for tests of handlers, without a bus and a broker."""

import pytest

from gestalt.amq import BusMessage, Request
from gestalt.amq.testing import batch, message, request
from gestalt.amq.wire import Properties
from gestalt.core import Park, ReplyNotPossible


async def test_a_handler_is_called_alone_and_what_it_decides_is_seen() -> None:
    async def handle(order: BusMessage[dict[str, int]]) -> str:
        if order.attempt > 2:
            raise Park(f"{order.routing_key} of {order.exchange}")
        return f"{order.headers['by']} {order.redelivered}"

    body = {"number": 1}
    first = message(body, "new", headers={"by": "alice"}, redelivered=True)
    assert await handle(first) == "alice True"
    with pytest.raises(Park, match="new of orders"):
        await handle(message(body, "new", exchange="orders", attempt=3))


def test_a_message_has_what_one_from_a_broker_has() -> None:
    made = message("x", "key", exchange="e", type_id=4, properties=Properties(message_id="m"))
    assert (made.body, made.source, made.type_id, made.attempt) == ("x", "key", 4, 1)
    assert made.properties.message_id == "m"
    assert made.headers == {}
    assert made.raw.routing_key == "key"
    assert repr(made) == "<BusMessage of str, type_id=4, source='key'>"
    with pytest.raises(ValueError, match="attempt is at least 1"):
        message("x", attempt=0)


def test_a_batch_shows_which_messages_have_failed() -> None:
    several = batch([message(number) for number in range(3)])
    several.fail(several[1], Park("odd"))
    assert several.bodies == [0, 1, 2]
    assert list(several.failures) == [1]


async def test_a_request_keeps_its_reply() -> None:
    async def answer(question: Request[int]) -> None:
        await question.reply(question.body + 1)

    asked = request(1, service="adding", headers={"a": 1}, timeout=5.0)
    await answer(asked)
    assert asked.replies == [2]
    assert asked.routing_key == "adding"
    with pytest.raises(ReplyNotPossible):
        await asked.reply(3)
