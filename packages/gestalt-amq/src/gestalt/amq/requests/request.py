"""A request as a responder's handler gets it."""

from collections.abc import Callable
from typing import Any, TypeVar

from gestalt.amq.message import BusMessage
from gestalt.amq.wire import Delivery
from gestalt.core import ReplyNotPossible

T_co = TypeVar("T_co", covariant=True)


class Request(BusMessage[T_co]):
    """A request: what its handler returns is the reply; `reply` gives it before that.

    Attributes:
        deadline: when its caller gives up, by the clock of the event loop.
    """

    __slots__ = ("_reply", "deadline")

    def __init__(
        self,
        body: T_co,
        type_id: int | None,
        delivery: Delivery,
        deadline: float,
        reply: Callable[[Any], bool],
    ) -> None:
        super().__init__(body, type_id, delivery)
        self.deadline: float = deadline
        self._reply = reply

    async def reply(self, body: Any) -> None:
        """Send the reply now; what the handler returns is then ignored.

        Raises:
            ReplyNotPossible: it was replied to before, or asks for no reply.
            EncodeError: the body cannot be encoded.
            LinkLost: there is no connection now.
        """
        if not self._reply(body):
            raise ReplyNotPossible(f"{self!r} was replied to before, or asks for no reply")
