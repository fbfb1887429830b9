"""A proxy to a broker some of whose channels hang, while their connections live."""

import struct
from collections.abc import Iterator
from typing import Literal

from .proxy import Direction, ProxiedLink, Proxy

Fault = Literal["hangs", "confirms nothing"]

_START = struct.Struct(">BHI")
_METHOD = struct.Struct(">HH")
_METHOD_FRAME = 1
_OPEN, _FLOW, _FLOW_OK = (20, 10), (20, 20), (20, 21)
CANCEL = (60, 30)
"""The class and the method by which a consumer ends."""
_CONSUME, _PUBLISH, _ACK, _NACK = (60, 20), (60, 40), (60, 80), (60, 120)
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


class ChannelProxy(Proxy):
    """Passes frames on, but for those of channels that hang.

    Attributes:
        questions: how often a channel was asked whether it lives.
        signs: how often one has answered that.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.questions = self.signs = 0
        self._partial: dict[tuple[ProxiedLink, Direction], bytes] = {}
        self._faults: dict[tuple[ProxiedLink, int], Fault] = {}
        # By which channel something was published to an exchange last.
        self._publishing: dict[str, tuple[ProxiedLink, int]] = {}
        # By which channel a queue was consumed from last.
        self._consuming: dict[str, tuple[ProxiedLink, int]] = {}
        # By which exchanges' next publish a channel is to hang.
        self._awaited: set[str] = set()
        # What is held back, in the order in which it came.
        self._held: list[tuple[ProxiedLink, Direction, bytes]] = []

    def break_channel(self, exchange: str, fault: Fault) -> None:
        """Let the channel by which was published to an exchange last hang, or confirm nothing.

        With the first the broker neither gets anything on it, nor says anything, until `mend`; with
        the second its confirmations are held back until then.
        """
        self._faults[self._publishing[exchange]] = fault

    def hang_next(self, exchange: str) -> None:
        """Let the channel hang by which something is published to an exchange next."""
        self._awaited.add(exchange)

    def hang_consumer(self, queue: str) -> None:
        """Let the channel hang by which a queue has been consumed from last."""
        self._faults[self._consuming[queue]] = "hangs"

    def holds(self, method: tuple[int, int]) -> bool:
        """Whether such a method is held back."""
        return any(_method(frame) == method for _, _, frame in self._held)

    def mend(self) -> None:
        """Let all frames through from now on, and what was held back."""
        self._faults.clear()
        held, self._held = self._held, []
        for link, direction, frame in held:
            (link.client if direction == "down" else link.server).write(frame)

    def _let_through(self, data: bytes, direction: Direction, link: ProxiedLink) -> bytes:
        data = self._partial.pop((link, direction), b"") + data
        passed, position = [], 0
        if direction == "up" and data.startswith(_PROTOCOL_HEADER):
            passed.append(_PROTOCOL_HEADER)
            position = len(_PROTOCOL_HEADER)
        for channel, frame in _frames(data[position:]):
            position += len(frame)
            self._observe(link, channel, frame)
            fault = self._faults.get((link, channel))
            confirms = direction == "down" and _method(frame) in (_ACK, _NACK)
            if fault == "hangs" or (fault and confirms):
                self._held.append((link, direction, frame))
            else:
                passed.append(frame)
        if position < len(data):
            self._partial[link, direction] = data[position:]
        return b"".join(passed)

    def _observe(self, link: ProxiedLink, channel: int, frame: bytes) -> None:
        method = _method(frame)
        if method == _OPEN:
            self._faults.pop((link, channel), None)
        elif method == _FLOW:
            self.questions += 1
        elif method == _FLOW_OK:
            self.signs += 1
        elif method == _PUBLISH:
            start = _START.size + _METHOD.size + 2
            exchange = frame[start + 1 : start + 1 + frame[start]].decode()
            self._publishing[exchange] = link, channel
            if exchange in self._awaited:
                self._awaited.remove(exchange)
                self._faults[link, channel] = "hangs"
        elif method == _CONSUME:
            start = _START.size + _METHOD.size + 2
            queue = frame[start + 1 : start + 1 + frame[start]].decode()
            self._consuming[queue] = link, channel


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while len(data) >= position + _START.size:
        _, channel, size = _START.unpack_from(data, position)
        stop = position + _START.size + size + 1
        if stop > len(data):
            return
        yield channel, data[position:stop]
        position = stop


def _method(frame: bytes) -> tuple[int, int] | None:
    if frame[0] != _METHOD_FRAME:
        return None
    class_id, method_id = _METHOD.unpack_from(frame, _START.size)
    return class_id, method_id
