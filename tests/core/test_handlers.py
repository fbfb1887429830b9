import inspect
from dataclasses import dataclass
from typing import Any

import pytest

from gestalt.core import GestaltError, HandlerNotFound, Handlers, Message, ReplyNotPossible


@dataclass
class Position:
    lat: float
    lon: float


@dataclass
class Fix(Position):
    satellites: int


class Unrelated: ...


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


def test_a_message_goes_to_the_handler_of_its_class(handlers: Handlers) -> None:
    @handlers.on(Position)
    def track(message: Message[Position]) -> float:
        return message.body.lat

    @handlers.on(Unrelated)
    def other(message: Message[Unrelated]) -> None:
        raise AssertionError

    assert handlers(Message(Position(1.5, 2.5))) == 1.5
    assert track(Message(Position(3, 4))) == 3


def test_a_message_goes_to_the_handler_of_its_nearest_base_class(handlers: Handlers) -> None:
    handlers.on(Position)(lambda message: "position")
    assert handlers(Message(Fix(1, 2, 3))) == "position"
    handlers.on(Fix)(lambda message: "fix")
    assert handlers(Message(Fix(1, 2, 3))) == "fix"
    assert handlers(Message(Position(1, 2))) == "position"


def test_a_type_identifier_is_more_specific_than_a_class(handlers: Handlers) -> None:
    handlers.on(bytes)(lambda message: "bytes")
    handlers.on(7)(lambda message: "seven")
    assert handlers(Message(b"x", type_id=7)) == "seven"
    assert handlers(Message(b"x", type_id=8)) == "bytes"
    assert handlers(Message(b"x")) == "bytes"


def test_one_handler_may_take_several_types(handlers: Handlers) -> None:
    handlers.on(Position, 7)(lambda message: "both")
    assert handlers(Message(Position(1, 2))) == "both"
    assert handlers(Message(b"", type_id=7)) == "both"


def test_the_default_takes_what_no_other_handler_takes(handlers: Handlers) -> None:
    assert handlers.default(repr) is repr
    handlers.on(Position)(lambda message: "position")
    assert handlers(Message(None)) == "<Message of NoneType, type_id=None, source=None>"
    assert handlers(Message(Position(1, 2))) == "position"


def test_a_message_without_a_handler_is_an_error_that_names_it(handlers: Handlers) -> None:
    handlers.on(Position, 9)(repr)
    with pytest.raises(HandlerNotFound) as caught:
        handlers(Message("text", type_id=4))
    assert str(caught.value) == (
        "no handler for a str with type id 4: <Handlers for Position, type id 9>"
    )
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, GestaltError)


def test_a_handler_added_after_a_failed_lookup_is_found(handlers: Handlers) -> None:
    with pytest.raises(HandlerNotFound):
        handlers(Message("text"))
    handlers.on(str)(lambda message: message.body)
    assert handlers(Message("text")) == "text"


def test_a_key_error_inside_a_handler_is_not_taken_for_a_missing_handler(
    handlers: Handlers,
) -> None:
    @handlers.on(str)
    def broken(message: Message[str]) -> Any:
        return {}[message.body]

    with pytest.raises(KeyError, match="text"):
        handlers(Message("text"))


async def test_an_async_handler_gives_its_awaitable(handlers: Handlers) -> None:
    @handlers.on(int)
    async def double(message: Message[int]) -> int:
        return 2 * message.body

    result = handlers(Message(21))
    assert inspect.isawaitable(result)
    assert await result == 42


def test_a_second_handler_for_a_type_is_refused(handlers: Handlers) -> None:
    handlers.on(Position, 7)(repr)
    handlers.default(repr)
    with pytest.raises(ValueError, match="Position has a handler already"):
        handlers.on(Position)
    with pytest.raises(ValueError, match="type id 7 has a handler already"):
        handlers.on(7)
    with pytest.raises(ValueError, match="there is a default handler already"):
        handlers.default(repr)


@pytest.mark.parametrize("key", ["Position", None, 1.5, True, list[int]])
def test_what_is_neither_a_class_nor_an_identifier_is_refused(handlers: Handlers, key: Any) -> None:
    with pytest.raises(TypeError, match="neither a message class nor a type identifier"):
        handlers.on(key)


def test_on_without_types_is_refused(handlers: Handlers) -> None:
    with pytest.raises(TypeError, match="at least one"):
        handlers.on()


async def test_a_message_without_a_transport_cannot_be_answered() -> None:
    with pytest.raises(ReplyNotPossible, match=r"<Message of str, type_id=3, source='peer'>"):
        await Message("hello", 3, "peer").reply("answer")


def test_the_repr_of_a_long_message_is_short() -> None:
    assert len(repr(Message("x" * 10_000))) < 150


def test_what_cannot_be_called_is_no_handler() -> None:
    with pytest.raises(TypeError, match="a handler is a function of a message, got an object of"):
        Handlers().on(int)("print")  # type: ignore[arg-type]
