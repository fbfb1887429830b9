"""The same random operations on the embedded broker and on RabbitMQ have the same outcomes.

After every operation the answers, or the errors with code, scope and text, all deliveries, returns
and confirms, and the number of messages and consumers of every queue are compared.
GESTALT_DIFFERENTIAL_EXAMPLES sets how many sequences are tried.
"""

import os
import time
import uuid

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from gestalt.amq.wire import methods as m
from gestalt.amq.wire import read_properties
from tests.support.wire_client import ClosedError, WireClient

QUEUES = st.sampled_from(["q0", "q1", "q2"])
EXCHANGES = st.sampled_from(["e0", "e1"])
KEYS = st.sampled_from(["a", "a.b", "#", "a.*", "", "1", "2", "0"])
QUORUM = {"x-queue-type": "quorum"}
ARGUMENTS = st.sampled_from(
    [
        {},
        QUORUM,
        {**QUORUM, "x-delivery-limit": 1},
        {**QUORUM, "x-delivery-limit": -1},
        {**QUORUM, "x-max-length": 2},
        {**QUORUM, "dead": "q1", "x-delivery-limit": 0},
        {**QUORUM, "x-single-active-consumer": True},
        {**QUORUM, "x-max-priority": 3},
        {"x-queue-type": "classic"},
        {"x-delivery-limit": 1},
        {"x-queue-version": 1},
        {"x-queue-mode": "odd"},
        {"x-queue-leader-locator": "client-local"},
        {"x-max-length": 2.0},
        {"x-max-length": 2},
        {"x-max-length": 1, "x-overflow": "reject-publish"},
        {"x-max-length-bytes": 5},
        {"x-max-priority": 3},
        {"x-single-active-consumer": True},
        {"x-message-ttl": 0},
        {"x-message-ttl": -1},
        {"x-max-length": "1"},
        {"dead": "q1"},
        {"dead": "q2", "x-max-length": 1},
    ]
)
BINDING_ARGUMENTS = st.sampled_from([{}, {"x-match": "any", "h": 1}, {"h": 1, "i": None}])
TAGS = st.sampled_from(["c0", "c1"])
HEADERS = st.sampled_from([None, {}, {"h": 1}, {"h": 1, "i": "x"}, {"h": True}])
STREAM = {"x-queue-type": "stream"}
STREAM_ARGUMENTS = st.sampled_from(
    [
        STREAM,
        STREAM,
        {**STREAM, "x-max-age": "1h"},
        {**STREAM, "x-max-age": "60m"},
        {**STREAM, "x-max-age": "1y"},
        {**STREAM, "x-max-length-bytes": 10_000},
        {**STREAM, "x-stream-max-segment-size-bytes": 3_000_000_001},
        {**STREAM, "x-stream-filter-size-bytes": 300},
        {**STREAM, "x-max-length": 2},
        {**STREAM, "x-single-active-consumer": True},
        {**STREAM, "x-consumer-timeout": 3_600_000},
    ]
)
STARTS = st.sampled_from(
    [
        {},
        {"x-stream-offset": "first"},
        {"x-stream-offset": "first"},
        {"x-stream-offset": "last"},
        {"x-stream-offset": "next"},
        {"x-stream-offset": 1},
        {"x-stream-offset": 3},
        {"x-stream-offset": -1},
        {"x-stream-offset": "1h"},
        {"x-stream-offset": "1d"},
        {"x-stream-offset": "first", "x-stream-filter": "a"},
        {"x-stream-offset": "first", "x-stream-filter": "a", "x-stream-match-unfiltered": True},
        {"x-stream-offset": "first", "x-stream-filter": ["a", "b"]},
        {"x-priority": 1},
    ]
)
SETTLE_TIME = 10.0


