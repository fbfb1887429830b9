"""Many messages to one address by one call."""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from gestalt.net.accepted import ACCEPTED
from gestalt.net.address import Address
from gestalt.net.batch import listed_in_turn
from gestalt.net.errors import SendFailed, SendIncomplete

from .batch import DatagramBatch
from .sender import DatagramSender


class ManySender:
    """Sends many messages by one call."""

    _sender: DatagramSender
    _encode: Callable[..., bytes]

    def batch(self, *, to: Address | str | None = None) -> DatagramBatch:
        """Send many messages to one address, several times as fast where they have one size.

            async with endpoint.batch() as batch:
                for reading in readings:
                    await batch.send(reading)

        Up to 64 of one size wait for each other, and Linux takes them by one call. They leave in
        order, the last ones at the end of the block; other sends may overtake them. A block that
        raises sends what waits if the system has room for it at once.

        Leaving the block raises SendFailed when the system refused any of them; all others were
        sent.

        Args:
            to: whom to send them to; by default the `peer`. A name is looked up at the beginning.
        """
        return DatagramBatch(self._sender, self._encode, to)

    async def send_many(
        self, bodies: Iterable[Any], type_id: int | None = None, *, to: Address | str | None = None
    ) -> None:
        """Send messages in order, to one address: those of one size several at a time.

        It does what `batch` does, by one call.

        Args:
            bodies: as in `send`. An iterator may be endless: it is asked for 1,024 at a time.
            type_id: as in `send`, for all of them.
            to: whom to send them to; by default the `peer`. A name is looked up once.

        Raises:
            SendIncomplete: not all of them were sent. It says how many were, and its cause is what
                `send` would have raised, or what the iterator raised; where that is a SendFailed,
                the system has refused some, and was given all others.
            TypeError: `bodies` is a single message.
        """
        lists, of_all = listed_in_turn(bodies)
        await _send_many(self.batch(to=to), chain.from_iterable(lists), type_id, of_all)


async def _send_many(
    batch: DatagramBatch, values: Iterable[Any], type_id: int | None, of_all: str
) -> None:
    """Send messages in order, and wait whenever the system has no room for them.

    Raises:
        SendIncomplete: not all of them were sent.
    """
    send = batch.send
    failure: Exception | None = None
    try:
        async with batch:
            try:
                for value in values:
                    waiting = send(value, type_id)
                    if waiting is not ACCEPTED:
                        await waiting
            except Exception as error:
                # Those before it wait in the batch: leaving it by an error might drop them.
                failure = error
    except Exception as error:
        failure = failure or error
    except BaseException as error:
        error.add_note(f"{batch.sent}{of_all} messages were sent")
        raise
    if failure is not None:
        told = str(failure)
        if not isinstance(failure, SendFailed):
            told = f"{batch.sent}{of_all} messages were sent: {told}"
        raise SendIncomplete(told, batch.sent) from failure
