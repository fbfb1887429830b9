"""Makes responders of what is declared of them."""

from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.tracing import Tracing
from gestalt.codecs import Codec
from gestalt.core import Backoff

from .declaration import ResponderDeclaration
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
    """

    def __init__(
        self,
        requesting: Supervisor,
        *,
        codec: Codec,
        backoff: Backoff,
        start_timeout: float,
        stop_timeout: float,
        tracing: Tracing | None,
    ) -> None:
        self.connection = requesting
        self._codec = codec
        self._backoff = backoff
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._tracing = tracing

    def make(self, declaration: ResponderDeclaration) -> Responder:
        """A responder as it was declared."""
        stop_timeout = declaration.stop_timeout
        return Responder(
            self.connection,
            declaration,
            declaration.codec or (self._codec,),
            backoff=self._backoff,
            start_timeout=self._start_timeout,
            stop_timeout=self._stop_timeout if stop_timeout is None else stop_timeout,
            tracing=self._tracing,
        )