class Side:
    """One of the two brokers, and what it has sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.observer = WireClient(url)
        self.open()

    def open(self) -> None:
        self.client = WireClient(self.url)
        self.open_channel()

    def open_channel(self) -> None:
        self.client.channel(1)
        self.client.call(1, m.ConfirmSelect())
        self.seen: list[object] = []

    def do(self, method: m.Method, answered: bool) -> object:
        """Returns what comes of a method, in a form that can be compared."""
        try:
            if answered:
                self.client.send(1, method)
                answer = self.client.answer(1)
                body = answer.content.body if answer.content else None
                return type(answer.method).__name__, tuple(answer.method), body
            self.client.send(1, method)
        except ClosedError as error:
            return self.reopened(error)
        return None

    def reopened(self, error: ClosedError) -> object:
        if error.scope == "connection":
            self.client.socket.close()
            self.open()
        else:
            self.open_channel()
        self.client.inbox.clear()
        # RabbitMQ does not say why it fails.
        text = error.text.partition(" - ")[0] if error.code == 541 else error.text
        return error.code, error.scope, text

    def collect(self) -> list[object]:
        """Returns what was sent without being asked for, since the channel is open."""
        for received in self.client.inbox:
            method = tuple(received.method)
            entry: tuple[object, ...] = (type(received.method).__name__, method)
            if received.content is not None:
                properties = read_properties(received.content.header)
                headers = dict(properties.headers or {})
                for death in headers.get("x-death", ()):
                    death.pop("time")
                entry += (received.content.body, properties.priority, headers)
            self.seen.append(entry)
        self.client.inbox.clear()
        return self.seen

    def barrier(self) -> object:
        """Waits until everything that was sent has been dealt with; returns the error, if any."""
        try:
            self.client.call(1, m.ConfirmSelect())
        except ClosedError as error:
            return self.reopened(error)
        return None

    def counts(self, names: list[str], streams: set[str]) -> object:
        """Returns the messages and consumers of each queue, as another connection sees them.

        RabbitMQ counts the messages of a stream every few seconds only.
        """
        counts: list[object] = []
        for name in names:
            self.observer.channel(1)
            try:
                answer = self.observer.call(1, m.QueueDeclare(0, name, True))
                messages = None if name in streams else answer.message_count
                counts.append((messages, answer.consumer_count))
                self.observer.call(1, m.ChannelClose())
            except ClosedError as error:
                counts.append(error.code)
        return counts

    def close(self, queues: list[str], exchanges: list[str]) -> None:
        """Deletes what was declared, and closes the connections."""
        self.client.socket.close()
        self.observer.channel(1)
        for name in queues:
            self.observer.call(1, m.QueueDelete(0, name))
        for name in exchanges:
            self.observer.call(1, m.ExchangeDelete(0, name))
        self.observer.socket.close()


class Both(RuleBasedStateMachine):
    """Both brokers, driven alike, and what is done with any kind of queue."""

    urls: tuple[str, str]

    def __init__(self):
        super().__init__()
        self.prefix = uuid.uuid4().hex[:8] + "."
        self.queues = [self.prefix + name for name in ("q0", "q1", "q2")]
        self.sides = [Side(url) for url in self.urls]
        self.streams: set[str] = set()

    def teardown(self):
        for side in self.sides:
            side.close(self.queues, [self.prefix + "e0", self.prefix + "e1"])

    def both(self, method, *, answered=True):
        outcomes = [side.do(method, answered) for side in self.sides]
        if isinstance(method, m.QueueDeclare):
            outcomes = [self.without_count(method, outcome) for outcome in outcomes]
        assert outcomes[0] == outcomes[1]
        self.settle()

    def without_count(self, method, outcome):
        """Notes what is a stream, and leaves out how many messages that has."""
        if outcome[0] != "QueueDeclareOk":
            return outcome
        name, (queue, *_), _ = outcome
        if not method.passive:
            is_stream = method.arguments.get("x-queue-type") == "stream"
            (self.streams.add if is_stream else self.streams.discard)(queue)
        return name if queue in self.streams else outcome

    def settle(self):
        """Waits for RabbitMQ to have done what the embedded broker did at once."""
        deadline = time.monotonic() + SETTLE_TIME
        errors = [side.barrier() for side in self.sides]
        assert errors[0] == errors[1]
        while True:
            embedded, rabbitmq = [
                (side.counts(self.queues, self.streams), self.ordered(side.collect()))
                for side in self.sides
            ]
            if embedded == rabbitmq:
                return
            assert time.monotonic() < deadline, f"{embedded} is not {rabbitmq}"
            time.sleep(0.01)
            for side in self.sides:
                side.barrier()

    def ordered(self, seen):
        """Returns what was sent in the order that is the same on both."""
        return list(seen)

    def name(self, name):
        return self.prefix + name

    @rule(
        tag=st.integers(0, 5),
        multiple=st.booleans(),
        requeue=st.booleans(),
        kind=st.sampled_from(["ack", "nack", "reject"]),
    )
    def settle_deliveries(self, tag, multiple, requeue, kind):
        match kind:
            case "ack":
                method = m.BasicAck(tag, multiple)
            case "nack":
                method = m.BasicNack(tag, multiple, requeue)
            case _:
                method = m.BasicReject(tag, requeue)
        self.both(method, answered=False)

    @rule()
    def reopen(self):
        for side in self.sides:
            side.client.call(1, m.ChannelClose(200, ""))
            side.open_channel()
            side.client.inbox.clear()
        self.settle()

    @rule(tag=st.sampled_from(["c0", "c1"]))
    def cancel(self, tag):
        self.both(m.BasicCancel(tag))

    @rule(count=st.integers(0, 2), scope=st.booleans())
    def limit(self, count, scope):
        self.both(m.BasicQos(0, count, scope))

    @rule()
    def recover(self):
        self.both(m.BasicRecover(True))


class Differential(Both):
    """Queues of all kinds but streams, and exchanges."""

    @rule(queue=QUEUES, arguments=ARGUMENTS, durable=st.booleans(), passive=st.booleans())
    def declare_queue(self, queue, arguments, durable, passive):
        arguments = dict(arguments)
        if "dead" in arguments:
            arguments["x-dead-letter-routing-key"] = self.name(arguments.pop("dead"))
            arguments["x-dead-letter-exchange"] = ""
        method = m.QueueDeclare(0, self.name(queue), passive and durable, durable)
        self.both(method._replace(arguments=arguments))

    @rule(queue=QUEUES, if_unused=st.booleans(), if_empty=st.booleans())
    def delete_queue(self, queue, if_unused, if_empty):
        self.both(m.QueueDelete(0, self.name(queue), if_unused, if_empty))

    @rule(queue=QUEUES)
    def purge(self, queue):
        self.both(m.QueuePurge(0, self.name(queue)))

    @rule(
        exchange=EXCHANGES,
        kind=st.sampled_from(["direct", "fanout", "topic", "headers", "x-consistent-hash", "odd"]),
        auto_delete=st.booleans(),
        arguments=st.sampled_from([{}, {}, {"hash-header": "i"}, {"hash-property": "odd"}]),
    )
    def declare_exchange(self, exchange, kind, auto_delete, arguments):
        method = m.ExchangeDeclare(0, self.name(exchange), kind, auto_delete=auto_delete)
        self.both(method._replace(arguments=arguments))

    @rule(exchange=EXCHANGES, if_unused=st.booleans())
    def delete_exchange(self, exchange, if_unused):
        self.both(m.ExchangeDelete(0, self.name(exchange), if_unused))

    @rule(queue=QUEUES, exchange=EXCHANGES, key=KEYS, arguments=BINDING_ARGUMENTS)
    def bind(self, queue, exchange, key, arguments):
        names = self.name(queue), self.name(exchange)
        self.both(m.QueueBind(0, *names, key, arguments=arguments))

    @rule(queue=QUEUES, exchange=EXCHANGES, key=KEYS, arguments=BINDING_ARGUMENTS)
    def unbind(self, queue, exchange, key, arguments):
        self.both(m.QueueUnbind(0, self.name(queue), self.name(exchange), key, arguments))

    @rule(destination=EXCHANGES, source=EXCHANGES, key=KEYS)
    def bind_exchange(self, destination, source, key):
        self.both(m.ExchangeBind(0, self.name(destination), self.name(source), key))

    @rule(
        exchange=EXCHANGES | st.just(""),
        queue=QUEUES,
        key=KEYS,
        mandatory=st.booleans(),
        body=st.sampled_from([b"", b"four", b"sixsix"]),
        priority=st.sampled_from([None, 0, 2, 9]),
        headers=HEADERS,
    )
    def publish(self, exchange, queue, key, mandatory, body, priority, headers):
        if exchange:
            exchange = self.name(exchange)
        else:
            key = self.name(queue)
        for side in self.sides:
            side.client.publish(
                1, exchange, key, body, mandatory=mandatory, priority=priority, headers=headers
            )
        self.settle()

    @rule(queue=QUEUES, no_ack=st.booleans())
    def get(self, queue, no_ack):
        self.both(m.BasicGet(0, self.name(queue), no_ack))

    @rule(
        queue=st.sampled_from(["q0"]),
        tag=st.sampled_from(["c0", "c1"]),
        no_ack=st.booleans(),
        exclusive=st.sampled_from([False, False, True]),
    )
    def consume(self, queue, tag, no_ack, exclusive):
        name = self.name(queue)
        self.both(m.BasicConsume(0, name, tag, no_ack=no_ack, exclusive=exclusive))


class StreamDifferential(Both):
    """A stream, which may be deleted and become another one, or a queue."""

    def ordered(self, seen):
        # RabbitMQ confirms before or after it delivers, and several at once, as it happens.
        confirmed = set()
        for name, method, *_ in seen:
            if name == "BasicAck":
                tag, multiple = method
                confirmed.update(range(1, tag + 1) if multiple else [tag])
        return [entry for entry in seen if entry[0] != "BasicAck"], confirmed

    @initialize()
    def begin(self):
        self.declare(STREAM, True)
        for body in (b"0", b"1", b"2"):
            self.append("a" if body == b"1" else None, body, None)

    @rule(arguments=STREAM_ARGUMENTS, durable=st.sampled_from([True, True, True, False]))
    def declare(self, arguments, durable):
        method = m.QueueDeclare(0, self.name("q0"), durable=durable, arguments=arguments)
        self.both(method)

    @rule(if_unused=st.booleans())
    def delete(self, if_unused):
        self.both(m.QueueDelete(0, self.name("q0"), if_unused))
        self.declare(STREAM, True)

    @rule(purge=st.booleans())
    def take(self, purge):
        name = self.name("q0")
        self.both(m.QueuePurge(0, name) if purge else m.BasicGet(0, name))

    @rule(tag=TAGS, arguments=STARTS, count=st.integers(1, 4))
    def read(self, tag, arguments, count):
        self.both(m.BasicQos(0, count, False))
        self.both(m.BasicConsume(0, self.name("q0"), tag, arguments=arguments))

    @rule(
        value=st.sampled_from([None, "", "a", "b"]),
        body=st.binary(max_size=3),
        header=st.sampled_from([None, 1, True, "x", {"a": 1}, [1], b"y", 1.5]),
    )
    def append(self, value, body, header):
        headers = {"h": header, "x-h": header}
        if value is not None:
            headers["x-stream-filter-value"] = value
        for side in self.sides:
            side.client.publish(1, "", self.name("q0"), body, headers=headers)
        self.settle()


def run(machine, amqp_url, rabbitmq_url, examples):
    machine.urls = (amqp_url, rabbitmq_url)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get("GESTALT_DIFFERENTIAL_EXAMPLES", examples)),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_operations_have_the_same_outcomes_on_both_brokers(amqp_url, rabbitmq_url):
    run(Differential, amqp_url, rabbitmq_url, 15)


def test_random_operations_on_streams_have_the_same_outcomes(amqp_url, rabbitmq_url):
    run(StreamDifferential, amqp_url, rabbitmq_url, 8)
