"""What is done about the topology of an application by somebody who may."""

from .bindings_record import reconcile
from .declaring import declare_plan
from .link.supervisor import Supervisor
from .plan import Plan, PlannedBinding
from .verifying import Drift, find_drift


async def verify(supervisor: Supervisor, plan: Plan) -> list[Drift]:
    """What is missing at the broker, or has other properties.

    Args:
        supervisor: of a connection for this alone.
        plan: what is needed.

    Raises:
        ConnectError, LinkLost: there was no connection, or it was lost.
    """
    async with supervisor:
        return await find_drift(await supervisor.wait_link(), plan)


async def apply(supervisor: Supervisor, plan: Plan, *, exact: bool) -> list[PlannedBinding]:
    """Declare what lasts of a plan, and return by what queues were bound beyond it.

    Args:
        supervisor: of a connection for this alone.
        plan: what is needed.
        exact: take those bindings away.

    Raises:
        TopologyError: the broker refuses something; everything that it refuses is named.
        ConnectError, LinkLost: there was no connection, or it was lost.
    """
    lasting = plan.lasting()
    stale = []
    async with supervisor:
        link = await supervisor.wait_link()
        await declare_plan(link, lasting)
        for queue, needed in lasting.recorded().items():
            stale += await reconcile(link, queue, needed, exact=exact or queue in plan.exact)
    return stale
