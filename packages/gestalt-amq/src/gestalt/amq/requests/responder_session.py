"""What a responder consumes by on one link."""

from gestalt.amq.link.consumer import Receiver, Session
from gestalt.amq.link.interface import Link

from . import protocol


class ResponderSession(Session):
    """The requests that all instances share, and what is for this instance alone."""

    requests: Receiver
    instance: Receiver

    def __init__(self, link: Link, service: str, *, declares: bool) -> None:
        super().__init__(link)
        self._service = service
        self._declares = declares
        self._routed: Receiver | None = None

    def note_routed(self) -> None:
        """What is for this instance is routed here by now."""
        self._routed = self.instance

    async def _withdraw(self) -> None:
        if (receiver := self._routed) is None:
            return
        # RabbitMQ 4.3 still routes to a queue that goes with its consumer, when that has gone; what
        # it routes there it loses, and so a caller would wait for who is no more.
        await receiver.channel.unbind(receiver.queue, protocol.INSTANCES.name, self._service)
        # What was routed before is delivered before this is answered.
        await receiver.channel.cancel(receiver.consumer_tag)
        if not self._declares:
            # Others go with their consumer.
            await receiver.channel.delete_queue(receiver.queue)
