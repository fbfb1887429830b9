"""Declaring what a topology describes, with errors that name it."""

from __future__ import annotations

from .errors import TopologyError
from .link import Channel
from .topology import Exchange, Queue, parking_arguments


def _named(what: str, error: TopologyError) -> TopologyError:
    hint = ""
    if error.code == 406:
        hint = "; it exists with other properties: use those, or delete it, or declare=False"
    return TopologyError(f"{what}: {error}{hint}", error.code)


async def declare_exchange(channel: Channel, exchange: Exchange) -> None:
    """Declare an exchange, or make sure that it exists.

    Raises:
        TopologyError: the broker refused; the channel has ended by that.
        LinkLost: the connection ended.
    """
    if exchange.predeclared:
        return
    try:
        await channel.declare_exchange(
            exchange.name,
            exchange.type,
            durable=exchange.durable,
            auto_delete=exchange.auto_delete,
            arguments=exchange.arguments,
            passive=not exchange.declare,
        )
    except TopologyError as error:
        raise _named(f"exchange {exchange.name!r}", error) from error


async def declare_shared(channel: Channel, queue: Queue) -> str:
    """Declare a shared queue and its parking, or make sure that it exists; return its name."""
    try:
        if queue.declare:
            await channel.declare_queue(queue.parking_name, arguments=parking_arguments())
        return await channel.declare_queue(
            queue.name, arguments=queue.all_arguments(), passive=not queue.declare
        )
    except TopologyError as error:
        raise _named(f"queue {queue.name!r}", error) from error
