"""What the log of a stream keeps and drops, and what readers and publishers may cost."""

import bisect
import contextlib
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.amq.embedded import Policy, ResourceLimits, Settings, ThreadedBroker
from gestalt.amq.embedded.model import BrokerModel
from gestalt.amq.embedded.model.ages import read_age
from gestalt.amq.embedded.model.arguments import QueueOptions
from gestalt.amq.embedded.model.message import Message
from gestalt.amq.embedded.model.stream_log import StreamLog
from gestalt.amq.embedded.model.stream_record import Record
from gestalt.amq.wire import AmqpError, Properties, RawValue, content_header, read_properties
from gestalt.amq.wire import methods as m
from tests.support.wire_client import ClosedError, WireClient

STREAM = {"x-queue-type": "stream"}
FIRST = {"x-stream-offset": "first"}


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1s", 1000),
        ("2m", 120_000),
        ("01h", 3_600_000),
        ("7D", 604_800_000),
        ("1M", 2_592_000_000),
        ("1Y", 31_536_000_000),
        ("9" * 5000 + "s", int("9" * 40) * 1000),
        *(
            (text, None)
            for text in ("", "h", "0s", "1d", "-1h", "+1h", "1 h", "1hh", "1.5h", "\uff11h")
        ),
    ],
)
def test_an_age_is_a_number_and_a_unit(text, milliseconds):
    assert read_age(text) == milliseconds


appends = st.tuples(
    st.just("append"),
    st.sampled_from([None, "a", "b"]),
    st.integers(0, 5),
    st.integers(0, 900),
    st.sampled_from([1, 1, 1, 30]),
)
retains = st.tuples(
    st.just("retain"), st.none() | st.integers(0, 4000), st.none() | st.integers(0, 60)
)


@given(
    st.lists(appends | retains, max_size=80),
    st.sampled_from([1, 700, 2000, 10**9]),
    st.integers(-1, 300),
    st.none() | st.sets(st.sampled_from([None, "a", "b"]), min_size=1),
)
def test_a_log_gives_what_a_plain_list_of_segments_does(steps, limit, offset, values):
    log = StreamLog()
    segments = [[]]
    now = 0
    for step in steps:
        if step[0] == "append":
            _, value, later, size, times = step
            now += later
            for _ in range(times):
                record = Record(b"", bytes(size), b"", 0)
                is_full = log.append(record, value, now, limit=limit)
                segments[-1].append((log.end - 1, now, value, record))
                assert is_full == (sum(each[3].disk_size for each in segments[-1]) >= limit)
                if is_full:
                    segments.append([])
        else:
            _, max_bytes, age = step
            log.retain(max_bytes=max_bytes, oldest=None if age is None else now - age)
            while len(segments) > 1 and (
                (
                    max_bytes is not None
                    and sum(each[3].disk_size for each in chain(*segments)) > max_bytes
                )
                or (age is not None and segments[0][-1][1] < now - age)
            ):
                segments.pop(0)
    kept = list(chain(*segments))
    assert [(number, record) for number, record in log] == [(each[0], each[3]) for each in kept]
    assert len(log) == len(kept)
    assert log.first == (kept[0][0] if kept else log.end)
    matching = [each[0] for each in kept if values is None or each[2] in values]
    place = bisect.bisect_left(matching, offset)
    expected = matching[place] if place < len(matching) else None
    assert log.following(offset, values) == expected
    later = [each[0] for each in kept if each[1] >= offset]
    assert log.at_time(offset) == (later[0] if later else log.end)
    log.clear()
    assert (len(log), log.cost) == (0, 0)


def test_a_log_gives_up_the_places_of_what_it_has_dropped():
    log = StreamLog()
    for number in range(100_000):
        if log.append(Record(b"", b"", b"", 0), str(number), number, limit=1000):
            log.retain(max_bytes=10_000, oldest=None)
    assert len(log) < 200
    # What is there for each record that was dropped, or for its filter value.
    assert log.places < 5000


