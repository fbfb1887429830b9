"""Declaring, binding, purging and deleting exchanges and queues."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gestalt.amq.wire import AmqpError, FieldValue
from gestalt.amq.wire.methods import (
    ExchangeBind,
    ExchangeBindOk,
    ExchangeDeclare,
    ExchangeDeclareOk,
    ExchangeDelete,
    ExchangeDeleteOk,
    ExchangeUnbind,
    ExchangeUnbindOk,
    Method,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
    QueuePurge,
    QueuePurgeOk,
    QueueUnbind,
    QueueUnbindOk,
)

from .ages import read_age
from .arguments import check_stream, read_options, type_name
from .channel import Channel
from .consumer import AnyQueue
from .exchange import Exchange
from .queue import Owner
from .routers import check_exchange_type
from .stream import Stream
from .versions import Semantics, not_permitted
from .virtualhost import REPLY_PREFIX, REPLY_QUEUE


def named_queue(channel: Channel, name: str) -> str:
    """Return the name, or for an empty one that of the queue declared last on the channel."""
    if name:
        return name
    if not channel.last_queue:
        raise AmqpError("NOT_FOUND", "no previously declared queue")
    return channel.last_queue


def accessible_queue(channel: Channel, name: str) -> AnyQueue:
    """Return the queue. Raises AmqpError when there is none, or it is another connection's own."""
    queue = channel.host.queue(name)
    _check_owner(channel, queue, queue.owner)
    return queue


def _check_owner(channel: Channel, queue: AnyQueue, declared_owner: Owner | None) -> None:
    """An exclusive queue is its owner's; and a declaration has to agree about that."""
    session = channel.session
    if queue.owner is declared_owner and queue.owner in (None, session):
        return
    raise AmqpError(
        "RESOURCE_LOCKED",
        "cannot obtain exclusive access to locked "
        f"{channel.host.resource('queue', queue.name)}. It could be originally declared on another"
        " connection or the exclusive property value does not match that of the original"
        " declaration.",
    )


def _check_name(kind: str, name: str) -> None:
    if name.startswith("amq."):
        raise AmqpError("ACCESS_REFUSED", f"{kind} name '{name}' contains reserved prefix 'amq.*'")


def _stripped(name: str) -> str:
    return name.replace("\n", "").replace("\r", "")


def _check_not_default(name: str) -> None:
    if not name:
        raise AmqpError("ACCESS_REFUSED", "operation not permitted on the default exchange")


# Exchanges


def _exchange_declare(channel: Channel, method: ExchangeDeclare) -> Method | None:
    answer = None if method.nowait else ExchangeDeclareOk()
    host = channel.host
    name = _stripped(method.exchange)
    if method.passive:
        _check_not_default(name)
        host.exchange(name)
        return answer
    check_exchange_type(method.type, host.semantics)
    _check_not_default(name)
    existing = host.exchanges.get(name)
    resource = host.resource("exchange", name)
    if existing is None:
        _check_name("exchange", name)
        alternate = method.arguments.get("alternate-exchange", "")
        if not isinstance(alternate, str):
            kind = type_name(method.arguments, "alternate-exchange")
            raise AmqpError(
                "PRECONDITION_FAILED",
                f"invalid type '{kind}' for arg 'alternate-exchange' in {resource}",
            )
        exchange = Exchange(
            name, method.type, method.durable, method.auto_delete, method.internal, method.arguments
        )
        host.add_exchange(exchange)
        return answer
    _check_equal("type", _as_atom(existing.type), _as_atom(method.type), resource)
    for field in ("durable", "auto_delete", "internal"):
        _check_equal(field, getattr(existing, field), getattr(method, field), resource)
    _check_arguments(["alternate-exchange"], existing.arguments, method.arguments, resource)
    return answer


def _exchange_delete(channel: Channel, method: ExchangeDelete) -> Method | None:
    name = _stripped(method.exchange)
    resource = channel.host.resource("exchange", name)
    _check_not_default(name)
    if name.startswith("amq."):
        raise AmqpError("ACCESS_REFUSED", f"deletion of system {resource} not allowed")
    exchange = channel.host.exchanges.get(name)
    if exchange is not None:
        if method.if_unused and exchange.bindings:
            raise AmqpError("PRECONDITION_FAILED", f"{resource} in use")
        channel.host.delete_exchange(exchange)
    return None if method.nowait else ExchangeDeleteOk()


def _exchange_bind(channel: Channel, method: ExchangeBind) -> Method | None:
    source, destination = map(channel.host.exchange, _exchange_names(method))
    channel.host.bind(source, destination, method.routing_key, method.arguments)
    return None if method.nowait else ExchangeBindOk()


