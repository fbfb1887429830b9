"""Many messages to one address by one call."""

from collections.abc import Callable, Iterable
from typing import Any

from gestalt.net.accepted import ACCEPTED
from gestalt.net.address import Address
from gestalt.net.batch import listed
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
            bodies: as in `send`.
            type_id: as in `send`, for all of them.
            to: whom to send them to; by default the `peer`. A name is looked up once.

        Raises:
            SendIncomplete: not all of them were sent. It says how many were, and its cause is what
                `send` would have raised; where that is a SendFailed, the system has refused some,
                and was given all others.
            TypeError: `bodies` is a single message.
        """
        await _send_many(self.batch(to=to), listed(bodies), type_id)


async def _send_many(batch: DatagramBatch, values: list[Any], type_id: int | None) -> None:
    """Send messages in order, and wait whenever the system has no room for them.

    Raises:
        SendIncomplete: not all of them were sent.
    """
    accepted = 0
    send = batch.send
    try:
        async with batch:
            for value in values:
                waiting = send(value, type_id)
                if waiting is not ACCEPTED:
                    await waiting
                accepted += 1
    except SendFailed as error:
        raise SendIncomplete(str(error), accepted - batch.refused) from error
    except Exception as error:
        raise SendIncomplete(
            f"{accepted} of {len(values)} messages were sent: {error}", accepted
        ) from error
    except BaseException as error:
        error.add_note(f"{accepted} of {len(values)} messages were sent, or wait to be")
        raise
