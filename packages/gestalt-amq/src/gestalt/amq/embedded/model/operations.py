"""What each method of a client does on its channel, but for publishing.

A function takes the channel and the method, and returns the answer, or None where none is due. The
texts of the errors are RabbitMQ's: clients and their tests look at them.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from gestalt.amq.wire import AmqpError
from gestalt.amq.wire.methods import (
    AccessRequest,
    AccessRequestOk,
    BasicAck,
    BasicCancel,
    BasicCancelOk,
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicGetEmpty,
    BasicGetOk,
    BasicNack,
    BasicQos,
    BasicQosOk,
    BasicRecover,
    BasicRecoverAsync,
    BasicRecoverOk,
    BasicReject,
    ChannelFlow,
    ChannelFlowOk,
    ConfirmSelect,
    ConfirmSelectOk,
    Method,
    TxCommit,
    TxCommitOk,
    TxRollback,
    TxRollbackOk,
    TxSelect,
    TxSelectOk,
)

from .arguments import check_consume, consume_priority, consume_timeout
from .channel import Channel, Transaction
from .consumer import Consumer, QueueConsumer, StreamConsumer
from .declarations import DECLARATIONS, accessible_queue, named_queue
from .deliveries import Delivery, header_for
from .overdue import watch, watch_gets
from .queue import Queue
from .stream import Stream
from .stream_start import read_filter, read_start
from .virtualhost import REPLY_QUEUE

Operation: TypeAlias = Callable[[Channel, Any], Method | None]
Settle: TypeAlias = Callable[[list[Delivery]], None]


def _ack(channel: Channel, method: BasicAck) -> None:
    _settle(channel, method.delivery_tag, method.multiple, channel.acknowledge)


def _nack(channel: Channel, method: BasicNack) -> None:
    action = channel.requeue_quietly if method.requeue else channel.discard
    _settle(channel, method.delivery_tag, method.multiple, action, rejects=True)


def _reject(channel: Channel, method: BasicReject) -> None:
    action = channel.requeue if method.requeue else channel.discard
    _settle(channel, method.delivery_tag, False, action, rejects=True)


def _settle(
    channel: Channel, tag: int, multiple: bool, action: Settle, *, rejects: bool = False
) -> None:
    collected = channel.collect(tag, multiple=multiple)
    if rejects and not channel.host.semantics.stream_rejects:
        _check_reject(channel, collected, "NOT_IMPLEMENTED", "basic.nack and basic.reject")
    if channel.transaction is not None:
        # All of no deliveries may be settled without end.
        if collected:
            channel.transaction.settlements.append((collected, action))
    else:
        action(list(collected.values()))


def _check_reject(
    channel: Channel, collected: dict[int, Delivery], error: str, operation: str
) -> None:
    for delivery in collected.values():
        if isinstance(delivery.queue, Stream):
            channel.restore(collected)
            resource = channel.host.resource("queue", delivery.queue.name)
            raise AmqpError(error, f"{operation} not supported by stream queues {resource}")


def _recover_async(channel: Channel, method: BasicRecoverAsync | BasicRecover) -> None:
    if not method.requeue:
        raise AmqpError("NOT_IMPLEMENTED", "requeue=false")
    collected = channel.collect(0, multiple=True)
    if not channel.host.semantics.stream_rejects:
        _check_reject(channel, collected, "INTERNAL_ERROR", "basic.recover")
    channel.requeue_quietly(list(collected.values()))


def _recover(channel: Channel, method: BasicRecover) -> Method:
    _recover_async(channel, method)
    return BasicRecoverOk()


def _get(channel: Channel, method: BasicGet) -> Method | None:
    found = accessible_queue(channel, named_queue(channel, method.queue))
    queue = channel.host.as_queue(found, "basic.get")
    if queue.options.quorum and queue.options.single_active_consumer:
        raise AmqpError(
            "RESOURCE_LOCKED",
            f"cannot obtain access to locked {channel.host.resource('queue', queue.name)}."
            f" basic.get operations are not supported by {channel.host.semantics.quorum_word}"
            " queues with single active consumer",
        )
    entry = queue.get(no_ack=method.no_ack)
    if entry is None:
        return BasicGetEmpty()
    tag = channel.next_delivery_tag() if method.no_ack else channel.hold(queue, entry)
    if not method.no_ack and (seconds := queue.options.consumer_timeout):
        _watch_get(channel, seconds, tag)
    message = entry.message
    answer = BasicGetOk(
        tag, entry.redelivered, message.exchange, message.routing_keys[0], len(queue.ready)
    )
    channel.output.send_content(answer, header_for(queue, entry), message.body)
    return None


def _watch_get(channel: Channel, seconds: float, tag: int) -> None:
    timeouts = channel.get_timeouts.get(seconds)
    if timeouts is None:
        host = channel.host
        timeouts = watch_gets(channel, seconds, host.semantics, host.schedule)
        channel.get_timeouts[seconds] = timeouts
    timeouts.add(tag)


def _consume(channel: Channel, method: BasicConsume) -> Method | None:
    tag = method.consumer_tag
    reply_tag = channel.reply_consumer.tag if channel.reply_consumer is not None else None
    if tag and (tag in channel.consumers or tag == reply_tag):
        raise AmqpError("NOT_ALLOWED", f"attempt to reuse consumer tag '{tag}'")
    tag = tag or channel.new_tag("amq.ctag")
    answer = None if method.nowait else BasicConsumeOk(tag)
    if method.queue == REPLY_QUEUE:
        if not method.no_ack:
            raise AmqpError("PRECONDITION_FAILED", "reply consumer cannot acknowledge")
        if channel.reply_consumer is not None:
            raise AmqpError("PRECONDITION_FAILED", "reply consumer already set")
        channel.set_reply_consumer(tag)
        return answer
    queue = accessible_queue(channel, named_queue(channel, method.queue))
    channel.host.usage.check_consumers(len(channel.consumers))
    if isinstance(queue, Stream):
        _consume_stream(channel, method, queue, tag, answer)
    else:
        _consume_queue(channel, method, queue, tag, answer)
    return None


def _consume_queue(
    channel: Channel, method: BasicConsume, queue: Queue, tag: str, answer: Method | None
) -> None:
    host = channel.host
    resource = host.resource("queue", queue.name)
    priority = consume_priority(method.arguments, resource)
    timeout = consume_timeout(method.arguments, resource, host.semantics, queue.kind)
    check_consume(method.arguments, resource, host.semantics, queue.kind)
    _check_consume(channel, method, queue)
    consumer = QueueConsumer(
        channel.limiter,
        queue,
        tag,
        deliver=channel.deliver,
        cancelled=channel.consumer_cancelled,
        no_ack=method.no_ack,
        exclusive=method.exclusive and not queue.options.quorum,
        prefetch=channel.prefetch,
        priority=priority,
    )
    queue.add_consumer(consumer)
    _begin(channel, consumer, timeout, answer)


def _consume_stream(
    channel: Channel, method: BasicConsume, stream: Stream, tag: str, answer: Method | None
) -> None:
    host = channel.host
    resource = host.resource("queue", stream.name)
    arguments = method.arguments
    start = read_start(arguments, resource, host.time())
    consume_timeout(arguments, resource, host.semantics, stream.kind)
    check_consume(arguments, resource, host.semantics, stream.kind)
    values = read_filter(arguments, resource) if host.semantics.stream_filters else None
    without_prefetch, without_ack = host.semantics.stream_words
    if not channel.prefetch:
        raise AmqpError(
            "PRECONDITION_FAILED",
            f"consumer prefetch count is not set for {without_prefetch.format(resource)}",
        )
    if method.no_ack:
        raise AmqpError(
            "NOT_IMPLEMENTED",
            f"automatic acknowledgement not supported by {without_ack.format(resource)}",
        )
    _check_limit(channel, resource)
    consumer = StreamConsumer(
        channel.limiter,
        stream,
        tag,
        send=channel.deliver_record,
        cancelled=channel.consumer_cancelled,
        prefetch=channel.prefetch,
    )
    stream.add_reader(consumer, start, values)
    _begin(channel, consumer, None, answer)


def _begin(
    channel: Channel, consumer: Consumer, timeout: float | None, answer: Method | None
) -> None:
    watch(channel, consumer, timeout, channel.host.semantics, channel.host.schedule)
    channel.consumers[consumer.tag] = consumer
    # The answer goes out before the first delivery.
    if answer is not None:
        channel.output.send(answer)
    consumer.queue.run()


def _check_limit(channel: Channel, resource: str) -> None:
    if channel.limiter.limit:
        raise AmqpError("NOT_IMPLEMENTED", f"{resource} does not support global qos")


def _check_consume(channel: Channel, method: BasicConsume, queue: Queue) -> None:
    resource = channel.host.resource("queue", queue.name)
    if queue.options.quorum:
        # Quorum queues do not know exclusive consumers.
        _check_limit(channel, resource)
        return
    in_use = queue.consumers.exclusive or (method.exclusive and len(queue.consumers) > 0)
    if in_use or (method.exclusive and queue.options.single_active_consumer):
        raise AmqpError("ACCESS_REFUSED", f"{resource} in exclusive use")


def _cancel(channel: Channel, method: BasicCancel) -> Method | None:
    tag = method.consumer_tag
    answer = None if method.nowait else BasicCancelOk(tag)
    if channel.reply_consumer is not None and tag == channel.reply_consumer.tag:
        channel.drop_reply_consumer()
        return answer
    consumer = channel.consumers.pop(tag, None)
    if consumer is not None:
        consumer.leave()
    return answer


def _qos(channel: Channel, method: BasicQos) -> Method:
    if method.prefetch_size:
        raise AmqpError("NOT_IMPLEMENTED", f"prefetch_size!=0 ({method.prefetch_size})")
    limiter = channel.limiter
    if method.global_ and channel.host.semantics.global_prefetch:
        if not limiter.limit:
            limiter.used = len(channel.unacked)
        limiter.limit = method.prefetch_count
    else:
        channel.prefetch = method.prefetch_count
        limiter.limit = 0
    limiter.unblock()
    return BasicQosOk()


def _flow(_channel: Channel, method: ChannelFlow) -> Method:
    if not method.active:
        raise AmqpError("NOT_IMPLEMENTED", "active=false")
    return ChannelFlowOk(True)


def _access(_channel: Channel, _method: AccessRequest) -> Method:
    return AccessRequestOk(1)


def _confirm_select(channel: Channel, method: ConfirmSelect) -> Method | None:
    if channel.transaction is not None:
        raise AmqpError("PRECONDITION_FAILED", "cannot switch from tx to confirm mode")
    channel.confirming = True
    return None if method.nowait else ConfirmSelectOk()


def _tx_select(channel: Channel, _method: TxSelect) -> Method:
    if channel.confirming:
        raise AmqpError("PRECONDITION_FAILED", "cannot switch from confirm to tx mode")
    if channel.transaction is None:
        channel.transaction = Transaction()
    return TxSelectOk()


def _transaction(channel: Channel) -> Transaction:
    if channel.transaction is None:
        raise AmqpError("PRECONDITION_FAILED", "channel is not transactional")
    return channel.transaction


def _tx_commit(channel: Channel, _method: TxCommit) -> Method:
    transaction = _transaction(channel)
    accepted = channel.end_transaction(commit=True)
    for collected, action in transaction.settlements:
        action(list(collected.values()))
    if not accepted:
        raise AmqpError("PRECONDITION_FAILED", "partial tx completion")
    return TxCommitOk()


def _tx_rollback(channel: Channel, _method: TxRollback) -> Method:
    transaction = _transaction(channel)
    channel.end_transaction(commit=False)
    for collected, _ in transaction.settlements:
        channel.restore(collected)
    return TxRollbackOk()


OPERATIONS: Mapping[type, Operation] = {
    **DECLARATIONS,
    AccessRequest: _access,
    BasicAck: _ack,
    BasicCancel: _cancel,
    BasicConsume: _consume,
    BasicGet: _get,
    BasicNack: _nack,
    BasicQos: _qos,
    BasicRecover: _recover,
    BasicRecoverAsync: _recover_async,
    BasicReject: _reject,
    ChannelFlow: _flow,
    ConfirmSelect: _confirm_select,
    TxCommit: _tx_commit,
    TxRollback: _tx_rollback,
    TxSelect: _tx_select,
}
