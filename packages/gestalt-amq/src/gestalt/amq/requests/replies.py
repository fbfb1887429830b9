"""How a responder replies: values, streams and errors, to whoever asked."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from gestalt.amq.encoding import MessageOptions, make_properties
from gestalt.amq.errors import LinkLost
from gestalt.amq.headers import (
    DETAILS_HEADER,
    INSTANCE_HEADER,
    ITEM_HEADER,
    STATUS_HEADER,
    TRACEBACK_HEADER,
)
from gestalt.amq.link.interface import Channel
from gestalt.amq.wire import TRANSIENT, Delivery, PropertiesTemplate
from gestalt.codecs import Codec, Encoded

from . import protocol
from .work import Work


class Replies:
    """Sends the replies of one responder.

    Args:
        instance: the responder's id.
        channel: gives a channel that is open, None when there is none.
        send_traceback: callers are sent the tracebacks of handlers.
        report: is told of what could not be told to the caller.

    Attributes:
        queue: where callers find this instance, by the default exchange.
    """

    def __init__(
        self,
        instance: str,
        channel: Callable[[], Channel | None],
        *,
        send_traceback: bool,
        report: Callable[[BaseException, str], None],
    ) -> None:
        self._instance = instance
        self._channel = channel
        self._send_traceback = send_traceback
        self._report = report
        self.queue = ""
        self._connected = asyncio.Event()

    def note_connected(self) -> None:
        """There is a channel again."""
        self._connected.set()

    @property
    def connected(self) -> bool:
        """Whether there is a channel."""
        return self._channel() is not None

    async def wait_connected(self) -> None:
        """Wait until there is a channel."""
        while self._channel() is None:
            self._connected.clear()
            await self._connected.wait()

    def value(self, work: Work, body: Any) -> None:
        """Send the one reply; in a stream, the one item.

        Raises:
            EncodeError: the codec cannot encode it.
            LinkLost: there is no connection.
        """
        if work.streams:
            self.item(work, body)
            self.end(work)
        else:
            self.send(work.delivery, work.codec.encode(body))

    def item(self, work: Work, body: Any) -> Channel:
        """Send an item of a stream, and return by which channel; raises as `value` does."""
        encoded = work.codec.encode(body)
        work.items += 1
        headers = {STATUS_HEADER: protocol.ITEM, ITEM_HEADER: work.items}
        return self.send(work.delivery, encoded, headers, reply_to=self.queue)

    def end(self, work: Work) -> None:
        """Send the end of a stream; raises LinkLost as `value` does."""
        headers = {STATUS_HEADER: protocol.END, ITEM_HEADER: work.items}
        self.send(work.delivery, protocol.NOTHING, headers)

    def status(self, delivery: Delivery, status: str) -> None:
        """Send word of what became of a request, where there is a connection."""
        self.tell(delivery, protocol.NOTHING, {STATUS_HEADER: status})

    def error(
        self,
        delivery: Delivery,
        status: str,
        error: BaseException,
        *,
        expected: bool = False,
    ) -> None:
        """Send an error, where there is a connection.

        Args:
            expected: it belongs to the service, and is no fault of the handler's.
        """
        trace = None
        failed = status == protocol.FAILED and not expected
        if self._send_traceback and failed:
            trace = "".join(traceback.format_exception(error))
        headers = protocol.error_headers(status, error, trace)
        plain = dict(headers)
        if (details := protocol.details_of(error)) is not None:
            try:
                headers[DETAILS_HEADER] = protocol.check_details(details)
            except Exception as reason:
                self._report(
                    reason, f"the details of {protocol.error_summary(error)} cannot be sent"
                )
        try:
            self.tell(delivery, protocol.NOTHING, headers)
        except ValueError as reason:
            # A broker may allow smaller frames than usual.
            self._report(reason, f"{protocol.error_summary(error)} is told without its details")
            plain.pop(TRACEBACK_HEADER, None)
            self.tell(delivery, protocol.NOTHING, plain)
        # What is refused is the sender's mistake, and harms nobody here.
        if delivery.properties.reply_to is None and failed:
            self._report(error, f"{describe_request(delivery)} failed, which asks for no reply")

    def tell(
        self, delivery: Delivery, encoded: Encoded, headers: dict[str, Any] | None = None
    ) -> None:
        """Send a reply where there is a connection.

        Where there is none, the caller learns more by its deadline, or from the next responder.
        """
        with contextlib.suppress(LinkLost):
            self.send(delivery, encoded, headers)

    def send(
        self,
        delivery: Delivery,
        encoded: Encoded,
        headers: dict[str, Any] | None = None,
        *,
        reply_to: str | None = None,
    ) -> Channel:
        """Reply to a delivery, if it asks for replies.

        Raises:
            LinkLost: there is no connection.
        """
        channel = self._channel()
        if channel is None:
            raise LinkLost("there is no connection to reply by")
        properties = delivery.properties
        if properties.reply_to is None:
            return channel
        correlation_id = properties.correlation_id
        gathered = delivery.exchange == protocol.INSTANCES.name
        if correlation_id is not None and not (gathered or headers or reply_to):
            plain = _template(*encoded[1:]).encode(correlation_id)
            channel.send("", properties.reply_to, plain, encoded.body)
            return channel
        options: MessageOptions = {}
        if correlation_id is not None:
            options["correlation_id"] = correlation_id
        if gathered:
            headers = {**(headers or {}), INSTANCE_HEADER: self._instance}
        if headers:
            options["headers"] = headers
        if reply_to is not None:
            options["reply_to"] = reply_to
        channel.send(
            "", properties.reply_to, make_properties(encoded, TRANSIENT, options), encoded.body
        )
        return channel


@lru_cache(maxsize=1024)
def _template(
    content_type: str, content_encoding: str | None, type_id: int | None, type_name: str | None
) -> PropertiesTemplate:
    """What the plain replies of one type have in common."""
    encoded = Encoded(b"", content_type, content_encoding, type_id, type_name)
    return PropertiesTemplate(make_properties(encoded, TRANSIENT, {}))


def describe_request(delivery: Delivery) -> str:
    """What a request is called in messages."""
    properties = delivery.properties
    kind = f" of type {properties.type}" if properties.type is not None else ""
    return f"request {properties.correlation_id or properties.message_id or 'without id'}{kind}"


def choose_codec(codecs: Sequence[Codec], content_type: str | None) -> Codec:
    """The codec of a caller: the first that reads what it wrote, else the first of all."""
    for codec in codecs:
        if content_type is not None and codec.allows(content_type):
            return codec
    return codecs[0]
