"""A synchronous AMQP client on the wire layer, which shows everything that a broker sends."""

import socket
import time
from collections import deque
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import unquote, urlsplit

from gestalt.amq.wire import (
    PROTOCOL_HEADER,
    Properties,
    content_frames,
    content_header,
)
from gestalt.amq.wire import methods as m
from gestalt.amq.wire.codec import encode_method, method_frame
from gestalt.amq.wire.decoder import Content, Decoder

T = TypeVar("T")

_UNASKED = (
    m.BasicDeliver,
    m.BasicReturn,
    m.BasicAck,
    m.BasicNack,
    m.BasicCancel,
    m.ConnectionBlocked,
    m.ConnectionUnblocked,
)
CAPABILITIES = {
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
    "publisher_confirms": True,
    "basic.nack": True,
}


class ClosedError(Exception):
    """The broker closed the channel or the connection."""

    def __init__(self, method: m.ChannelClose | m.ConnectionClose) -> None:
        super().__init__(method.reply_text)
        self.code = method.reply_code
        self.text = method.reply_text
        self.scope = "channel" if isinstance(method, m.ChannelClose) else "connection"


class Received(NamedTuple):
    """A method that came without being asked for, and its message."""

    channel: int
    method: m.Method
    content: Content | None


class WireClient:
    """One connection; a timeout of the socket, in seconds, ends every wait."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        capabilities: dict[str, Any] = CAPABILITIES,
        tune: m.ConnectionTuneOk | None = None,
    ):
        self.tune = tune
        self.url = url
        parts = urlsplit(url)
        self.host = unquote(parts.path[1:]) or "/"
        self.socket = socket.create_connection((parts.hostname, parts.port or 5672), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = Decoder(expect_header=False)
        self.events: deque[Received] = deque()
        self.inbox: list[Received] = []
        self.frame_max = 131_072
        try:
            self._open(parts.username or "", parts.password or "", capabilities)
        except BaseException:
            self.socket.close()
            raise

    def _open(self, user: str, password: str, capabilities: dict[str, Any]) -> None:
        self.socket.sendall(PROTOCOL_HEADER)
        start = self._expect(0, m.ConnectionStart)
        self.server_properties, self.mechanisms = start.server_properties, start.mechanisms
        login = f"\0{unquote(user)}\0{unquote(password)}".encode()
        self.send(0, m.ConnectionStartOk({"capabilities": capabilities}, "PLAIN", login))
        tune = self._expect(0, m.ConnectionTune)
        self.decoder.frame_max = self.frame_max = tune.frame_max
        answer = self.tune or m.ConnectionTuneOk(tune.channel_max, tune.frame_max, 0)
        self.send(0, answer)
        self.call(0, m.ConnectionOpen(self.host))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    @property
    def version(self) -> tuple[int, int]:
        """The version of RabbitMQ that the broker is, or says that it is like."""
        major, minor = str(self.server_properties["version"]).split(".")[:2]
        return int(major), int(minor)

    def channel(self, number: int = 1) -> int:
        self.call(number, m.ChannelOpen())
        return number

    def send(self, channel: int, method: m.Method) -> None:
        self.socket.sendall(method_frame(channel, method))

    def publish(
        self,
        channel: int,
        exchange: str,
        key: str,
        body: bytes = b"body",
        *,
        mandatory: bool = False,
        **properties: Any,
    ) -> None:
        method = encode_method(m.BasicPublish(0, exchange, key, mandatory, False))
        header = content_header(Properties(**properties), len(body))
        self.socket.sendall(content_frames(channel, method, header, body, self.frame_max))

    def call(self, channel: int, method: m.Method) -> m.Method:
        """Sends a method and returns the answer. Raises ClosedError."""
        self.send(channel, method)
        return self.answer(channel).method

    def answer(self, channel: int) -> Received:
        """Returns the next method that is an answer; what was not asked for goes to the inbox."""
        while True:
            received = self._next()
            if isinstance(received.method, _UNASKED):
                self.inbox.append(received)
                continue
            if received.channel == channel:
                return received

    def get(self, channel: int, queue: str, *, no_ack: bool = True) -> Received:
        """Returns what the broker answers to basic.get."""
        self.send(channel, m.BasicGet(0, queue, no_ack))
        return self.answer(channel)

    def receive(self, kind: type, timeout: float = 10.0) -> Received:
        """Returns the next of this kind of method that was not asked for."""
        deadline = time.monotonic() + timeout
        while True:
            for position, received in enumerate(self.inbox):
                if isinstance(received.method, kind):
                    return self.inbox.pop(position)
            self.poll(deadline)

    def poll(self, deadline: float) -> None:
        """Waits for one more method. Raises TimeoutError, or ClosedError."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the broker sent nothing more")
        timeout = self.socket.gettimeout()
        self.socket.settimeout(remaining)
        try:
            self.inbox.append(self._next())
        finally:
            self.socket.settimeout(timeout)

    def closed(self, channel: int = 1) -> ClosedError:
        """Waits for the broker to close the channel or the connection."""
        try:
            self.answer(channel)
        except ClosedError as error:
            return error
        raise AssertionError("the broker answered")

    def _expect(self, channel: int, kind: type[T]) -> T:
        received = self.answer(channel)
        assert isinstance(received.method, kind), received
        return received.method

    def _next(self) -> Received:
        while not self.events:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the broker closed the socket")
            for channel, method, content in self.decoder.feed(data):
                if isinstance(method, m.Method.__args__):
                    self.events.append(Received(channel, method, content))
        received = self.events.popleft()
        if isinstance(received.method, m.ChannelClose):
            self.send(received.channel, m.ChannelCloseOk())
            raise ClosedError(received.method)
        if isinstance(received.method, m.ConnectionClose):
            self.send(0, m.ConnectionCloseOk())
            raise ClosedError(received.method)
        return received