def _exchange_unbind(channel: Channel, method: ExchangeUnbind) -> Method | None:
    source, destination = _exchange_names(method)
    exchanges = channel.host.exchanges
    # What is not there is not bound either: that is no error.
    if source in exchanges and destination in exchanges:
        channel.host.unbind(
            exchanges[source], exchanges[destination], method.routing_key, method.arguments
        )
    return None if method.nowait else ExchangeUnbindOk()


def _exchange_names(method: ExchangeBind | ExchangeUnbind) -> tuple[str, str]:
    source, destination = _stripped(method.source), _stripped(method.destination)
    _check_not_default(destination)
    _check_not_default(source)
    return source, destination


# Queues


def _queue_declare(channel: Channel, method: QueueDeclare) -> Method | None:
    name = _stripped(method.queue)
    host = channel.host
    if name.startswith(REPLY_QUEUE):
        return _declare_reply_queue(channel, name, method)
    if method.passive:
        queue = accessible_queue(channel, name)
    else:
        if name:
            _check_name("queue", name)
        elif method.arguments.get("x-queue-type", "classic") != "classic":
            raise AmqpError(
                "PRECONDITION_FAILED",
                "Cannot declare a server-named queue for type "
                f"rabbit_{_shown(method.arguments['x-queue-type'])}_queue",
            )
        else:
            name = channel.new_tag("amq.gen")
        queue = host.queues.get(name) or _new_queue(channel, name, method)
        _check_declared(channel, queue, method)
    queue.touch()
    channel.last_queue = queue.name
    if method.nowait:
        return None
    # A stream does not tell how many readers it has.
    consumers = 0 if isinstance(queue, Stream) else len(queue.consumers)
    return QueueDeclareOk(queue.name, queue.count, consumers)


def _declare_reply_queue(channel: Channel, name: str, method: QueueDeclare) -> Method | None:
    """Declares to an address of direct replies only ask whether somebody listens there."""
    suffix = name.removeprefix(REPLY_PREFIX)
    if name != REPLY_QUEUE and suffix not in channel.host.reply_consumers:
        raise AmqpError("NOT_FOUND", f"no {channel.host.resource('queue', name)}")
    channel.last_queue = name
    return None if method.nowait else QueueDeclareOk(name, 0, 1)


def _new_queue(channel: Channel, name: str, method: QueueDeclare) -> AnyQueue:
    resource = channel.host.resource("queue", name)
    semantics = channel.host.semantics
    options = read_options(method.arguments, resource, semantics)
    if not (method.durable or method.exclusive or semantics.transient_shared_queues):
        raise not_permitted("transient_nonexcl_queues")
    if options.kind != "classic":
        _check_replicated(method, resource)
    if options.kind == "stream":
        check_stream(method.arguments, options, semantics)
    return channel.host.add_queue(
        name,
        durable=_is_durable(method),
        auto_delete=method.auto_delete,
        owner=channel.session if method.exclusive else None,
        arguments=method.arguments,
        options=options,
    )


def _check_replicated(method: QueueDeclare, resource: str) -> None:
    problems = {
        "auto-delete": method.auto_delete,
        "exclusive-owner": method.exclusive,
        "non-durable": not method.durable,
    }
    for name, wrong in problems.items():
        if wrong:
            raise AmqpError("PRECONDITION_FAILED", f"invalid property '{name}' for {resource}")


def _check_declared(channel: Channel, queue: AnyQueue, method: QueueDeclare) -> None:
    resource = channel.host.resource("queue", queue.name)
    _check_owner(channel, queue, channel.session if method.exclusive else None)
    _check_equal("durable", queue.durable, _is_durable(method), resource)
    _check_equal("auto_delete", queue.auto_delete, method.auto_delete, resource)
    semantics = channel.host.semantics
    _check_arguments(
        semantics.arguments(queue.kind),
        queue.arguments,
        method.arguments,
        resource,
        semantics,
    )


def _is_durable(method: QueueDeclare) -> bool:
    # An exclusive queue goes with its connection, and so never survives a restart.
    return method.durable and not method.exclusive


def _queue_delete(channel: Channel, method: QueueDelete) -> Method | None:
    name = _stripped(named_queue(channel, method.queue))
    queue = channel.host.queues.get(name)
    count = 0
    if queue is not None:
        resource = channel.host.resource("queue", name)
        accessible_queue(channel, name)
        if isinstance(queue, Stream):
            # Whoever reads it, and whatever it has; and it does not tell how much that was.
            channel.host.delete_queue(queue)
            return None if method.nowait else QueueDeleteOk(0)
        if queue.options.quorum and (method.if_unused or method.if_empty):
            flag = "if-unused" if method.if_unused else "if-empty"
            raise AmqpError(
                "NOT_IMPLEMENTED",
                f"cannot delete {resource}. queue.delete operations with {flag} flag set are not"
                " supported by quorum queues",
            )
        if method.if_empty and len(queue.ready):
            raise AmqpError("PRECONDITION_FAILED", f"{resource} not empty")
        if method.if_unused and len(queue.consumers):
            raise AmqpError("PRECONDITION_FAILED", f"{resource} in use")
        count = channel.host.delete_queue(queue)
    return None if method.nowait else QueueDeleteOk(count)


