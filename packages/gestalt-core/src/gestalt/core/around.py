"""Functions around handlers: each is called with a message, and calls what is inside it."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing
from functools import partial, update_wrapper
from inspect import isasyncgenfunction
from typing import Any, TypeAlias

from .calling import is_awaitable, name_of
from .message import Message

Call: TypeAlias = Callable[[Message[Any]], Awaitable[Any]]
"""What is inside: to be called with the message, or another in its place, and awaited."""

Around: TypeAlias = Callable[[Message[Any], Call], Awaitable[Any]]
"""`async def around(message, call)`: what it returns is what the handler would have returned."""


def surround(handler: Callable[[Any], Any], arounds: Sequence[Around]) -> Callable[[Any], Any]:
    """Put functions around a handler, the first of them outermost; with none, it is as it was.

    Args:
        handler: a plain or an async function of a message, or an async generator of replies.
        arounds: async functions of a message and what is inside.

    Returns:
        What has the name, the docstring and the annotations of the handler.
    """
    if not arounds:
        return handler
    if isasyncgenfunction(handler):
        stream = handler
        for around in reversed(arounds):
            stream = _stream_around(around, stream)
        return update_wrapper(stream, handler)
    call = _awaited(handler)
    for around in reversed(arounds):
        call = _call_around(around, call)
    return update_wrapper(call, handler)


def _awaited(handler: Callable[[Any], Any]) -> Call:
    async def call(message: Message[Any]) -> Any:
        result = handler(message)
        if is_awaitable(result):
            return await result
        if isinstance(result, AsyncIterable):
            raise TypeError(
                f"{name_of(handler)} has functions around it and returned {type(result).__name__}: "
                "replies are streamed by an async generator that is itself the handler"
            )
        return result

    return call


def _call_around(around: Around, call: Call) -> Call:
    # Not by `partial`, which is slower to call with an argument behind.
    def surrounded(message: Message[Any]) -> Awaitable[Any]:
        return around(message, call)

    return surrounded


def _stream_around(
    around: Around, stream: Callable[[Any], AsyncGenerator[Any, None]]
) -> Callable[[Message[Any]], AsyncGenerator[Any, None]]:
    """A stream that `around` is around from its first item to its end.

    It runs in the task that reads the stream, a part of it before and a part after; what it awaits
    besides the stream is awaited here on its behalf.
    """

    async def surrounded(message: Message[Any]) -> AsyncGenerator[Any, None]:
        running: Any = around(message, _Turn)
        step = partial(running.send, None)
        try:
            while True:
                try:
                    awaited = step()
                except StopIteration:
                    return
                result = None
                try:
                    if type(awaited) is _Turn:
                        async with aclosing(stream(awaited.message)) as items:
                            async for item in items:
                                yield item
                    else:
                        result = await _Passed(awaited)
                except BaseException as error:
                    step = partial(running.throw, error)
                else:
                    step = partial(running.send, result)
        finally:
            running.close()

    return surrounded


class _Turn:
    """Awaited in place of a handler: it is the turn of the stream, until that ends."""

    def __init__(self, message: Message[Any]) -> None:
        self.message = message

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self)


class _Passed:
    """Awaits what a coroutine that is run by hand has asked the event loop for."""

    def __init__(self, awaited: Any) -> None:
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self._awaited)
