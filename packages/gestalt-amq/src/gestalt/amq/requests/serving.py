"""Makes responders of what is declared of them."""

from gestalt.amq.encoding import codecs_of
from gestalt.amq.link.consumer import Timing
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.plan import Plan
from gestalt.amq.tracing import Tracing
from gestalt.codecs import Codec, Codecs

from .declaration import ResponderDeclaration
from .plans import plan_service
from .responder import Responder


class ResponderMaker:
    """What all responders of a bus have in common.

    Args:
        requesting: the connection that they consume by.
        codec: for those that have none of their own.
        timing: how long they wait.
        tracing: of their requests.
        declare: declare what they need; otherwise it must exist, and their queues stay.
    """

    def __init__(
        self,
        requesting: Supervisor,
        *,
        codec: Codec | Codecs,
        timing: Timing,
        tracing: Tracing | None,
        declare: bool,
    ) -> None:
        self.connection = requesting
        self._codec = codec
        self._timing = timing
        self._tracing = tracing
        self._declare = declare

    def make(self, declaration: ResponderDeclaration) -> Responder:
        """A responder as it was declared."""
        return Responder(
            self.connection,
            declaration,
            declaration.codec or codecs_of(self._codec),
            timing=self._timing,
            tracing=self._tracing,
            declare=self._declare,
        )

    def plan(self, declaration: ResponderDeclaration) -> Plan:
        """What a responder needs at the broker."""
        return plan_service(declaration.service, declare=self._declare)
