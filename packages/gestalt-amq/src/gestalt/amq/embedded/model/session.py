"""A client's connection as the model knows it: its channels, and what is its own."""

from collections.abc import Callable, Mapping

from gestalt.amq.wire import AmqpError
from gestalt.amq.wire.decoder import Content
from gestalt.amq.wire.methods import (
    BasicPublish,
    ChannelClose,
    ChannelCloseOk,
    ChannelOpen,
    ChannelOpenOk,
    Method,
)

from .channel import Channel, Output
from .operations import OPERATIONS
from .queue import Queue
from .usual_timeout import UsualTimeout
from .virtualhost import VirtualHost


class Session:
    """A connection that is open to a virtual host.

    Args:
        host: the virtual host.
        user: the name that the client authenticated with.
        make_output: makes what takes the methods of the channel with this number.
        channel_max: how many channels there may be.
        max_message_size: the size in bytes of the largest body that may be published.
        cancel_notify: whether the client wants to know of consumers that the broker cancels.

    Attributes:
        exclusive_queues: the queues that no other connection may use, by name.

    Raises:
        AmqpError: there are too many connections.
    """

    def __init__(
        self,
        host: VirtualHost,
        user: str,
        make_output: Callable[[int], Output],
        *,
        channel_max: int,
        max_message_size: int,
        cancel_notify: bool = True,
    ) -> None:
        host.usage.connected(user, host.name)
        self.host = host
        self.user = user
        self.cancel_notify = cancel_notify
        self.exclusive_queues: dict[str, Queue] = {}
        self._make_output = make_output
        self._channel_max = channel_max
        self._max_message_size = max_message_size
        self._channels: dict[int, Channel] = {}
        self._timeouts: dict[Channel, UsualTimeout] = {}
        # Those that were closed for an error, of which the client has not said that it knows.
        self._closing: set[int] = set()
        # The channels on which something was published since confirms were sent.
        self._published: dict[Channel, None] = {}
        self._paused = False

    @property
    def channels(self) -> Mapping[int, Channel]:
        """The channels that are open, by number."""
        return self._channels

    def receive(self, number: int, method: Method, content: Content | None) -> None:
        """Take a method that the client sends on a channel.

        Raises:
            AmqpError: it may not be, or cannot be done.
        """
        channel = self._channels.get(number)
        if channel is None:
            self._on_closed_channel(number, method)
        elif isinstance(method, BasicPublish) and content is not None:
            self._published[channel] = None
            channel.publish(method, content)
        elif isinstance(method, ChannelClose):
            channel.send_confirms()
            self._end(number)
            channel.output.send(ChannelCloseOk())
        else:
            operation = OPERATIONS.get(type(method))
            if isinstance(method, ChannelOpen):
                raise AmqpError("CHANNEL_ERROR", "second 'channel.open' seen")
            if operation is None:
                raise AmqpError("COMMAND_INVALID", f"unexpected method {type(method).__name__}")
            answer = operation(channel, method)
            if answer is not None:
                channel.output.send(answer)

    def send_confirms(self) -> None:
        """Tell the client the outcome of what it has published since this was called."""
        for channel in self._published:
            channel.send_confirms()
        self._published.clear()

    def close_channel(self, number: int, method: ChannelClose) -> None:
        """Close a channel for an error, and tell the client so."""
        self._end(number)
        self._closing.add(number)
        self._make_output(number).send(method)

    def time_out(self, channel: Channel, timeout: float | None) -> None:
        """Close a channel on which a delivery was not acknowledged in time.

        Args:
            channel: the channel.
            timeout: the time in seconds, or None where it is a consumer's that cannot be cancelled.
        """
        number = next(number for number, item in self._channels.items() if item is channel)
        milliseconds = -1 if timeout is None else round(timeout * 1000)
        error = AmqpError(
            "PRECONDITION_FAILED",
            f"delivery acknowledgement on channel {number} timed out. Timeout value used:"
            f" {milliseconds} ms. This timeout value can be configured, see consumers doc guide to"
            " learn more",
        )
        self.close_channel(number, ChannelClose(error.code, error.text, 0, 0))

    def pause(self) -> None:
        """Deliver no more, until `resume` is called."""
        self._paused = True
        for channel in self._channels.values():
            channel.limiter.paused = True

    def resume(self) -> None:
        """Deliver again, until the client can take no more."""
        self._paused = False
        for channel in list(self._channels.values()):
            if self._paused:
                # What was delivered on the channels before is as much as the client can take.
                return
            channel.limiter.paused = False
            channel.limiter.unblock()

    def close(self) -> None:
        """Close every channel, and delete the exclusive queues."""
        for number in list(self._channels):
            self._end(number)
        for queue in list(self.exclusive_queues.values()):
            self.host.delete_queue(queue)
        self.host.usage.disconnected()

    def _on_closed_channel(self, number: int, method: Method) -> None:
        output = self._make_output(number)
        if number in self._closing:
            if isinstance(method, ChannelCloseOk):
                self._closing.discard(number)
            elif isinstance(method, ChannelClose):
                output.send(ChannelCloseOk())
            return
        if not isinstance(method, ChannelOpen):
            raise AmqpError("CHANNEL_ERROR", "expected 'channel.open'")
        opened = len(self._channels) + len(self._closing)
        if opened >= self._channel_max:
            raise AmqpError(
                "NOT_ALLOWED",
                f"number of channels opened ({opened}) has reached the negotiated channel_max"
                f" ({self._channel_max})",
            )
        self.host.usage.channel_opened()
        channel = Channel(
            self, output, max_message_size=self._max_message_size, paused=self._paused
        )
        self._channels[number] = channel
        host = self.host
        if host.consumer_timeout:
            self._timeouts[channel] = UsualTimeout(
                channel, host.consumer_timeout, host.semantics, host.schedule
            )
        output.send(ChannelOpenOk())

    def _end(self, number: int) -> None:
        channel = self._channels.pop(number, None)
        if channel is not None:  # pragma: no branch - closed by both in one turn
            if (timeout := self._timeouts.pop(channel, None)) is not None:
                timeout.close()
            channel.close()
            self._published.pop(channel, None)
            self.host.usage.channel_closed()