def _queue_purge(channel: Channel, method: QueuePurge) -> Method | None:
    queue = accessible_queue(channel, named_queue(channel, method.queue))
    count = channel.host.as_queue(queue, "queue.purge").purge()
    return None if method.nowait else QueuePurgeOk(count)


def _queue_bind(channel: Channel, method: QueueBind) -> Method | None:
    exchange, queue, key = _ends(channel, method)
    # The exchange is missed before the queue, when both are missing.
    source = channel.host.exchange(exchange)
    channel.host.bind(source, accessible_queue(channel, queue), key, method.arguments)
    return None if method.nowait else QueueBindOk()


def _queue_unbind(channel: Channel, method: QueueUnbind) -> Method:
    exchange, queue, key = _ends(channel, method)
    source = channel.host.exchanges.get(exchange)
    if source is not None and queue in channel.host.queues:
        channel.host.unbind(source, accessible_queue(channel, queue), key, method.arguments)
    return QueueUnbindOk()


def _ends(channel: Channel, method: QueueBind | QueueUnbind) -> tuple[str, str, str]:
    """Return the names of exchange and queue, and the routing key: the queue's name for none."""
    name = _stripped(named_queue(channel, method.queue))
    key = method.routing_key if method.queue or method.routing_key else name
    exchange = _stripped(method.exchange)
    _check_not_default(exchange)
    return exchange, name, key


# Equivalence of what exists and what is declared


def _check_equal(field: str, current: object, received: object, resource: str) -> None:
    if current != received:
        _refuse(field, f"'{_shown(received)}'", f"'{_shown(current)}'", resource)


def _check_arguments(
    keys: Sequence[str],
    current: Mapping[str, FieldValue],
    received: Mapping[str, FieldValue],
    resource: str,
    semantics: Semantics | None = None,
) -> None:
    for key in keys:
        old, new = current.get(key), received.get(key)
        if key == "x-queue-type" and semantics is not None and semantics.compares_queue_types:
            # A queue without a type is classic.
            _check_equal(key, old or "classic", new or "classic", resource)
            continue
        if key == "x-max-age" and semantics is not None and semantics.compares_ages:
            old, new = _in_milliseconds(old), _in_milliseconds(new)
        # Two integers are equal whatever their types are; an integer and a float never are.
        if old == new and _kind(old) is _kind(new):
            continue
        if key == "x-queue-type" and {old, new} == {None, "classic"}:
            continue
        if old is not None and new is not None:
            if old != new or not isinstance(old, bool):
                _refuse(key, f"'{_shown(new)}'", f"'{_shown(old)}'", resource)
            _check_equal(key, old, new, resource)
        _refuse(key, _described(new, received, key), _described(old, current, key), resource)


def _in_milliseconds(age: FieldValue) -> FieldValue:
    milliseconds = read_age(age) if isinstance(age, str) else None
    return age if milliseconds is None else str(milliseconds)


def _as_atom(name: str) -> str:
    """The type of an exchange as RabbitMQ shows it: quoted where Erlang has to."""
    return name if name.isalnum() else f"'{name}'"


def _kind(value: FieldValue) -> type:
    return type(value) if isinstance(value, bool | float) else object


def _described(value: FieldValue, arguments: Mapping[str, FieldValue], key: str) -> str:
    if value is None:
        return "none"
    return f"the value '{_shown(value)}' of type '{type_name(arguments, key)}'"


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refuse(key: str, received: str, current: str, resource: str) -> None:
    raise AmqpError(
        "PRECONDITION_FAILED",
        f"inequivalent arg '{key}' for {resource}: received {received} but current is {current}",
    )


DECLARATIONS: Mapping[type, Callable[[Channel, Any], Method | None]] = {
    ExchangeBind: _exchange_bind,
    ExchangeDeclare: _exchange_declare,
    ExchangeDelete: _exchange_delete,
    ExchangeUnbind: _exchange_unbind,
    QueueBind: _queue_bind,
    QueueDeclare: _queue_declare,
    QueueDelete: _queue_delete,
    QueuePurge: _queue_purge,
    QueueUnbind: _queue_unbind,
}
