"""Messages, confirms and answers to a client, straight from the bytes of its connection.

It takes what comes for every message, each to its channel, and leaves all other frames to whoever
reads them method by method. Layouts: AMQP 0-9-1 specification, with RabbitMQ's basic.nack.
"""

import struct
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Protocol, cast

from .delivery import Delivery, Got
from .errors import FieldError, WireError
from .frames import (
    BODY,
    FRAME_END,
    FRAME_OVERHEAD,
    FRAME_START,
    HEADER,
    HEARTBEAT,
    METHOD,
    FrameBuffer,
    PartialBody,
)
from .properties import BASIC_CLASS, CONTENT_HEADER, Properties, decode_properties
from .strings import decode_short_string

_KINDS = frozenset({METHOD, HEADER, BODY, HEARTBEAT})
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
# What a basic.ack takes, of which there are as many as messages: less than any delivery.
_SETTLE_SIZE = 13
_TAG = struct.Struct(">QB")
# A header frame up to its properties: the frame's start, then the class, the weight, the size.
_CONTENT_START = struct.Struct(">BHIHHQ")

# The class and the method number, as one number. The classes of `methods` are not needed for them.
_PUBLISH = BASIC_CLASS << 16 | 40
_DELIVER = BASIC_CLASS << 16 | 60
_DELIVER_BYTES = _U32.pack(_DELIVER)
_RETURN = BASIC_CLASS << 16 | 50
_GET_OK = BASIC_CLASS << 16 | 71
_GET_EMPTY = BASIC_CLASS << 16 | 72
_ACK = BASIC_CLASS << 16 | 80
_NACK = BASIC_CLASS << 16 | 120
_CANCEL = BASIC_CLASS << 16 | 30
_CHANNEL_CLOSE = 20 << 16 | 40
_CONNECTION_CLOSE = 10 << 16 | 50
_BLOCKED = 10 << 16 | 60
_UNBLOCKED = 10 << 16 | 61
_UPDATE_SECRET_OK = 10 << 16 | 71

# A broker adds headers of its own to a message, also to one whose headers just fit into a frame.
_HEADERS_OF_BROKER = 65_536


class Sink(Protocol):
    """What takes the messages and the answers of one channel, and is told of its rare events."""

    content: "PartialContent | None"

    def on_delivery(self, delivery: Delivery) -> None: ...
    def on_returned(self, code: int, text: str, delivery: Delivery) -> None: ...
    def on_got(self, delivery: Got | None) -> None: ...
    def on_confirm(self, tag: int, multiple: bool, accepted: bool) -> None: ...
    def on_cancelled(self) -> None: ...
    def on_closed(self, code: int, text: str, *, by_publish: bool) -> None: ...


class ConnectionSink(Protocol):
    """What is told of the rare events of the connection itself."""

    def note_blocked(self, reason: str | None) -> None: ...
    def note_closed(self, code: int, text: str) -> None: ...
    def note_secret_updated(self) -> None: ...


class PartialContent(PartialBody):
    """A delivery or a return whose content is still arriving, and who takes it."""

    __slots__ = ("delivery", "take")

    def __init__(self, delivery: Delivery, take: Callable[[Delivery], None]) -> None:
        # What PartialBody does, without the call, which is 7 % of what a delivery takes here.
        self.missing = -1  # the header tells
        self.whole = b""
        self._pieces = self._small = None
        self.delivery = delivery
        self.take = take


