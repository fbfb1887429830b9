"""Declaring what a topology describes, with errors that name it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from .errors import AmqError, TopologyError
from .link.interface import Channel, Link
from .topology import Exchange, Queue, parking_arguments


def _named(what: str, error: TopologyError) -> TopologyError:
    hint = ""
    if error.code == 406:
        hint = "; it exists with other properties: use those, or delete it, or declare=False"
    elif error.code == 403:
        hint = "; the user may not configure it: permit that, or let somebody else declare it"
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


async def declare_aside(
    link: Link, name: str, arguments: Mapping[str, Any], *, exclusive: bool, given: bool
) -> None:
    """Declare a queue on a channel for that alone: a refusal ends it, and no other.

    Args:
        exclusive: it is this connection's, and vanishes with it.
        given: one that exists is used as it is.

    Raises:
        TopologyError: the broker refused.
        LinkLost: the connection ended.
    """
    if len(name.encode("utf-8", "surrogateescape")) > 255:
        raise TopologyError(f"queue {name!r}: AMQP's names have at most 255 bytes")
    if given and await _exists(link, name):
        return
    channel = await link.open_channel()
    try:
        await channel.declare_queue(
            name, durable=not exclusive, exclusive=exclusive, arguments=arguments
        )
    except TopologyError as error:
        raise _named(f"queue {name!r}", error) from error
    finally:
        with contextlib.suppress(AmqError):
            await channel.close()


async def _exists(link: Link, name: str) -> bool:
    channel = await link.open_channel()
    try:
        await channel.declare_queue(name, passive=True)
    except TopologyError as error:
        if error.code != 404:
            raise _named(f"queue {name!r}", error) from error
        return False
    finally:
        with contextlib.suppress(AmqError):
            await channel.close()
    return True
