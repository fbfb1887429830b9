"""Methods of a class as handlers."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from gestalt.core import HandlerNotFound, Handlers, Message, handles


class Tracker:
    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def costly(self) -> None:
        raise AssertionError("a property is not looked at")

    @handles(int, 7)
    def track(self, message: Message[int]) -> str:
        return f"{self.name} tracks {message.body}"

    @handles(str)
    async def read(self, message: Message[str]) -> str:
        return f"{self.name} reads {message.body}"

    @handles(default=True)
    def other(self, message: Message[Any]) -> str:
        return f"{self.name} has other"

    def helper(self, message: Message[Any]) -> None:
        raise AssertionError


async def test_decorated_methods_handle_messages_with_what_their_object_has() -> None:
    first, second = Tracker("first"), Tracker("second")
    handlers = Handlers(of=first)
    assert handlers(Message(1)) == "first tracks 1"
    assert handlers(Message(b"", 7)) == "first tracks b''"
    assert await handlers(Message("x")) == "first reads x"
    assert handlers(Message(None)) == "first has other"
    assert handlers.names == ("int", "str", "type id 7")
    assert Handlers(of=second)(Message(1)) == "second tracks 1"
    assert first.track(Message(2)) == "first tracks 2"


def test_more_handlers_may_be_added() -> None:
    handlers = Handlers(of=Tracker("a"))
    handlers.on(bytes)(lambda message: "bytes")
    assert handlers(Message(b"")) == "bytes"
    with pytest.raises(ValueError, match="int has a handler already"):
        handlers.on(int)


def test_a_method_that_overrides_one_takes_its_messages() -> None:
    class Louder(Tracker):
        def track(self, message: Message[int]) -> str:
            return super().track(message).upper()

    assert Handlers(of=Louder("a"))(Message(1)) == "A TRACKS 1"


def test_a_method_that_overrides_one_may_take_others_or_none() -> None:
    class Other(Tracker):
        @handles(bytes)
        def track(self, message: Message[Any]) -> str:
            return "bytes"

        other: Any = None

    handlers = Handlers(of=Other("a"))
    assert handlers(Message(b"")) == "bytes"
    with pytest.raises(HandlerNotFound):
        handlers(Message(1))


def test_two_methods_for_the_same_are_refused_also_where_one_is_inherited() -> None:
    class Twice(Tracker):
        @handles(int)
        def count(self, message: Message[int]) -> None: ...

    with pytest.raises(ValueError, match="int has a handler already"):
        Handlers(of=Twice("a"))


def test_methods_of_mixins_static_methods_and_what_is_wrapped_are_found() -> None:
    def upper(method: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(method)
        def call(*args: Any) -> str:
            return method(*args).upper()

        return call

    class Mixin:
        @staticmethod
        @handles(bytes)
        def static(message: Message[bytes]) -> str:
            return "static"

        @classmethod
        @handles(float)
        def of_class(cls, message: Message[float]) -> str:
            return cls.__name__

        @upper
        @handles(list)
        def wrapped(self, message: Message[Any]) -> str:
            return "wrapped"

    class Both(Mixin, Tracker): ...

    handlers = Handlers(of=Both("a"))
    bodies = (b"", 1.5, [], 1)
    assert [handlers(Message(body)) for body in bodies] == [
        "static",
        "Both",
        "WRAPPED",
        "a tracks 1",
    ]


def test_an_object_without_such_methods_and_a_class_are_refused() -> None:
    with pytest.raises(ValueError, match="object has no methods that handle messages: decorate"):
        Handlers(of=object())
    with pytest.raises(TypeError, match="takes an object, got the class Tracker"):
        Handlers(of=Tracker)


def test_what_is_no_type_is_refused_where_the_method_is_defined() -> None:
    with pytest.raises(TypeError, match="neither a message class nor a type identifier"):
        handles("Position")  # type: ignore[call-overload]  # what the test is about
    with pytest.raises(TypeError, match=r"handles\(\) takes at least one message class"):
        handles()
    with pytest.raises(ValueError, match="handles certain types, or is the default: not both"):
        handles(int, default=True)  # type: ignore[call-overload]  # what the test is about
