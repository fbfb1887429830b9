"""The topology of an application: shown, compared with what is there, declared by who may."""

from collections.abc import Callable

from .bindings_record import reconcile
from .declaring import declare_plan
from .link.supervisor import Supervisor
from .plan import Plan, PlannedBinding
from .verifying import Drift, find_drift


class Topology:
    """What an application needs at the broker; made by `Bus.topology`.

    Args:
        plan: gives all that the application has told its bus by now.
        connection: makes a connection for one call; the bus need not run.
    """

    def __init__(self, plan: Callable[[], Plan], connection: Callable[[], Supervisor]) -> None:
        self._plan = plan
        self._connection = connection

    def plan(self) -> Plan:
        """What the application declares and uses, as far as it has told its bus by now."""
        return self._plan()

    async def verify(self, plan: Plan | None = None) -> list[Drift]:
        """What is missing at the broker, or has other properties; nothing is declared.

        Bindings cannot be asked for by AMQP, and are not compared.

        Args:
            plan: what is needed; by default that of `plan`.

        Raises:
            ConnectError, LinkLost: there was no connection, or it was lost.
        """
        async with self._connection() as supervisor:
            return await find_drift(await supervisor.wait_link(), plan or self._plan())

    async def apply(self, plan: Plan | None = None, *, exact: bool = False) -> list[PlannedBinding]:
        """Declare all that lasts, for an application that declares nothing by itself.

        Args:
            plan: what is needed; by default that of `plan`.
            exact: unbind the queues from what is not needed, as far as that is recorded.

        Returns:
            what queues are bound by beyond what is needed, or were until now.

        Raises:
            TopologyError: the broker refuses something; everything that it refuses is named.
            ConnectError, LinkLost: as `verify`.
        """
        permanent = (plan or self._plan()).permanent()
        stale = []
        async with self._connection() as supervisor:
            link = await supervisor.wait_link()
            await declare_plan(link, permanent)
            for queue, needed in permanent.recorded().items():
                unbinds = exact or queue in permanent.exact
                stale += await reconcile(link, queue, needed, exact=unbinds)
        return stale
