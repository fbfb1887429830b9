"""The methods of the classes exchange and queue."""

from typing import NamedTuple

from .types import EMPTY, Bit, Fields, Long, Short, ShortStr


class ExchangeDeclare(NamedTuple):
    ticket: Short = 0
    exchange: ShortStr = ""
    type: ShortStr = "direct"
    passive: Bit = False
    durable: Bit = False
    auto_delete: Bit = False
    internal: Bit = False
    nowait: Bit = False
    arguments: Fields = EMPTY


class ExchangeDeclareOk(NamedTuple):
    """exchange.declare-ok: no fields."""


class ExchangeDelete(NamedTuple):
    ticket: Short = 0
    exchange: ShortStr = ""
    if_unused: Bit = False
    nowait: Bit = False


class ExchangeDeleteOk(NamedTuple):
    """exchange.delete-ok: no fields."""


class ExchangeBind(NamedTuple):
    ticket: Short = 0
    destination: ShortStr = ""
    source: ShortStr = ""
    routing_key: ShortStr = ""
    nowait: Bit = False
    arguments: Fields = EMPTY


class ExchangeBindOk(NamedTuple):
    """exchange.bind-ok: no fields."""


class ExchangeUnbind(NamedTuple):
    ticket: Short = 0
    destination: ShortStr = ""
    source: ShortStr = ""
    routing_key: ShortStr = ""
    nowait: Bit = False
    arguments: Fields = EMPTY


class ExchangeUnbindOk(NamedTuple):
    """exchange.unbind-ok: no fields."""


class QueueDeclare(NamedTuple):
    ticket: Short = 0
    queue: ShortStr = ""
    passive: Bit = False
    durable: Bit = False
    exclusive: Bit = False
    auto_delete: Bit = False
    nowait: Bit = False
    arguments: Fields = EMPTY


class QueueDeclareOk(NamedTuple):
    queue: ShortStr = ""
    message_count: Long = 0
    consumer_count: Long = 0


class QueueBind(NamedTuple):
    ticket: Short = 0
    queue: ShortStr = ""
    exchange: ShortStr = ""
    routing_key: ShortStr = ""
    nowait: Bit = False
    arguments: Fields = EMPTY


class QueueBindOk(NamedTuple):
    """queue.bind-ok: no fields."""


class QueuePurge(NamedTuple):
    ticket: Short = 0
    queue: ShortStr = ""
    nowait: Bit = False


class QueuePurgeOk(NamedTuple):
    message_count: Long = 0


class QueueDelete(NamedTuple):
    ticket: Short = 0
    queue: ShortStr = ""
    if_unused: Bit = False
    if_empty: Bit = False
    nowait: Bit = False


class QueueDeleteOk(NamedTuple):
    message_count: Long = 0


class QueueUnbind(NamedTuple):
    ticket: Short = 0
    queue: ShortStr = ""
    exchange: ShortStr = ""
    routing_key: ShortStr = ""
    arguments: Fields = EMPTY


class QueueUnbindOk(NamedTuple):
    """queue.unbind-ok: no fields."""