class Clock:
    def __init__(self):
        self.now = 1e9

    def __call__(self):
        return self.now


def message(body=b"body", **properties):
    properties = Properties(**properties)
    return Message("", ("s",), content_header(properties, len(body)), body, properties)


def test_segments_go_by_age_when_one_is_full_or_a_policy_comes():
    clock = Clock()
    model = BrokerModel(users={}, time=clock)
    host = model.virtual_host("/")
    options = QueueOptions(kind="stream", max_age=60_000, segment_bytes=1000)
    stream = host.add_queue(
        "s", durable=True, auto_delete=False, owner=None, arguments={}, options=options
    )
    for _ in range(10):
        stream.accept(message(bytes(500)))
    clock.now += 61
    assert stream.count == 10
    stream.accept(message(bytes(500)))
    stream.accept(message(bytes(500)))
    assert stream.count == 2
    before = model.memory
    clock.now += 30
    stream.accept(message(bytes(500)))
    stream.apply(Policy(name="p", pattern="", definition={"max-age": "20s"}))
    assert stream.count == 1
    assert model.memory < before
    host.delete_queue(stream)
    assert model.memory == 0


@contextlib.contextmanager
def broker_with(**settings):
    with ThreadedBroker(settings=Settings(**settings), stop_timeout=0) as broker:
        yield broker


def opened(broker, *, confirm=True):
    client = WireClient(broker.url)
    client.channel(1)
    if confirm:
        client.call(1, m.ConfirmSelect())
    client.call(1, m.QueueDeclare(0, "s", durable=True, arguments=STREAM))
    return client


def read(client, prefetch, tag="reader", arguments=FIRST):
    client.call(1, m.BasicQos(0, prefetch, False))
    client.call(1, m.BasicConsume(0, "s", tag, arguments=arguments))


def bodies(client, count):
    return [client.receive(m.BasicDeliver).content.body for _ in range(count)]


def test_too_many_deliveries_that_are_not_acknowledged_wait_and_go_on():
    with (
        broker_with(limits=ResourceLimits(stream_deliveries=3)) as broker,
        opened(broker) as client,
        opened(broker) as other,
    ):
        for number in range(5):
            client.publish(1, "", "s", b"%d" % number)
        read(client, 2)
        assert bodies(client, 2) == [b"0", b"1"]
        read(other, 5)
        assert bodies(other, 1) == [b"0"]
        (info,) = broker.queues()
        assert (info.ready, info.unacked, info.consumers) == (5, 3, 2)
        client.send(1, m.BasicAck(2, True))
        # The one that has waited comes first.
        assert bodies(other, 2) == [b"1", b"2"]
        client.socket.close()
        other.send(1, m.BasicAck(0, True))
        assert bodies(other, 2) == [b"3", b"4"]
        other.send(1, m.BasicAck(0, True))
        other.call(1, m.QueueDelete(0, "s"))
        assert broker.memory() == 0


def test_a_reader_that_does_not_read_gets_what_its_socket_takes():
    with broker_with() as broker, opened(broker) as client, opened(broker) as slow:
        for _ in range(300):
            client.publish(1, "", "s", bytes(100_000))
        for _ in range(300):
            client.receive(m.BasicAck)
        read(slow, 65_535)
        (info,) = broker.queues()
        assert info.unacked < 200
        assert len(bodies(slow, 300)) == 300


def test_readers_share_what_the_stream_keeps():
    with broker_with() as broker, opened(broker) as client:
        client.publish(1, "", "s", bytes(1_000_000))
        client.receive(m.BasicAck)
        kept = broker.memory()
        for number in range(20):
            read(client, 10, f"reader {number}")
        assert len(bodies(client, 20)) == 20
        assert broker.memory() - kept < 20 * 1000


