"""What goes wrong at a datagram endpoint, and does not end it: counted by its cause, and told."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gestalt.core import Discard, HandlerNotFound
from gestalt.core.telling import said_by
from gestalt.net.address import Address
from gestalt.net.errors import (
    FrameTooLarge,
    FramingError,
    IncompleteFrame,
    NetError,
    handler_error,
)
from gestalt.net.reporting import is_sender_at_fault

from .errors import DatagramDropped, PeerUnreachable
from .message import DatagramMessage
from .message_batch import DatagramMessageBatch
from .stats import DatagramStats


class DatagramFailures:
    """Counts failures, and tells of them.

    Args:
        stats: where they are counted.
        tell: takes each as the error that `on_error` is given.
    """

    __slots__ = ("_stats", "_tell")

    def __init__(self, stats: DatagramStats, tell: Callable[[NetError], None]) -> None:
        self._stats = stats
        self._tell = tell

    def drop(self, source: Address, error: BaseException) -> None:
        """A datagram is no message, or none that a handler takes, because of `error`."""
        counter = _counter(error)
        setattr(self._stats, counter, getattr(self._stats, counter) + 1)
        dropped = DatagramDropped(f"a datagram from {source} was dropped: {error}", source)
        dropped.__cause__ = error
        self._tell(dropped)

    def handler_failed(self, error: BaseException, message: DatagramMessage[object]) -> None:
        """A handler raised `error`; whoever sent the message may be at fault."""
        if is_sender_at_fault(error, message):
            self.drop(message.source, error)
            return
        self._failed(error, message, 1)

    def batch_failed(self, error: BaseException, batch: DatagramMessageBatch[Any]) -> None:
        """A handler of batches raised `error`; whoever sent a message may be at fault.

        The others of the batch have failed then, too: the handler has not come to all of them.
        """
        if isinstance(error, HandlerNotFound) and error.message is not None:
            # Its sender is told of when the batch is settled. It may not be of this batch.
            with suppress(LookupError):
                batch.fail(error.message, error)
            if len(batch.failures) == len(batch):
                return
        self._failed(error, batch, len(batch) - len(batch.failures))

    def settle(self, batch: DatagramMessageBatch[Any]) -> None:
        """Tell of the messages that the handler of a batch has failed."""
        for index, error in batch.failures.items():
            self.handler_failed(error, batch[index])

    def unreachable(self, where: Address, error: OSError) -> None:
        """A host has answered that nobody receives at `where`."""
        self._stats.unreachable += 1
        failure = PeerUnreachable(f"{where} does not receive: {error.strerror}", where)
        failure.__cause__ = error
        self._tell(failure)

    def _failed(
        self,
        error: BaseException,
        handled: DatagramMessage[object] | DatagramMessageBatch[Any],
        count: int,
    ) -> None:
        if isinstance(error, Discard):
            self._stats.discarded += count
            return
        text = f"the handler of {handled!r} raised {said_by(error)}"
        failure = handler_error(text, handled.source, handled)
        failure.__cause__ = error
        self._stats.handler_errors += 1
        self._stats.failed += count
        self._tell(failure)


def _counter(error: BaseException) -> str:
    """The counter of datagrams that are dropped because of such an error."""
    if isinstance(error, IncompleteFrame):
        return "truncated"
    if isinstance(error, FrameTooLarge):
        return "too_large"
    if isinstance(error, FramingError):
        return "malformed"
    if isinstance(error, HandlerNotFound):
        return "unhandled"
    from gestalt.codecs import ContentNotAllowed

    return "disallowed" if isinstance(error, ContentNotAllowed) else "undecodable"
