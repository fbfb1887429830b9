"""Functions around handlers: in order, for every message, and nothing where there are none."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from gestalt.core import Call, HandlerNotFound, Handlers, Message, StateError


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
def log() -> list[Any]:
    return []


def noting(log: list[Any], name: str) -> Any:
    async def around(message: Message[Any], call: Call) -> Any:
        log.append(f"{name} begins")
        try:
            return await call(message)
        finally:
            log.append(f"{name} ends")

    return around


async def test_they_are_around_plain_and_async_handlers_the_first_outermost(
    handlers: Handlers, log: list[Any]
) -> None:
    handlers.on(int)(lambda message: log.append(message.body))
    handlers.use(noting(log, "outer"))
    handlers.use(noting(log, "inner"))

    @handlers.on(str)  # one that comes later as well
    async def late(message: Message[str]) -> str:
        await asyncio.sleep(0)
        log.append(message.body)
        return message.body.upper()

    around = ["outer begins", "inner begins", "inner ends", "outer ends"]
    assert await handlers(Message(1)) is None
    assert log == [*around[:2], 1, *around[2:]]
    log.clear()
    assert await handlers(Message("x")) == "X"
    assert log == [*around[:2], "x", *around[2:]]


async def test_they_are_around_identifiers_base_classes_and_the_default(
    handlers: Handlers, log: list[Any]
) -> None:
    handlers.on(7)(lambda message: "seven")
    handlers.on(int)(lambda message: "int")
    handlers.default(lambda message: "other")
    assert handlers(Message(True)) == "int"  # found through its base, and kept in mind
    handlers.use(noting(log, "a"))
    assert await handlers(Message(b"", 7)) == "seven"
    assert await handlers(Message(True)) == "int"
    assert await handlers(Message("")) == "other"
    assert len(log) == 6


def test_without_any_a_handler_is_called_as_it_is(handlers: Handlers) -> None:
    def handler(message: Message[int]) -> Any:
        return message

    handlers.on(int)(handler)
    message = Message(1)
    assert handlers(message) is message


async def test_one_may_answer_in_place_of_the_handler_or_give_it_another_message(
    handlers: Handlers,
) -> None:
    @handlers.use
    async def authorized(message: Message[Any], call: Call) -> Any:
        if message.source != "friend":
            return "refused"
        return await call(Message(message.body + 1, message.type_id, message.source))

    handlers.on(int)(lambda message: message.body)
    assert await handlers(Message(1, source="stranger")) == "refused"
    assert await handlers(Message(1, source="friend")) == 2


async def test_one_sees_what_the_handler_raises_and_may_call_again(
    handlers: Handlers, log: list[Any]
) -> None:
    @handlers.use
    async def twice(message: Message[Any], call: Call) -> Any:
        try:
            return await call(message)
        except ConnectionError as error:
            log.append(str(error))
            return await call(message)

    @handlers.on(int)
    def fails(message: Message[int]) -> int:
        if not log:
            raise ConnectionError("once")
        return message.body

    assert await handlers(Message(5)) == 5
    assert log == ["once"]


async def test_what_one_raises_is_the_failure_of_the_message(handlers: Handlers) -> None:
    @handlers.use
    async def refuse(message: Message[Any], call: Call) -> Any:
        raise PermissionError(message.body)

    handlers.on(int)(print)
    with pytest.raises(PermissionError, match="5"):
        await handlers(Message(5))


def test_a_message_without_a_handler_does_not_come_to_them(
    handlers: Handlers, log: list[Any]
) -> None:
    handlers.use(noting(log, "a"))
    with pytest.raises(HandlerNotFound):
        handlers(Message(5))
    assert log == []


@pytest.mark.parametrize("wrong", [print, lambda message, call: call(message), None, 5])
def test_what_is_not_an_async_function_is_refused(handlers: Handlers, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"use\(\) takes an async function of \(message, call\)"):
        handlers.use(wrong)


async def test_an_object_with_an_async_call_is_one(handlers: Handlers) -> None:
    class Counting:
        count = 0

        async def __call__(self, message: Message[Any], call: Call) -> Any:
            self.count += 1
            return await call(message)

    counting = Counting()
    assert handlers.use(counting) is counting
    handlers.on(int)(lambda message: message.body)
    assert await handlers(Message(3)) == 3
    assert counting.count == 1


# Streams of replies

session: contextvars.ContextVar[str] = contextvars.ContextVar("session", default="none")


@pytest.fixture
def streaming(handlers: Handlers, log: list[Any]) -> Handlers:
    """Replies by a stream, with a session around it."""

    @handlers.use
    async def with_session(message: Message[Any], call: Call) -> Any:
        token = session.set("open")
        await asyncio.sleep(0)
        try:
            result = await call(message)
            log.append(f"the call gave {result}")
        except BaseException as error:
            log.append(type(error).__name__)
            raise
        finally:
            await asyncio.sleep(0)
            session.reset(token)
            log.append("closed")

    @handlers.on(int)
    async def count(message: Message[int]) -> AsyncIterator[str]:
        try:
            for number in range(message.body):
                await asyncio.sleep(0)
                yield f"{number} {session.get()}"
            if not message.body:
                raise LookupError("nothing to count")
        finally:
            log.append("stream ends")

    return handlers


async def test_a_stream_has_them_around_it_from_its_first_item_to_its_end(
    streaming: Handlers, log: list[Any]
) -> None:
    streaming.use(noting(log, "inner"))
    stream = streaming(Message(3))
    assert log == []
    items = []
    async for item in stream:
        assert "closed" not in log
        items.append(item)
    assert items == ["0 open", "1 open", "2 open"]
    assert log == ["inner begins", "stream ends", "inner ends", "the call gave None", "closed"]
    assert session.get() == "none"


async def test_a_stream_that_its_reader_leaves_is_closed_before_what_is_around_it(
    streaming: Handlers, log: list[Any]
) -> None:
    async with aclosing(streaming(Message(3))) as stream:
        assert await anext(stream) == "0 open"
    assert log == ["stream ends", "GeneratorExit", "closed"]


async def test_what_a_stream_raises_is_seen_around_it_and_by_its_reader(
    streaming: Handlers, log: list[Any]
) -> None:
    with pytest.raises(LookupError, match="nothing to count"):
        [item async for item in streaming(Message(0))]
    assert log == ["stream ends", "LookupError", "closed"]


async def test_a_stream_that_is_cancelled_ends_all_around_it(
    streaming: Handlers, log: list[Any]
) -> None:
    waiting = asyncio.Event()

    @streaming.on(str)
    async def hang(message: Message[str]) -> AsyncIterator[str]:
        waiting.set()
        await asyncio.Event().wait()
        yield message.body

    async def read() -> list[str]:
        return [item async for item in streaming(Message("x"))]

    task = asyncio.create_task(read())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["CancelledError", "closed"]


async def test_a_stream_may_be_refused(handlers: Handlers) -> None:
    @handlers.use
    async def refuse(message: Message[Any], call: Call) -> Any:
        if message.body > 1:
            raise PermissionError

    @handlers.on(int)
    async def count(message: Message[int]) -> AsyncIterator[int]:
        yield message.body

    assert [item async for item in handlers(Message(1))] == []
    with pytest.raises(PermissionError):
        [item async for item in handlers(Message(2))]


async def test_a_stream_that_no_handler_itself_makes_is_told(handlers: Handlers) -> None:
    async def count(message: Message[int]) -> AsyncIterator[int]:
        yield message.body

    handlers.on(int)(lambda message: count(message))
    handlers.use(noting([], "a"))
    with pytest.raises(TypeError, match="an async generator that is itself the handler"):
        await handlers(Message(1))


# Tables within tables


def test_an_included_table_gives_its_handlers_and_its_default(handlers: Handlers) -> None:
    other = Handlers()
    other.on(str, 7)(lambda message: "other")
    other.default(lambda message: "default")
    handlers.on(int)(lambda message: "own")
    handlers.include(other)
    assert [handlers(Message(body)) for body in (1, "x", b"")] == ["own", "other", "default"]
    assert handlers(Message(b"", 7)) == "other"
    assert handlers.names == ("int", "str", "type id 7")
    assert other(Message("x")) == "other", "it goes on to be a handler by itself"


async def test_what_is_around_an_included_table_is_inside_what_is_around_its_owner(
    handlers: Handlers, log: list[Any]
) -> None:
    other = Handlers()
    other.on(int)(lambda message: log.append(message.body))
    other.use(noting(log, "other"))
    handlers.on(str)(lambda message: log.append(message.body))
    handlers.include(other)
    handlers.use(noting(log, "all"))
    await handlers(Message(1))
    assert log == ["all begins", "other begins", 1, "other ends", "all ends"]
    log.clear()
    await handlers(Message("x"))
    assert log == ["all begins", "x", "all ends"]


@pytest.mark.parametrize("key", [str, 7])
def test_two_tables_with_the_same_are_refused_and_nothing_is_taken_over(
    handlers: Handlers, key: Any
) -> None:
    handlers.on(key)(print)
    other = Handlers()
    other.on(int)(print)
    other.on(key)(print)
    with pytest.raises(ValueError, match="has a handler already"):
        handlers.include(other)
    assert handlers.names == (("str",) if key is str else ("type id 7",))
    other.on(bytes)(print)  # it is not included, and so may grow


def test_two_defaults_are_refused(handlers: Handlers) -> None:
    other = Handlers()
    for each in (handlers, other):
        each.default(print)
    with pytest.raises(ValueError, match="there is a default handler already"):
        handlers.include(other)
    with pytest.raises(ValueError, match="cannot include itself"):
        handlers.include(handlers)


def test_who_adds_to_a_table_that_is_included_is_told(handlers: Handlers) -> None:
    other = Handlers()
    other.on(int)(print)
    early = other.on(bytes)
    handlers.include(other)
    third = Handlers()
    for add in (
        lambda: other.on(str),
        lambda: early(print),
        lambda: other.default(print),
        lambda: other.use(noting([], "a")),
        lambda: other.include(third),
    ):
        with pytest.raises(StateError, match="<Handlers for int> is included in another table"):
            add()
    handlers.on(str)(print)
    third.include(other)  # it may be included again