def test_a_reader_whose_messages_are_gone_goes_on_with_the_first_that_is_there():
    with broker_with() as broker, opened(broker) as client:
        client.call(1, m.QueueDelete(0, "s"))
        arguments = {
            **STREAM, "x-max-length-bytes": 3000, "x-stream-max-segment-size-bytes": 1000
        }  # fmt: skip
        client.call(1, m.QueueDeclare(0, "s", durable=True, arguments=arguments))
        client.publish(1, "", "s", b"0")
        read(client, 1)
        assert bodies(client, 1) == [b"0"]
        for _ in range(40):
            client.publish(1, "", "s", bytes(400))
            client.receive(m.BasicAck)
        client.send(1, m.BasicAck(1, False))
        header = client.receive(m.BasicDeliver).content.header
        assert read_properties(header).headers["x-stream-offset"] > 30


def test_a_policy_of_the_broker_applies_to_a_stream():
    with broker_with() as broker, opened(broker) as client:
        broker.set_policy(
            "small", "^s$", {"stream-max-segment-size-bytes": 1000}, apply_to="streams"
        )
        for _ in range(20):
            client.publish(1, "", "s", bytes(400))
            client.receive(m.BasicAck)
        (info,) = broker.queues()
        assert (info.ready, info.policy) == (20, "small")
        broker.set_policy("smaller", "^s$", {"max-length-bytes": 2000}, priority=1)
        assert 0 < broker.queues()[0].ready <= 4
        broker.set_policy("of queues", "^s$", {"message-ttl": 1}, priority=2)
        assert broker.queues()[0].policy == "smaller"


@pytest.mark.parametrize(
    "definition",
    [
        {"max-age": "1d"},
        {"max-age": 5},
        {"stream-max-segment-size-bytes": 3_000_000_001},
        {"stream-filter-size-bytes": 5},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(definition):
    with pytest.raises(ValueError, match=next(iter(definition))):
        Policy(name="p", pattern="", definition=definition)


def test_what_a_stream_keeps_can_be_seen_and_not_be_purged():
    with broker_with() as broker, opened(broker) as client:
        client.publish(1, "", "s", b"body", type="t", headers={"a": [1], "b": 1})
        client.receive(m.BasicAck)
        (info,) = broker.messages("s")
        assert (info.body, info.exchange, info.routing_key) == (b"body", "", "s")
        assert info.properties.type == "t"
        assert info.properties.headers == {"b": 1, "x-stream-offset": 0}
        with pytest.raises(AmqpError, match=r"queue\.purge not supported by stream queues"):
            broker.purge_queue("s")


def test_a_transaction_that_a_stream_cannot_keep_leaves_nothing():
    with broker_with() as broker, opened(broker, confirm=False) as client:
        client.call(1, m.TxSelect())
        decimal = RawValue(b"D\x01\x00\x00\x00\x05")
        for headers in ({"d": decimal}, {}, {}):
            client.publish(1, "", "s", bytes(1000), headers=headers)
        with pytest.raises(ClosedError, match="the header 'd' is a decimal"):
            client.call(1, m.TxCommit())
        assert broker.memory() == 0


def test_a_dead_letter_that_a_stream_cannot_keep_is_nobodys_error():
    with broker_with() as broker, opened(broker) as client:
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "s"}
        client.call(1, m.QueueDeclare(0, "q", exclusive=True, arguments=arguments))
        client.publish(1, "", "q", headers={"d": RawValue(b"D\x01\x00\x00\x00\x05")})
        client.receive(m.BasicAck)
        client.get(1, "q", no_ack=False)
        client.send(1, m.BasicReject(1, False))
        client.call(1, m.ConfirmSelect())
        assert broker.memory() == 0


def test_a_filter_has_so_many_values_and_no_more():
    with broker_with() as broker, opened(broker) as client:
        values = [str(number) for number in range(256)]
        read(client, 1, "enough", {"x-stream-filter": values[:255]})
        with pytest.raises(ClosedError, match="it has 256 values, and may have 255"):
            read(client, 1, "many", {"x-stream-filter": values})