class Demultiplexer:
    """Takes a connection's bytes, gives messages and answers to their channels, and the rest back.

    Args:
        connection: is told of the rare events of the connection.

    Attributes:
        sinks: what takes the frames of a channel, by its number.
        limit: the largest frame, in bytes; what was negotiated.
    """

    def __init__(self, connection: ConnectionSink) -> None:
        self.sinks: dict[int, Sink] = {}
        self.limit = 131_072
        self._connection = connection
        self._buffer = FrameBuffer()

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the connection, and return those that are not for a sink.

        Raises:
            WireError: they are no AMQP.
        """
        data = self._buffer.join(data)
        end = len(data)
        wanted = FRAME_OVERHEAD
        position = rest_from = 0
        rest: list[bytes] = []
        unpack = FRAME_START.unpack_from
        sinks = self.sinks
        while end - position >= FRAME_OVERHEAD:
            kind, channel, size = unpack(data, position)
            if (size + FRAME_OVERHEAD > self.limit or kind not in _KINDS) and (
                kind != HEADER or size > self.limit + _HEADERS_OF_BROKER
            ):
                raise WireError(
                    "FRAME_ERROR", f"a frame of type {kind}, {size} of {self.limit} bytes"
                )
            stop = position + FRAME_OVERHEAD + size
            if stop > end:
                wanted = stop - position
                break
            if data[stop - 1] != FRAME_END:
                raise WireError("FRAME_ERROR", "a frame does not end where it says")
            sink = sinks.get(channel)
            try:
                # A message that has come whole takes one call in place of three.
                if (
                    kind == METHOD
                    and size > _SETTLE_SIZE
                    and sink is not None
                    and sink.content is None
                ):
                    after = self._take_message(sink, channel, data, position, stop)
                    if after:
                        if position > rest_from:
                            rest.append(data[rest_from:position])
                        rest_from = position = after
                        continue
                if (
                    self._take(sink, kind, data, position + 7, stop - 1)
                    if sink is not None
                    else channel == 0
                    and kind == METHOD
                    and self._take_of_connection(data[position + 7 : stop - 1])
                ):
                    if position > rest_from:
                        rest.append(data[rest_from:position])
                    rest_from = stop
            except (IndexError, struct.error) as error:
                raise WireError("SYNTAX_ERROR", "a frame ends within a value") from error
            position = stop
        if position > rest_from:
            rest.append(data[rest_from:position])
        if position < end:
            self._buffer.keep(data[position:], wanted)
        return b"".join(rest)

    def _take_message(self, sink: Sink, channel: int, data: bytes, start: int, header: int) -> int:
        """Take a delivery of up to one body frame, if all of it is there.

        Args:
            sink: of its channel.
            channel: by which it comes.
            data: what has come.
            start: where the frame of its method begins.
            header: where the next one does.

        Returns:
            Where it ends; 0 where it is to be taken frame by frame.
        """
        end = len(data)
        start += FRAME_START.size
        if header + _CONTENT_START.size > end or data[start : start + 4] != _DELIVER_BYTES:
            return 0
        kind, number, size, _, _, body_size = _CONTENT_START.unpack_from(data, header)
        body = header + FRAME_OVERHEAD + size
        if (
            kind != HEADER
            or number != channel
            or size < CONTENT_HEADER.size
            or size > self.limit + _HEADERS_OF_BROKER
            or body > end
            or data[body - 1] != FRAME_END
        ):
            return 0
        stop: int = body
        if body_size:
            stop += FRAME_OVERHEAD + body_size
            if (
                stop > end
                or FRAME_START.unpack_from(data, body) != (BODY, channel, body_size)
                or body_size + FRAME_OVERHEAD > self.limit
                or data[stop - 1] != FRAME_END
            ):
                return 0
        method = data[start : header - 1]
        position = 5 + method[4]  # the consumer's tag: a channel has one consumer
        tag, redelivered = _TAG.unpack_from(method, position)
        exchange, routing_key = _address(method[position + 9 :])
        delivery = Delivery(
            tag,
            redelivered & 1 == 1,
            exchange,
            routing_key,
            _BLANK,
            data[body + FRAME_START.size : stop - 1] if body_size else b"",
        )
        delivery.method = method
        # As `_read_properties`, without the call.
        delivery.header = data[header + _CONTENT_START.size : body - 1]
        try:
            delivery.properties, unreadable = decode_properties(delivery.header)
        except FieldError as error:
            raise WireError("SYNTAX_ERROR", str(error)) from error
        if unreadable is not None:
            delivery.unreadable = str(unreadable)
        sink.on_delivery(delivery)
        return stop

    def _take(self, sink: Sink, kind: int, data: bytes, start: int, stop: int) -> bool:
        """Take a frame's payload; False where it is for whoever reads the rest."""
        content = sink.content
        if content is not None:
            if kind == HEADER and content.missing < 0:
                (_, _, content.missing) = CONTENT_HEADER.unpack_from(data, start)
                _read_properties(content.delivery, data[start + CONTENT_HEADER.size : stop])
            elif kind == BODY and content.missing >= stop - start:
                content.add(data[start:stop])
            else:
                raise WireError(
                    "UNEXPECTED_FRAME",
                    f"a frame of type {kind}, {stop - start} bytes, within a message",
                )
            if content.missing == 0:
                sink.content = None
                delivery = content.delivery
                delivery.body = content.whole
                content.take(delivery)
            return True
        if kind != METHOD:
            return False  # pragma: no cover - content that no method announces
        data, position = data[start:stop], 4
        (method,) = _U32.unpack_from(data)
        if method == _DELIVER:
            position += 1 + data[position]  # the consumer's tag: a channel has one consumer
            (tag,) = _U64.unpack_from(data, position)
            exchange, routing_key = _address(data[position + 9 :])
            redelivered = data[position + 8] & 1 == 1
            delivery = Delivery(tag, redelivered, exchange, routing_key, _BLANK, b"")
            delivery.method = data
            sink.content = PartialContent(delivery, sink.on_delivery)
            return True
        if method in (_ACK, _NACK):
            (tag,) = _U64.unpack_from(data, position)
            sink.on_confirm(tag, data[position + 8] & 1 == 1, method == _ACK)
            return True
        if method == _RETURN:
            (code,) = _U16.unpack_from(data, position)
            text, after = _string(data, position + 2)
            exchange, after = _string(data, after)
            routing_key, _ = _string(data, after)
            delivery = Delivery(0, False, exchange, routing_key, _BLANK, b"")
            sink.content = PartialContent(delivery, partial(sink.on_returned, code, text))
            return True
        if method == _GET_OK:
            (tag,) = _U64.unpack_from(data, position)
            exchange, after = _string(data, position + 9)
            routing_key, after = _string(data, after)
            redelivered = data[position + 8] & 1 == 1
            got = Got(tag, redelivered, exchange, routing_key, _BLANK, b"")
            (got.left,) = _U32.unpack_from(data, after)
            sink.content = PartialContent(got, cast(Callable[[Delivery], None], sink.on_got))
            return True
        if method == _GET_EMPTY:
            sink.on_got(None)
            return True
        if method == _CANCEL:
            sink.on_cancelled()
        elif method == _CHANNEL_CLOSE:
            (code,) = _U16.unpack_from(data, position)
            text, after = _string(data, position + 2)
            (culprit,) = _U32.unpack_from(data, after)
            sink.on_closed(code, text, by_publish=culprit == _PUBLISH)
        return False

    def _take_of_connection(self, data: bytes) -> bool:
        """Take a method of the connection itself; False where it is for whoever reads the rest."""
        (method,) = _U32.unpack_from(data)
        if method == _CONNECTION_CLOSE:
            (code,) = _U16.unpack_from(data, 4)
            self._connection.note_closed(code, _string(data, 6)[0])
        elif method == _BLOCKED:
            self._connection.note_blocked(_string(data, 4)[0] or "no reason given")
        elif method == _UNBLOCKED:
            self._connection.note_blocked(None)
        elif method == _UPDATE_SECRET_OK:
            self._connection.note_secret_updated()
            return True
        return False


_BLANK = Properties()


def _read_properties(delivery: Delivery, data: bytes) -> None:
    delivery.header = data
    try:
        delivery.properties, unreadable = decode_properties(data)
    except FieldError as error:
        raise WireError("SYNTAX_ERROR", str(error)) from error
    if unreadable is not None:
        delivery.unreadable = str(unreadable)


@lru_cache(maxsize=1024)
def _address(data: bytes) -> tuple[str, str]:
    # The exchange and the routing key, which messages in a row mostly share.
    exchange, after = _string(data, 0)
    return exchange, _string(data, after)[0]


def _string(data: bytes, start: int) -> tuple[str, int]:
    try:
        return decode_short_string(data, start)
    except FieldError as error:
        raise WireError("SYNTAX_ERROR", str(error)) from error
