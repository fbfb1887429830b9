"""A client's connection as the model knows it: who it is, and what is its own."""

from typing import TYPE_CHECKING, Protocol

from gestalt.amq.wire.methods import Method

if TYPE_CHECKING:
    from .channel import Channel
    from .queue import Queue
    from .virtualhost import VirtualHost


class Output(Protocol):
    """Where a channel's methods go. Calls only collect; they never call back into the model."""

    def send(self, method: Method) -> None: ...

    def send_content(self, method: Method, header: bytes, body: bytes) -> None: ...

    def deliver(
        self,
        prefix: bytes,
        delivery_tag: int,
        redelivered: bool,
        address: bytes,
        header: bytes,
        body: bytes,
    ) -> None: ...


class Session:
    """A connection that is open to a virtual host.

    Args:
        host: The virtual host.
        user: The name that the client authenticated with.
        cancel_notify: Whether the client wants to know of consumers that the broker cancels.
    """

    def __init__(self, host: "VirtualHost", user: str, *, cancel_notify: bool = True) -> None:
        self.host = host
        self.user = user
        self.cancel_notify = cancel_notify
        self.channels: dict[int, Channel] = {}
        self.exclusive_queues: dict[str, Queue] = {}

    def close(self) -> None:
        """Closes every channel, and deletes the exclusive queues."""
        for channel in list(self.channels.values()):
            channel.close()
        for queue in list(self.exclusive_queues.values()):
            self.host.delete_queue(queue)
