"""Functions around handlers see what comes from queues, requests and streams of replies."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gestalt.amq import Bus, RemoteError, Retry
from gestalt.core import Call, Handlers, Message
from tests.support.waiting import until


@pytest.fixture
def log() -> list[Any]:
    return []


@pytest.fixture
def handlers(log: list[Any]) -> Handlers:
    handlers = Handlers()

    @handlers.use
    async def logged(message: Message[Any], call: Call) -> Any:
        try:
            return await call(message)
        except Exception as error:
            log.append((message.body, type(error)))
            raise
        finally:
            log.append(message.body)

    return handlers


async def test_they_see_the_messages_of_a_subscription_and_its_failures_are_retried(
    bus: Bus, unique: str, handlers: Handlers, log: list[Any]
) -> None:
    @handlers.on(int)
    def once(message: Message[int]) -> None:
        if log.count(message.body) < 1:
            raise LookupError

    retry = Retry(attempts=2, delay=0.01)
    subscription = await bus.subscribe(unique, "#", handlers, queue=unique, retry=retry)
    await bus.publisher(unique).publish(5)
    await until(lambda: subscription.stats.handled == 1)
    assert log == [(5, LookupError), 5, 5]
    assert subscription.stats.retried == 1


async def test_they_see_requests_answer_for_them_and_are_around_streams_of_replies(
    bus: Bus, unique: str, handlers: Handlers, log: list[Any]
) -> None:
    @handlers.use
    async def authorized(message: Message[Any], call: Call) -> Any:
        if message.body == 0:
            return "nothing to do"
        if message.body == 13:
            raise PermissionError("not this one")
        return await call(message)

    @handlers.on(int)
    def double(message: Message[int]) -> int:
        return 2 * message.body

    @handlers.on(str)
    async def spell(message: Message[str]) -> AsyncIterator[str]:
        for letter in message.body:
            await asyncio.sleep(0)
            yield letter
        assert "abc" not in log, "what is around it is not over before the stream is"

    await bus.respond(unique, handlers)
    requester = bus.requester(unique)
    assert await requester.request(21) == 42
    assert await requester.request(0) == "nothing to do"
    with pytest.raises(RemoteError, match="PermissionError"):
        await requester.request(13)
    assert [item async for item in requester.stream("abc")] == ["a", "b", "c"]
    await until(lambda: log[-1] == "abc")
    assert log == [21, 0, (13, PermissionError), 13, "abc"]
