"""Messages that are handled together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from .message import Message
from .numbers import check_seconds, kind_of

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Batch:
    """How messages are gathered for a handler that takes many at a time.

    Args:
        size: how many there are in a batch at most.
        within: how long, in seconds, the first of them waits for others at most.

    Raises:
        TypeError: an argument is no number.
        ValueError: an argument is out of its range.
    """

    size: int = 100
    within: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int):
            raise TypeError(f"size must be an int, got {kind_of(self.size)}")
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        check_seconds("within", self.within, finite=True)


class MessageBatch(Generic[T_co]):
    """Messages in the order in which they came, for a handler that takes many at a time.

    When the handler returns, those that it has not called `fail` for are handled.

    Args:
        messages: at least one.
    """

    __slots__ = ("_failures", "_indices", "_messages")

    def __init__(self, messages: Sequence[Message[T_co]]) -> None:
        self._messages = messages
        self._failures: dict[int, BaseException] = {}
        # By the identity of each message, once one of them has failed.
        self._indices: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message[T_co]]:
        return iter(self._messages)

    def __getitem__(self, index: int) -> Message[T_co]:
        return self._messages[index]

    @property
    def bodies(self) -> list[T_co]:
        """The decoded payloads."""
        return [message.body for message in self._messages]

    @property
    def type_ids(self) -> list[int | None]:
        """The type identifiers, None for each message that has none."""
        return [message.type_id for message in self._messages]

    @property
    def sources(self) -> list[Any]:
        """Where each came from: peers, addresses or routing keys."""
        return [message.source for message in self._messages]

    @property
    def source(self) -> Any:
        """Where all of them came from; None where that is not one and the same."""
        first = self._messages[0].source
        return first if all(message.source == first for message in self._messages) else None

    def fail(self, message: Message[Any], error: BaseException) -> None:
        """Say that one message of the batch could not be handled; the others are not concerned.

        It goes the way that it would have gone if its handler had raised `error`, which may be a
        `Park`, `RetryLater` or `Discard`. Of several calls for one message the last one counts.

        Raises:
            LookupError: the message is not of this batch.
            TypeError: `error` is no exception.
        """
        if not isinstance(error, BaseException):
            raise TypeError(f"a message fails by an exception, got {kind_of(error)}")
        if not self._indices:
            self._indices = {id(each): index for index, each in enumerate(self._messages)}
        index = self._indices.get(id(message))
        if index is None:
            raise LookupError(f"{kind_of(message)} is not of this batch")
        self._failures[index] = error

    @property
    def failures(self) -> Mapping[int, BaseException]:
        """The errors of those that failed, by their index in the batch."""
        return MappingProxyType(self._failures)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._messages)}>"
