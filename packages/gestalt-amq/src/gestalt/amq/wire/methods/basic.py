"""The methods of the classes basic, confirm and tx."""

from typing import NamedTuple

from .types import EMPTY, Bit, Fields, Long, LongLong, Short, ShortStr


class BasicQos(NamedTuple):
    prefetch_size: Long = 0
    prefetch_count: Short = 0
    global_: Bit = False


class BasicQosOk(NamedTuple):
    """basic.qos-ok: no fields."""


class BasicConsume(NamedTuple):
    ticket: Short = 0
    queue: ShortStr = ""
    consumer_tag: ShortStr = ""
    no_local: Bit = False
    no_ack: Bit = False
    exclusive: Bit = False
    nowait: Bit = False
    arguments: Fields = EMPTY


class BasicConsumeOk(NamedTuple):
    consumer_tag: ShortStr = ""


class BasicCancel(NamedTuple):
    consumer_tag: ShortStr = ""
    nowait: Bit = False


class BasicCancelOk(NamedTuple):
    consumer_tag: ShortStr = ""


class BasicPublish(NamedTuple):
    ticket: Short = 0
    exchange: ShortStr = ""
    routing_key: ShortStr = ""
    mandatory: Bit = False
    immediate: Bit = False


class BasicReturn(NamedTuple):
    reply_code: Short = 312
    reply_text: ShortStr = ""
    exchange: ShortStr = ""
    routing_key: ShortStr = ""


class BasicDeliver(NamedTuple):
    consumer_tag: ShortStr = ""
    delivery_tag: LongLong = 0
    redelivered: Bit = False
    exchange: ShortStr = ""
    routing_key: ShortStr = ""


class BasicGet(NamedTuple):
    ticket: Short = 0
    queue: ShortStr = ""
    no_ack: Bit = False


class BasicGetOk(NamedTuple):
    delivery_tag: LongLong = 0
    redelivered: Bit = False
    exchange: ShortStr = ""
    routing_key: ShortStr = ""
    message_count: Long = 0


class BasicGetEmpty(NamedTuple):
    reserved_1: ShortStr = ""


class BasicAck(NamedTuple):
    delivery_tag: LongLong = 0
    multiple: Bit = False


class BasicReject(NamedTuple):
    delivery_tag: LongLong = 0
    requeue: Bit = True


class BasicRecoverAsync(NamedTuple):
    requeue: Bit = False


class BasicRecover(NamedTuple):
    requeue: Bit = False


class BasicRecoverOk(NamedTuple):
    """basic.recover-ok: no fields."""


class BasicNack(NamedTuple):
    delivery_tag: LongLong = 0
    multiple: Bit = False
    requeue: Bit = True


class ConfirmSelect(NamedTuple):
    nowait: Bit = False


class ConfirmSelectOk(NamedTuple):
    """confirm.select-ok: no fields."""


class TxSelect(NamedTuple):
    """tx.select: no fields."""


class TxSelectOk(NamedTuple):
    """tx.select-ok: no fields."""


class TxCommit(NamedTuple):
    """tx.commit: no fields."""


class TxCommitOk(NamedTuple):
    """tx.commit-ok: no fields."""


class TxRollback(NamedTuple):
    """tx.rollback: no fields."""


class TxRollbackOk(NamedTuple):
    """tx.rollback-ok: no fields."""
