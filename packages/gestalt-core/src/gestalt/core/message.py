"""What every endpoint hands to a handler."""

from typing import Any, Generic, TypeVar

from .errors import ReplyNotPossible

T_co = TypeVar("T_co", covariant=True)


class Message(Generic[T_co]):
    """A received message. Transports subclass it and add what they know.

    Args:
        body: the decoded payload.
        type_id: the message type identifier, or None where the transport carries none.
        source: where it came from: a peer, an address or a routing key.
    """

    __slots__ = ("body", "source", "type_id")

    def __init__(self, body: T_co, type_id: int | None = None, source: Any = None) -> None:
        self.body: T_co = body
        self.type_id: int | None = type_id
        self.source: Any = source

    async def reply(self, body: Any) -> None:  # noqa: ARG002 - for those that can
        """Send `body` back to the source of this message.

        Raises:
            ReplyNotPossible: the source cannot be answered.
        """
        raise ReplyNotPossible(f"{self!r} cannot be answered: its source takes no replies")

    def __repr__(self) -> str:
        # Not the body: messages are printed by logs and errors, and what they hold may be secret.
        body = type(self.body).__name__
        return f"<{type(self).__name__} of {body}, type_id={self.type_id}, source={self.source!r}>"


class TransportMessage:
    """A base, beside `Message`, for the messages of one transport, which know more than any.

        class PipeMessage(Message[T], TransportMessage): ...

    By it, type checkers take a function of a PipeMessage for a handler as well. That the messages
    come by that transport is for the application to see to.
    """

    __slots__ = ()
