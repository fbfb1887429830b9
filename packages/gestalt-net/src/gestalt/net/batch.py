"""Messages that were received together, for a handler that takes many at a time."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from gestalt.core import HandlerNotFound, Handlers, Message, MessageBatch
from gestalt.core.numbers import kind_of

T_co = TypeVar("T_co", covariant=True)

MOST = 1024
"""How many messages a batch has at most."""


class ReceivedBatch(MessageBatch[T_co]):
    """A batch of which the bodies are there, and messages are made when they are asked for.

    Args:
        bodies: the decoded payloads, at least one.
        type_ids: gives the type identifier of each.
    """

    __slots__ = ("_bodies", "_type_ids")

    def __init__(
        self, bodies: Sequence[T_co], type_ids: Callable[[], Sequence[int | None]]
    ) -> None:
        super().__init__(())
        self._bodies = bodies
        self._type_ids = type_ids

    @property
    @abstractmethod
    def _all(self) -> Sequence[Message[T_co]]:
        """The messages, made when one of them is asked for."""

    def __len__(self) -> int:
        return len(self._bodies)

    @property
    def bodies(self) -> list[T_co]:
        return list(self._bodies)

    @property
    def type_ids(self) -> list[int | None]:
        return list(self._type_ids())

    def fail(self, message: Message[Any], error: BaseException) -> None:
        # The base looks for it among the messages.
        _ = self._all
        super().fail(message, error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)}>"


def listed(messages: Iterable[Any]) -> list[Any]:
    """The messages as they are now: nobody's list is looked at again while somebody waits.

    Raises:
        TypeError: it is a single one, whose items are none.
    """
    if isinstance(messages, bytes | bytearray | memoryview | str):
        raise TypeError(f"this takes several messages, got one: {type(messages).__name__}")
    return list(messages)


def listed_in_turn(messages: Iterable[Any]) -> tuple[Iterator[list[Any]], str]:
    """The messages in lists, and of how many they are, as errors tell it.

    What an iterator gives is taken when it is its turn: it may have no end.

    Raises:
        TypeError: as `listed` does.
    """
    if isinstance(messages, Iterator):
        return _taken_from(messages), ""
    values = listed(messages)
    return iter([values] if values else []), f" of {len(values)}"


def _taken_from(messages: Iterator[Any]) -> Iterator[list[Any]]:
    while True:
        values: list[Any] = []
        try:
            # What it has given before it raises is in the list.
            values.extend(islice(messages, MOST))
        except Exception:
            if values:
                yield values
            raise
        if not values:
            return
        yield values


def check_batch_handler(handler: object, other: object, key: object) -> None:
    """Look at an `on_messages` beside what it excludes.

    Raises:
        ValueError: there is an `on_message` or a `key`, too.
        TypeError: it is a table, which chooses by the type of one message, or no function.
    """
    if handler is None:
        return
    if other is not None:
        raise ValueError("on_messages= and on_message= exclude each other")
    if key is not None:
        raise ValueError(
            "on_messages= and key= exclude each other: a batch has messages of many keys"
        )
    if isinstance(handler, Handlers):
        raise TypeError(
            "on_messages is one function, which takes a MessageBatch: "
            "Handlers choose by the type of one message"
        )
    if not callable(handler):
        raise TypeError(f"on_messages is a function of a MessageBatch, got {kind_of(handler)}")


def is_sender_of_batch_at_fault(error: BaseException, batch: MessageBatch[Any]) -> bool:
    """Whether whoever sent `batch`, or one message of it, is at fault, not its handler."""
    if not isinstance(error, HandlerNotFound):
        return False
    return error.message is None or any(each is error.message for each in batch)
