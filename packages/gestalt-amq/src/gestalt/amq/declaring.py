"""Declaring what is needed at the broker, and looking whether it is there."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from .errors import AmqError, TopologyError
from .link.interface import CHANNEL_CLOSED, Channel, Link, channel_aside
from .plan import Plan, PlannedBinding, PlannedQueue
from .topology import Exchange


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
            arguments=dict(exchange.arguments),
            passive=not exchange.declare,
        )
    except TopologyError as error:
        raise _named(f"exchange {exchange.name!r}", error) from error


async def declare_queue(channel: Channel, queue: PlannedQueue, *, passive: bool = False) -> None:
    """Declare a queue, or make sure that it exists; errors as those of `declare_exchange`."""
    if len(queue.name.encode("utf-8", "surrogateescape")) > 255:
        raise TopologyError(f"queue {queue.name!r}: AMQP's names have at most 255 bytes")
    try:
        await channel.declare_queue(
            queue.name,
            durable=queue.durable,
            exclusive=queue.exclusive,
            auto_delete=queue.auto_delete,
            arguments=dict(queue.arguments),
            passive=passive or queue.declares == "never",
        )
    except TopologyError as error:
        raise _named(f"queue {queue.name!r}", error) from error


async def declare_private(channel: Channel, *, auto_delete: bool = False) -> str:
    """Declare a queue of the connection's own, and return its name, which the broker makes up.

    Raises:
        TopologyError: the broker refused; the channel has ended by that.
        LinkLost: the connection ended.
    """
    try:
        return await channel.declare_queue("", exclusive=True, auto_delete=auto_delete)
    except TopologyError as error:
        raise _named("a private queue, which the broker names amq.gen-...", error) from error


async def declare_binding(channel: Channel, binding: PlannedBinding) -> None:
    """Bind a queue or an exchange; errors as those of `declare_exchange`."""
    bind = channel.bind_exchange if binding.to_exchange else channel.bind
    try:
        await bind(binding.destination, binding.source, binding.key, binding.arguments)
    except TopologyError as error:
        raise _named(f"binding of {binding}", error) from error


async def declare_aside(link: Link, queue: PlannedQueue) -> None:
    """Declare a queue on a channel for that alone: a refusal ends it, and no other.

    Raises:
        TopologyError: the broker refused.
        LinkLost: the connection ended.
    """
    if queue.declares == "missing":
        try:
            await _aside(link, partial(declare_queue, queue=queue, passive=True))
        except TopologyError as error:
            if error.code != 404:
                raise
        else:
            return
    await _aside(link, partial(declare_queue, queue=queue))


async def declare_all(
    link: Link, plan: Plan, refused: list[TopologyError], channel: Channel | None = None
) -> None:
    """Declare everything that is not there by itself, and see that the rest exists.

    Args:
        link: on which it is declared.
        plan: what is needed.
        refused: is given each refusal, which names what it is about.
        channel: the one to begin with; it has ended if anything is refused.

    Raises:
        LinkLost: the connection ended.
    """
    names: set[str] = set()
    own: list[Channel] = []
    try:
        for name, needed, declare in _steps(link, plan):
            if names.intersection(needed):
                continue  # what it needs is named already
            if channel is None or channel.closed.done():
                channel = await link.open_channel()
                own.append(channel)
            try:
                await declare(channel)
            except TopologyError as error:
                refused.append(error)
                names.add(name)
    finally:
        for each in own:
            with contextlib.suppress(AmqError):
                await each.close()


async def declare_plan(link: Link, plan: Plan) -> None:
    """Declare as `declare_all` does.

    Raises:
        TopologyError: the broker refused something; everything that it refused is named.
        LinkLost: the connection ended.
    """
    refused: list[TopologyError] = []
    await declare_all(link, plan, refused)
    if refused:
        raise all_refused(refused, plan)


def all_refused(refused: list[TopologyError], plan: Plan) -> TopologyError:
    """One error for all that the broker refused, which says what to do."""
    each = dict.fromkeys(map(str, refused))
    text = "; ".join(each)
    if len(each) > 1:
        text = f"the broker refuses {len(each)} things: {text}"
    if any(error.code == 403 for error in refused):
        text += f"; the user needs the permissions {plan.permissions()}"
    if any(error.code == 404 for error in refused):
        text += "; what is missing is declared by `python -m gestalt.amq topology apply`"
    return TopologyError(text, refused[0].code)


Step = tuple[str, tuple[str, ...], Callable[[Channel], Awaitable[None]]]


def _steps(link: Link, plan: Plan) -> Iterator[Step]:
    """Each thing: what it is called, what it needs of that, and what declares it."""
    for exchange in plan.exchanges:
        yield f"exchange {exchange.name}", (), partial(declare_exchange, exchange=exchange)
    for queue in plan.queues:
        declare = partial(declare_queue, queue=queue)
        if queue.declares == "missing":
            declare = partial(_declare_missing, link=link, queue=queue)
        yield f"queue {queue.name}", (), declare
    for binding in plan.bindings:
        if binding.declare and not binding.passing:
            kind = "exchange" if binding.to_exchange else "queue"
            needed = f"exchange {binding.source}", f"{kind} {binding.destination}"
            yield str(binding), needed, partial(declare_binding, binding=binding)


async def _declare_missing(_: Channel, *, link: Link, queue: PlannedQueue) -> None:
    await declare_aside(link, queue)


async def _aside(link: Link, declare: Callable[[Channel], Awaitable[None]]) -> None:
    async with channel_aside(link) as channel:
        await declare(channel)


def _named(what: str, error: TopologyError) -> TopologyError:
    hint = ""
    if error.code == 406 and "inequivalent arg" in str(error):
        hint = "; it exists with other properties: use those, or delete it, or declare=False"
    elif error.code == 403:
        hint = "; the user may not do that: permit it, or let somebody else declare it"
    return TopologyError(f"{what}: {str(error).removeprefix(CHANNEL_CLOSED)}{hint}", error.code)
