"""What the broker is known to take on one link, and how that comes to be known."""

import os
from collections.abc import Awaitable, Callable, Collection

from gestalt.amq.errors import ChannelsExhausted, Refused, TopologyError

from .interface import Link
from .preflight import ROUND_SIZE, Preflight, Question

# So many routes without a refusal, and the user is taken for one who may use all of them, if he may
# use one that nobody does.
MANY_ROUTES = 1000
# So many users are kept in mind.
MANY_USERS = 100


class Ticket:
    """A message that waits to be sent.

    Attributes:
        question: what the broker may refuse it for.
        refused: why the broker would refuse it, or cannot be asked.
    """

    __slots__ = ("question", "refused")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.refused: Refused | TopologyError | ChannelsExhausted | None = None


class Permissions:
    """What may be sent without asking first.

    Args:
        preflight: asks the broker.
        route: what the broker's permissions depend on, besides the user.
        restore: brings back what the broker does not find; whether there is anything to.

    Attributes:
        routes: those that the broker takes.
        all_routes: it takes every one.
        size: the largest body that it is known to take, in bytes.
        many_routes: how many without a refusal tell that it takes every one.
    """

    def __init__(
        self,
        preflight: Preflight,
        route: Callable[[Question], str],
        restore: Callable[[Link], Awaitable[bool]],
    ) -> None:
        self.routes: set[str] = set()
        self.many_routes = MANY_ROUTES
        self._preflight = preflight
        self._route = route
        self._restore = restore
        # Counts what was forgotten: an answer may be to a question of before.
        self._epoch = 0
        self.forget()

    def forget(self, *, restricted: bool = False) -> None:
        """Begin to know anew: it is another link, or the broker has changed its mind.

        Args:
            restricted: the user is one who may not use all routes.
        """
        self._epoch += 1
        self.routes.clear()
        self.all_routes = False
        self.size = -1
        self._restricted = restricted
        self._users: set[str | None] = {None}

    def covers(self, question: Question) -> bool:
        """Whether the broker is known to take it."""
        return (
            question.size <= self.size
            and question.user_id in self._users
            and self._routed(question)
        )

    async def ask(self, link: Link, waiting: Callable[[], list[Ticket]], *, anew: bool) -> bool:
        """Ask what the waiting messages need to know, and note refusals in their tickets.

        Args:
            anew: ask also for routes that are known.

        Returns:
            whether the broker has been seen to take anything.

        Raises:
            LinkLost: the link ended. ChannelsExhausted: there is no channel for asking.
            TopologyError: what the broker does not find cannot be declared.
        """
        epoch = self._epoch
        taken = await self._ask_routes(link, waiting, anew)
        while epoch == self._epoch and await self._ask_user(link, waiting()):
            pass
        while epoch == self._epoch and await self._ask_size(link, waiting()):
            pass
        return taken and epoch == self._epoch

    async def refused(self, link: Link, questions: Collection[Question]) -> dict[Question, Refused]:
        """Which ones the broker refuses, when what it did not find has been brought back.

        Raises: as `ask`.
        """
        refused = await self._preflight.ask(link, questions)
        if any(error.code == 404 for error in refused.values()) and await self._restore(link):
            refused = await self._preflight.ask(link, questions)
        return refused

    def _routed(self, question: Question) -> bool:
        return self.all_routes or self._route(question) in self.routes

    async def _ask_routes(
        self, link: Link, waiting: Callable[[], list[Ticket]], anew: bool
    ) -> bool:
        epoch = self._epoch
        routes: dict[str, Question] = {}
        for ticket in waiting():
            route = self._route(ticket.question)
            if anew or not self._routed(ticket.question):
                exchange, key, *_ = ticket.question
                routes.setdefault(route, Question(exchange, key))
        if not routes:
            return False
        refused = await self.refused(link, routes.values())
        if epoch != self._epoch:
            return False
        for ticket in waiting():
            question = routes.get(self._route(ticket.question))
            if question in refused:
                ticket.refused = refused[question]
        self._restricted = self._restricted or bool(refused)
        if len(self.routes) > MANY_ROUTES:  # pragma: no cover - so many routes
            self.routes.clear()
        admitted = {route for route, question in routes.items() if question not in refused}
        self.routes |= admitted
        if len(self.routes) > self.many_routes and not self._restricted:
            exchange = next(iter(routes.values())).exchange
            # A user who may use some routes only has so far used his own.
            strange = Question(exchange, f"{os.urandom(8).hex()}.{os.urandom(8).hex()}")
            error = await self._ask_one(link, strange) if self.many_routes else None
            if epoch != self._epoch:  # pragma: no cover - the link changed while it was asked
                return False
            self._restricted = error is not None
            self.all_routes = error is None
        return bool(admitted)

    async def _ask_user(self, link: Link, waiting: list[Ticket]) -> bool:
        """Ask for one of the users that are not known; False when there is none."""
        unknown = [
            ticket
            for ticket in waiting
            if ticket.question.user_id not in self._users and self._routed(ticket.question)
        ]
        if not unknown:
            return False
        exchange, key, _, user = unknown[0].question
        error = await self._ask_one(link, Question(exchange, key, 0, user))
        if error is None:
            if len(self._users) > MANY_USERS:  # pragma: no cover - so many users
                self._users = {None}
            self._users.add(user)
        for ticket in unknown:
            if ticket.question.user_id == user:
                ticket.refused = error
        return True

    async def _ask_size(self, link: Link, waiting: list[Ticket]) -> bool:
        """Ask for the largest of the sizes that are not known; False when there is none."""
        epoch = self._epoch
        unknown = [
            ticket
            for ticket in waiting
            if ticket.question.size > self.size and self._routed(ticket.question)
        ]
        if not unknown:
            return False
        exchange, key, largest, _ = max(
            (ticket.question for ticket in unknown), key=lambda question: question.size
        )
        for size in sorted({max(largest, ROUND_SIZE), largest}, reverse=True):
            error = await self._ask_one(link, Question(exchange, key, size))
            if error is None:
                break
        if epoch == self._epoch and error is None:
            self.size = max(self.size, size)
        for ticket in unknown:
            if ticket.question.size == largest:
                ticket.refused = error
        return True

    async def _ask_one(self, link: Link, question: Question) -> Refused | None:
        return (await self._preflight.ask(link, [question])).get(question)
