"""Makes responders of what is declared of them."""

from gestalt.amq.encoding import codecs_of
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.plan import Plan
from gestalt.amq.tracing import Tracing
from gestalt.codecs import Codec, Codecs
from gestalt.core import Backoff

from .declaration import ResponderDeclaration
from .plans import plan_service
from .responder import Responder


class ResponderMaker:
    """What all responders of a bus have in common.

    Args:
        requesting: the connection that they consume by.
        codec: for those that have none of their own.
        backoff: the waits before one consumes again on the same connection.
        start_timeout: how long a start waits for a connection, in seconds.
        stop_timeout: how long a stop waits for running handlers, in seconds.
        tracing: of their requests.
        declare: declare what they need; otherwise it must exist, and their queues stay.
    """

    def __init__(
        self,
        requesting: Supervisor,
        *,
        codec: Codec | Codecs,
        backoff: Backoff,
        start_timeout: float,
        stop_timeout: float,
        tracing: Tracing | None,
        declare: bool,
    ) -> None:
        self.connection = requesting
        self._codec = codec
        self._backoff = backoff
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._tracing = tracing
        self._lasting = not declare

    def make(self, declaration: ResponderDeclaration) -> Responder:
        """A responder as it was declared."""
        stop_timeout = declaration.stop_timeout
        return Responder(
            self.connection,
            declaration,
            declaration.codec or codecs_of(self._codec),
            backoff=self._backoff,
            start_timeout=self._start_timeout,
            stop_timeout=self._stop_timeout if stop_timeout is None else stop_timeout,
            tracing=self._tracing,
            lasting=self._lasting,
        )

    def plan(self, declaration: ResponderDeclaration) -> Plan:
        """What a responder needs at the broker."""
        return plan_service(declaration.service, lasting=self._lasting)
