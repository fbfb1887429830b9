"""What a partitioned queue needs at the broker, which may know nothing of exchanges that hash."""

from collections.abc import Callable
from dataclasses import replace

from gestalt.amq.declaring import declare_exchange, declare_plan
from gestalt.amq.errors import AmqError, ConnectError, LinkLost, TopologyError
from gestalt.amq.link.interface import Link, channel_aside
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.plan import Plan, merge, plan_binding
from gestalt.amq.topology import Binding, Exchange

from .declaration import SubscriptionDeclaration
from .partitions import PLUGIN, WEIGHT, Partitioned
from .plans import binding_of


def plan_partitions(declaration: SubscriptionDeclaration, queue: Partitioned) -> Plan:
    """What a subscription to a partitioned queue needs."""
    parts = [queue.queue(number) for number in range(queue.partitions)]
    members = queue.members
    return merge(
        [
            plan_binding(binding_of(declaration, queue.exchange)),
            *(plan_binding(Binding(queue.exchange, WEIGHT, part)) for part in parts),
            Plan(
                (members,),
                publishes=("", members.name),
                consumes=tuple(part.name for part in parts),
                private=True,
                privately=(members.name,),
            ),
        ]
    )


async def declare_partitions(
    link: Link, queue: Partitioned, plan: Plan, one_more: Callable[[], Supervisor]
) -> None:
    """Declare what a subscription to a partitioned queue needs: all parts, whoever has them.

    Args:
        link: on which it is declared.
        plan: all of it.
        one_more: makes a connection to declare it by: a broker that does not know its type ends
            the whole connection.

    Raises:
        TopologyError: the broker refuses, or lacks the plugin for it.
        LinkLost: a connection ended.
    """
    declares = all(exchange.declare for exchange in plan.exchanges if exchange == queue.exchange)
    if declares and not await _exists(link, queue.exchange):
        await _declare_apart(queue, one_more)
    await declare_plan(link, plan)


async def _declare_apart(queue: Partitioned, one_more: Callable[[], Supervisor]) -> None:
    try:
        async with one_more() as supervisor:
            apart = await supervisor.wait_link()
            async with channel_aside(apart) as channel:
                await declare_exchange(channel, queue.exchange)
    except ConnectError as error:  # pragma: no cover - the broker ends meanwhile
        raise LinkLost(str(error)) from error
    except AmqError as error:
        if "unknown exchange type" not in str(error):  # pragma: no cover - lost meanwhile
            raise
        raise TopologyError(
            "the broker has no exchanges that hash. On each of its nodes, enable their plugin: "
            f"rabbitmq-plugins enable {PLUGIN}"
        ) from error


async def _exists(link: Link, exchange: Exchange) -> bool:
    try:
        async with channel_aside(link) as channel:
            await declare_exchange(channel, replace(exchange, declare=False))
    except TopologyError as error:
        if error.code != 404:  # pragma: no cover - it exists, and the user may not look
            raise
        return False
    return True
