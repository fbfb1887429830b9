"""Many messages by one call: encoded in one loop, and joined once."""

from collections.abc import Iterable
from typing import Any, Protocol

from gestalt.net.batch import listed_in_turn
from gestalt.net.errors import SendIncomplete
from gestalt.net.framings import TypeIds
from gestalt.net.wire import Wire

TOGETHER = 1024
"""How many messages are encoded together, at most."""

FIRST = 64
"""How many, before it is known how large their payloads are."""


class Sink(Protocol):
    """Takes frames that are already joined."""

    async def space(self) -> int:
        """Wait until there is room for much, and give how many bytes that is."""

    def write_many(self, data: bytes, count: int) -> None:
        """Take so many frames."""


class Writer(Protocol):
    """Knows where frames go."""

    async def ready(self) -> Sink:
        """Wait until there are a connection and room, and give what takes the frames."""


async def send_many(
    writer: Writer, wire: Wire, messages: Iterable[Any], type_id: int | None
) -> None:
    """Send messages in order, and wait whenever the other end is too slow to take them.

    Args:
        writer: where they go.
        wire: how they cross the socket.
        messages: what the codec of the wire takes; without a codec, bytes.
        type_id: as in `send`, for all of them.

    Raises:
        SendIncomplete: not all of them were accepted.
        TypeError: `messages` is a single one.
    """
    lists, of_all = listed_in_turn(messages)
    accepted = 0
    sink: Sink | None = None
    try:
        for values in lists:
            sink = sink or await writer.ready()
            batch = Encoding(wire, values, type_id)
            end = accepted + len(values)
            while accepted < end:
                data, count = batch.take(await sink.space())
                sink.write_many(data, count)
                accepted += count
    except Exception as error:
        text = f"{accepted}{of_all} messages were accepted: {error}"
        raise SendIncomplete(text, accepted) from error
    except BaseException as error:
        error.add_note(f"{accepted}{of_all} messages were accepted")
        raise


class Encoding:
    """Makes frames of messages, as many at a time as there is room for.

    What is encoded ahead is bounded: about as many as had room the last time.
    """

    __slots__ = (
        "_begin",
        "_failure",
        "_payloads",
        "_several",
        "_type_id",
        "_type_ids",
        "_values",
        "_wire",
    )

    def __init__(self, wire: Wire, values: list[Any], type_id: int | None) -> None:
        self._wire = wire
        self._values = values
        self._type_id = type_id
        # The next one to encode, and how many to encode at once.
        self._begin = 0
        self._several = FIRST if wire.decode else TOGETHER
        self._payloads: list[bytes] = []
        self._type_ids: TypeIds = None
        self._failure: Exception | None = None

    def take(self, room: int) -> tuple[bytes, int]:
        """The next frames that fit into `room` bytes, at least one, and how many they are.

        Raises:
            Exception: what `Wire.encode` raises for the next message.
        """
        if self._wire.singly:
            frame = self._wire.encode(self._values[self._begin], self._type_id)
            self._begin += 1
            return frame, 1
        if not self._payloads:
            self._encode()
        payloads = self._payloads
        data, count = self._joined(payloads, room)
        left = payloads[count:] if count < len(payloads) else []
        if self._wire.decode is None:
            # They are the values as they were given: no work is lost, and the next ones are more.
            self._begin -= len(left)
            left = []
        else:
            self._several = min(TOGETHER, 2 * count)
        if left and isinstance(self._type_ids, list):
            self._type_ids = self._type_ids[count:]
        self._payloads = left
        return data, count

    def _joined(self, payloads: list[bytes], room: int) -> tuple[bytes, int]:
        """The frames of those that fit, before the first one that cannot be framed."""
        while True:
            try:
                return self._wire.framing.encode_many(payloads, self._type_ids, room)
            except Exception:
                if len(payloads) == 1:
                    raise
                payloads = payloads[: len(payloads) // 2]

    def _encode(self) -> None:
        if self._failure is None:
            some = self._values
            if self._begin or len(some) > self._several:
                some = some[self._begin : self._begin + self._several]
            self._begin += len(some)
            self._payloads, self._type_ids, self._failure = self._wire.payloads_of(
                some, self._type_id
            )
        if self._failure is not None and not self._payloads:
            raise self._failure
