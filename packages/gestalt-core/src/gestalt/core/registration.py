"""What type checkers are to say of a handler that is registered for classes of messages."""

from collections.abc import Callable
from typing import Protocol, TypeVar, overload

from .message import Message, TransportMessage

B = TypeVar("B")
M = TypeVar("M", bound=TransportMessage)
R = TypeVar("R")
S = TypeVar("S")


class Registration(Protocol[B]):
    """Takes a function of a message whose body is a `B`, and gives it back.

    A function of `Message[B]`, or of one of a base class, or of the messages of one transport:
    there no type checker can compare the classes of the bodies.
    """

    @overload
    def __call__(self, handler: Callable[[Message[B]], R], /) -> Callable[[Message[B]], R]: ...
    @overload
    def __call__(self, handler: Callable[[M], R], /) -> Callable[[M], R]: ...


class MethodRegistration(Protocol[B]):
    """As Registration, for methods."""

    @overload
    def __call__(
        self, handler: Callable[[S, Message[B]], R], /
    ) -> Callable[[S, Message[B]], R]: ...
    @overload
    def __call__(self, handler: Callable[[S, M], R], /) -> Callable[[S, M], R]: ...
