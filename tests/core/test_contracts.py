"""What handlers and components say of what they exchange."""

import typing
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine
from functools import partial
from typing import Any

import pytest

from gestalt.core import Call, Component, Handlers, Message, MessageBatch, handles
from gestalt.core.contracts import (
    Channel,
    ContractError,
    Note,
    Operation,
    Received,
    describes,
    note,
    note_of,
    read,
    received_by,
)


class A: ...


class B: ...


def one(message: Message[A]) -> B:
    """Handles one."""
    raise NotImplementedError


async def either(message: Message[A | B]) -> None: ...


async def batch(messages: MessageBatch[Message[A]]) -> None: ...


async def stream(message: Message[A]) -> AsyncGenerator[B, None]:
    yield B()


def iterator(message: "Message[A]") -> "AsyncIterator[A | B]":
    raise NotImplementedError


def parts(message: Message[A] | MessageBatch[Message[B]]) -> Awaitable[A]:
    raise NotImplementedError


def partly(message: Message[A] | int) -> Coroutine[Any, Any, B | Any]:
    raise NotImplementedError


def bare(message: Message[A]) -> AsyncIterator:  # type: ignore[type-arg]
    raise NotImplementedError


def old(message: Message[A]) -> typing.AsyncIterator:  # type: ignore[type-arg]
    raise NotImplementedError


def later(message: Message[A]) -> typing.Awaitable:  # type: ignore[type-arg]
    raise NotImplementedError


def anything(message: Message[Any]) -> Any: ...


def unknown(message: "Message[Nowhere]") -> A: ...  # type: ignore[name-defined] # noqa: F821


def third(first: int, second: int, message: Message[B]) -> None: ...


class Callable:
    def __call__(self, message: Message[B]) -> A:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("handler", "keys", "replies", "streamed"),
    [
        (one, (A,), (B,), False),
        (either, (A, B), (), False),
        (batch, (A,), (), False),
        (stream, (A,), (B,), True),
        (iterator, (A,), (A, B), True),
        (parts, (A, B), (A,), False),
        (partly, None, None, False),
        (bare, (A,), None, True),
        (old, (A,), None, True),
        (later, (A,), None, False),
        (anything, None, None, False),
        (unknown, None, None, False),
        (partial(third, 1, second=2), (B,), (), False),
        (Callable(), (B,), (A,), False),
        (print, None, None, False),
        (lambda message: None, None, None, False),
    ],
)
def test_a_function_says_by_its_annotations_what_it_takes_and_gives(
    handler: Any, keys: Any, replies: Any, streamed: bool
) -> None:
    (received,) = received_by(handler)
    assert (received.keys, received.replies, received.streamed) == (keys, replies, streamed)


def test_a_table_says_it_by_what_its_functions_are_registered_for() -> None:
    class Owner:
        @handles(A)
        def it(self, message: Message[A]) -> B:
            """Of a class."""
            raise NotImplementedError

    inner = Handlers(of=Owner())
    inner.on(B, 7)(either)

    @inner.use
    async def around(message: Message[Any], call: Call) -> Any:
        return await call(message)

    outer = Handlers()
    outer.include(inner)
    outer.default(print)
    assert received_by(outer) == [
        Received(keys=(A,), replies=(B,), description="Of a class."),
        Received(keys=(B, 7), replies=()),
        Received(keys=None),
    ]


class Base(Component):
    async def _open(self) -> None: ...

    async def _close(self) -> None: ...

    @describes
    def _first(self) -> Any:
        yield Operation(action="send", name="first", channel=Channel(name="x"))


class Derived(Base):
    @describes
    def _first(self) -> Any:
        yield Operation(action="send", name="second", channel=Channel(name="x"))


def test_base_classes_describe_as_well_whatever_their_methods_are_called() -> None:
    assert [each.name for each in read(Derived())] == ["first", "second"]


def test_what_cannot_be_told_is_an_error_and_names_the_component() -> None:
    class Wrong(Base):
        @describes
        def _wrong(self) -> Any:
            yield "secret"

    with pytest.raises(ContractError, match=r"'it', a Wrong, .*an Operation is needed") as caught:
        read(Wrong(name="it"))
    assert "secret" not in str(caught.value)


def test_a_note_belongs_to_one_object_and_dies_with_it() -> None:
    owner, other = Base(), Base()
    note(owner, sends=[A], keys="a.*", title="It")
    assert note_of(owner) == Note(sends=(A,), keys=("a.*",), title="It")
    assert note_of(other) == Note()
