"""Whether the broker would take a message: asked before the message is sent."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gestalt.amq.errors import Refused, TopologyError
from gestalt.amq.wire import Properties

from .interface import CHANNEL_CLOSED, Channel, Link

# So many bytes are asked for at once, so that most messages are within what is known.
ROUND_SIZE = 16 * 1024


class Question(NamedTuple):
    """What a broker may refuse a message for.

    Args:
        size: of the body, in bytes.
        user_id: the user that the message names.
    """

    exchange: str
    routing_key: str
    size: int = 0
    user_id: str | None = None


class Preflight:
    """Asks the broker what it takes, for everybody who publishes on one connection.

    A broker that refuses a message ends the channel by which it came, and whatever is under way
    there loses its confirmation. So what is new is first published in a transaction that is undone,
    by a channel apart: the broker examines it as any message, and delivers nothing.
    """

    def __init__(self) -> None:
        self._link: Link | None = None
        self._channel: Channel | None = None
        self._turn = asyncio.Lock()

    def start(self) -> None:
        """Begin anew, in the event loop that runs now."""
        self._link = self._channel = None
        self._turn = asyncio.Lock()

    async def ask(self, link: Link, questions: Iterable[Question]) -> dict[Question, Refused]:
        """Ask several questions at once, and return those that the broker refuses.

        Raises:
            LinkLost: the link ended. ChannelsExhausted: it has no channel for asking.
        """
        refused: dict[Question, Refused] = {}
        parts: list[Sequence[Question]] = [list(questions)]
        async with self._turn:
            while parts:
                part = parts.pop()
                error = await self._rehearse(link, part)
                if error is None:
                    continue
                if len(part) > 1:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                    continue
                (question,) = part
                refused[question] = error
                if f"'{question.routing_key[:32]}" not in str(error):
                    # It is not about this routing key, and so the same for every other.
                    for rest in parts:
                        refused |= dict.fromkeys(rest, error)
                    break
        return refused

    async def _rehearse(self, link: Link, part: Sequence[Question]) -> Refused | None:
        channel = self._channel
        if channel is None or self._link is not link or channel.closed.done():
            channel = self._channel = await link.open_channel(transactions=True)
            self._link = link
        try:
            for question in part:
                channel.send(
                    question.exchange,
                    question.routing_key,
                    Properties(user_id=question.user_id),
                    bytes(question.size),
                )
            await channel.rollback()
        except TopologyError as error:
            text = str(error).removeprefix(CHANNEL_CLOSED)
            return Refused(f"the broker refused it: {text} ({error.code})", error.code)
        return None
