"""Asks the broker for all that wait, once for all of them, what they have to know to be sent."""

import asyncio
from collections.abc import Callable, Collection

from gestalt.amq.errors import AmqError, ChannelsExhausted, TopologyError

from .interface import Link
from .permissions import Permissions, Ticket
from .spawn import Spawn

# Before it is tried again to ask, where that failed on a connection that lives on, in seconds.
PAUSE = 0.05


class Inquiry:
    """Asks for the messages that wait, whoever of them comes first.

    Args:
        name: of the channel that they wait for, in messages.
        permissions: what is known, to which the answers are added.
        tickets: all that wait.
        spawn: runs what asks; those that wait for it may give up meanwhile.
        make_room: gives up channels that nobody uses; whether it helps to try again.
    """

    def __init__(
        self,
        name: str,
        permissions: Permissions,
        tickets: Collection[Ticket],
        spawn: Spawn,
        make_room: Callable[[], bool],
    ) -> None:
        self._name = name
        self._permissions = permissions
        self._tickets = tickets
        self._spawn = spawn
        self._make_room = make_room
        self._asking: asyncio.Task[bool] | None = None

    async def ask(self, link: Link, *, anew: bool) -> bool:
        """Ask what all that wait would like to know, and note refusals in their tickets.

        Args:
            link: where it is asked, unless that is under way.
            anew: ask also for what is known.

        Returns:
            whether the broker has been seen to take anything.
        """
        asking = self._asking
        if asking is None or asking.done():  # pragma: no branch - another has it asked already
            asking = self._spawn(self._ask(link, anew), name=f"ask for {self._name}")
            self._asking = asking
        await asyncio.wait({asking})
        # What it fails by, its owner is told.
        return not asking.cancelled() and asking.exception() is None and asking.result()

    async def _ask(self, link: Link, anew: bool) -> bool:
        try:
            return await self._permissions.ask(link, self._waiting, anew=anew)
        except (TopologyError, ChannelsExhausted) as error:  # pragma: no cover - no channel left
            if isinstance(error, ChannelsExhausted) and self._make_room():
                await asyncio.sleep(PAUSE)
                return False
            for ticket in self._waiting():
                ticket.refused = error
        except AmqError:
            # The link ended meanwhile; or the channel for asking, and it is asked again.
            if not link.lost.done():  # pragma: no cover - the broker ended that channel alone
                await asyncio.sleep(PAUSE)
        return False  # pragma: no cover - lost while it is asked

    def _waiting(self) -> list[Ticket]:
        return [ticket for ticket in self._tickets if ticket.refused is None]
