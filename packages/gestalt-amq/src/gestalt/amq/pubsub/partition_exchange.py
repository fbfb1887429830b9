"""Declaring the exchange of a partitioned queue, whose type a broker may know nothing of."""

import contextlib
from collections.abc import Callable

from gestalt.amq.errors import AmqError, ConnectError, LinkLost, TopologyError
from gestalt.amq.link.interface import Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.topology import declare_exchange

from .partitions import PLUGIN, Partitioned


async def declare_partitions(
    link: Link, queue: Partitioned, one_more: Callable[[], Supervisor]
) -> None:
    """See to it that the exchange is there that spreads messages over the parts of a queue.

    Args:
        link: by which it is looked for.
        one_more: makes a connection to declare it by: a broker that does not know its type ends
            the whole connection.

    Raises:
        TopologyError: the broker refuses, or lacks the plugin for it.
        LinkLost: a connection ended.
    """
    if await _exists(link, queue.exchange.name):
        return
    try:
        async with one_more() as supervisor:
            apart = await supervisor.wait_link()
            channel = await apart.open_channel()
            await declare_exchange(channel, queue.exchange)
            await channel.close()
    except ConnectError as error:
        raise LinkLost(str(error)) from error
    except AmqError as error:
        if "unknown exchange type" not in str(error):
            raise
        raise TopologyError(
            "the broker has no exchanges that hash. On each of its nodes, enable their plugin: "
            f"rabbitmq-plugins enable {PLUGIN}"
        ) from error


async def _exists(link: Link, name: str) -> bool:
    channel = await link.open_channel()
    try:
        await channel.declare_exchange(
            name, "direct", durable=True, auto_delete=False, arguments={}, passive=True
        )
    except TopologyError as error:
        if error.code != 404:
            raise
        return False
    finally:
        with contextlib.suppress(AmqError):
            await channel.close()
    return True
