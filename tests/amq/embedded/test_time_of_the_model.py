"""The model by itself, with a clock of the test's: what takes minutes in a broker."""

import pytest

from gestalt.amq.embedded.model import BrokerModel, Session, semantics_of
from gestalt.amq.embedded.model.message import Entry, Message
from gestalt.amq.embedded.model.ready import ReadyMessages
from gestalt.amq.embedded.model.schedule import Schedule
from gestalt.amq.embedded.model.timeouts import DeliveryTimeouts
from gestalt.amq.wire import Properties, content_header
from gestalt.amq.wire import methods as m
from gestalt.amq.wire.decoder import Content


class Recorder:
    """Takes what a channel sends."""

    def __init__(self):
        self.sent = []

    def send(self, method):
        self.sent.append(method)

    def send_content(self, method, header, body):
        self.sent.append((method, body))

    def deliver(self, prefix, tag, redelivered, address, header, body):
        self.sent.append((tag, redelivered, body))


class Client:
    """A client of a model, without any connection."""

    def __init__(self, version="4.3", *, consumer_timeout=None):
        self.now = 0.0
        self.model = BrokerModel(
            users={},
            semantics=semantics_of(version),
            clock=lambda: self.now,
            time=lambda: 0.0,
            consumer_timeout=consumer_timeout,
        )
        self.output = Recorder()
        self.session = Session(
            self.model.virtual_host("/"),
            "guest",
            lambda _: self.output,
            channel_max=10,
            max_message_size=1000,
        )
        self.do(m.ChannelOpen())

    def do(self, method):
        """Returns what is sent because of a method."""
        self.output.sent.clear()
        self.session.receive(1, method, None)
        return list(self.output.sent)

    def quorum(self, name, **arguments):
        named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
        named["x-queue-type"] = "quorum"
        self.do(m.QueueDeclare(0, name, durable=True, arguments=named))

    def publish(self, queue, body, properties=None):
        header = content_header(properties or Properties(), len(body))
        self.output.sent.clear()
        content = Content(header, body, len(body))
        self.session.receive(1, m.BasicPublish(0, "", queue), content)
        return list(self.output.sent)

    def pass_by(self, seconds):
        """Returns what is sent when so much time has passed."""
        self.output.sent.clear()
        self.now += seconds
        self.model.schedule.run_due()
        return list(self.output.sent)

    def count(self, queue):
        return len(self.model.virtual_host("/").queue(queue).ready)


def test_a_consumer_that_is_late_hands_its_turn_on_and_gets_it_back():
    client = Client()
    client.quorum("q", consumer_timeout=1000)
    client.do(m.BasicConsume(0, "q", "slow"))
    assert client.publish("q", b"1") == [(1, False, b"1")]
    assert client.pass_by(0.5) == []
    assert client.publish("q", b"2") == [(2, False, b"2")]
    # The first one is late, and the second is not yet.
    assert client.pass_by(0.6) == [m.BasicCancel("slow", True)]
    assert client.count("q") == 1
    assert client.do(m.BasicConsume(0, "q", "other"))[1:] == [(3, True, b"1")]
    assert client.do(m.BasicAck(3)) == []
    assert client.pass_by(0.5) == [(4, True, b"2"), m.BasicCancel("slow", True)]
    client.do(m.BasicCancel("other"))
    client.do(m.BasicAck(4))
    assert client.publish("q", b"3") == []
    assert client.do(m.BasicAck(1)) == []
    assert client.do(m.BasicAck(2)) == [(5, False, b"3")]


def test_what_is_late_does_not_count_against_the_delivery_limit():
    client = Client()
    client.quorum("q", consumer_timeout=1000, delivery_limit=0)
    client.do(m.BasicConsume(0, "q", "slow"))
    client.publish("q", b"1")
    client.pass_by(1.0)
    assert client.count("q") == 1
    client.do(m.BasicNack(1, False, True))
    assert client.count("q") == 1


def test_the_next_single_active_consumer_takes_over_from_one_that_is_late():
    client = Client()
    client.quorum("q", consumer_timeout=1000, single_active_consumer=True)
    for tag in ("first", "second"):
        client.do(m.BasicConsume(0, "q", tag))
    client.publish("q", b"1")
    assert client.pass_by(1.0) == [(2, True, b"1"), m.BasicCancel("first", True)]
    client.do(m.BasicAck(1))
    assert client.publish("q", b"2") == [(3, False, b"2")]
    client.do(m.BasicAck(2))
    assert client.do(m.BasicCancel("second"))[0] == m.BasicCancelOk("second")


def test_the_only_single_active_consumer_goes_on_when_it_has_settled_what_is_late():
    client = Client()
    client.quorum("q", consumer_timeout=1000, single_active_consumer=True)
    client.do(m.BasicConsume(0, "q", "only"))
    client.publish("q", b"1")
    assert client.pass_by(1.0) == [m.BasicCancel("only", True)]
    assert client.do(m.BasicReject(1, False)) == [(2, True, b"1")]


def test_what_was_late_before_comes_back_once():
    client = Client(consumer_timeout=1800.0)
    client.quorum("q")
    client.do(m.BasicConsume(0, "q", "slow"))
    sent = []
    for minute in range(60):
        if minute in (5, 20):
            client.publish("q", b"%d" % minute)
        sent += client.pass_by(60.0)
        assert client.count("q") == len(sent) <= minute // 15
    assert sent == [m.BasicCancel("slow", True)] * 2


def test_what_a_cancelled_consumer_is_late_with_closes_the_channel():
    client = Client(consumer_timeout=1800.0)
    for name in ("first", "second"):
        client.quorum(name)
        client.do(m.BasicConsume(0, name, name))
        client.publish(name, b"1")
    client.do(m.BasicCancel("first"))
    client.pass_by(60.0)
    [close] = client.pass_by(1900.0)
    assert "Timeout value used: -1 ms" in close.reply_text
    assert (client.count("first"), client.count("second")) == (1, 1)


def test_a_reader_of_a_stream_of_4_0_that_is_late_loses_its_channel():
    client = Client("4.0")
    arguments = {"x-queue-type": "stream", "x-consumer-timeout": 1000}
    client.do(m.QueueDeclare(0, "s", durable=True, arguments=arguments))
    client.do(m.BasicQos(0, 10))
    client.do(m.BasicConsume(0, "s", "slow"))
    client.publish("s", b"1")
    [close] = client.pass_by(1.0)
    assert "Timeout value used: 1000 ms" in close.reply_text


def test_a_channel_of_4_0_is_closed_for_what_is_late():
    client = Client("4.0")
    client.quorum("q", consumer_timeout=1000)
    client.do(m.BasicConsume(0, "q", "slow"))
    client.publish("q", b"1")
    [close] = client.pass_by(1.0)
    assert isinstance(close, m.ChannelClose)
    assert close.reply_code == 406
    assert client.count("q") == 1


def late_after(client, kind, how):
    """Returns what is sent within the third minute after a delivery is late by half an hour."""
    if kind == "quorum":
        client.quorum("q")
    else:
        client.do(m.QueueDeclare(0, "q", durable=True))
    client.pass_by(1000.0)
    if how == "consume":
        client.do(m.BasicConsume(0, "q", "slow"))
    client.publish("q", b"1")
    if how == "get":
        client.do(m.BasicGet(0, "q"))
    for _ in range(29):
        assert client.pass_by(60.0) == []
    sent = []
    for _ in range(3):
        sent += client.pass_by(60.0)
    return sent


@pytest.mark.parametrize("how", ["consume", "get"])
@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize("version", ["3.10", "4.0"])
def test_half_an_hour_without_an_acknowledgement_closes_the_channel(version, kind, how):
    """As RabbitMQ 3.10.8 and 4.0.5 do."""
    client = Client(version, consumer_timeout=1800.0)
    [close] = late_after(client, kind, how)
    assert close.reply_code == 406
    assert "Timeout value used: 1800000 ms" in close.reply_text
    assert client.count("q") == 1


def test_half_an_hour_without_an_acknowledgement_ends_the_delivery_in_4_3():
    """As RabbitMQ 4.3.6 does; of classic queues it asks nothing."""
    client = Client(consumer_timeout=1800.0)
    assert late_after(client, "quorum", "consume") == [m.BasicCancel("slow", True)]
    assert client.count("q") == 1
    # When it has acknowledged, it goes on; what it gets then is looked after as well.
    assert client.do(m.BasicAck(1)) == [(2, True, b"1")]
    for _ in range(29):
        assert client.pass_by(60.0) == []
    sent = []
    for _ in range(3):
        sent += client.pass_by(60.0)
    assert sent == [m.BasicCancel("slow", True)]
    [close] = late_after(Client(consumer_timeout=1800.0), "quorum", "get")
    assert "Timeout value used: -1 ms" in close.reply_text
    for how in ("consume", "get"):
        assert late_after(Client(consumer_timeout=1800.0), "classic", how) == []


def test_a_queue_that_has_a_timeout_of_its_own_is_looked_after_by_that_alone():
    client = Client("4.0", consumer_timeout=100.0)
    client.quorum("q", consumer_timeout=1_000_000)
    client.do(m.BasicConsume(0, "q", "slow"))
    for body in (b"1", b"2"):
        client.publish("q", body)
    client.do(m.BasicCancel("slow"))
    for body in (b"3", b"4"):
        client.publish("q", body)
        client.do(m.BasicGet(0, "q"))
    for _ in range(9):
        assert client.pass_by(100.0) == []
    [close] = client.pass_by(100.0)
    assert "Timeout value used: 1000000 ms" in close.reply_text


def test_a_channel_that_is_closed_is_looked_after_no_more():
    client = Client("3.10", consumer_timeout=1800.0)
    client.do(m.QueueDeclare(0, "q", exclusive=True))
    assert client.model.schedule.next_due is not None
    client.do(m.ChannelClose(200, "", 0, 0))
    assert client.model.schedule.next_due is None


def test_a_delivery_that_is_acknowledged_is_never_late():
    client = Client()
    client.quorum("q", consumer_timeout=1000)
    client.do(m.BasicConsume(0, "q", "slow"))
    for number in range(3000):
        client.publish("q", b"%d" % number)
        client.do(m.BasicAck(number + 1))
    assert client.pass_by(10.0) == []


def test_timeouts_forget_what_is_settled():
    now, late, unsettled = [0.0], [], set()
    schedule = Schedule(lambda: now[0])
    timeouts = DeliveryTimeouts(schedule, 5.0, is_open=unsettled.__contains__, expired=late.extend)
    for tag in range(10_000):
        timeouts.add(tag)
    assert len(timeouts._due) <= 2001
    unsettled.update({9_998, 9_999})
    now[0] = 5.0
    schedule.run_due()
    assert late == [9_998, 9_999]
    timeouts.add(10_000)
    timeouts.close()
    assert schedule.next_due is None


@pytest.mark.parametrize("overflow", ["reject-publish", "drop-head"])
def test_a_dead_letter_that_nobody_takes_is_kept_where_it_is_to_be_taken_once(overflow):
    client = Client()
    client.quorum(
        "q",
        dead_letter_exchange="",
        dead_letter_routing_key="later",
        dead_letter_strategy="at-least-once",
        overflow=overflow,
    )
    client.publish("q", b"1")
    client.do(m.BasicGet(0, "q"))
    client.do(m.BasicReject(1, False))
    client.quorum("later")
    assert client.count("later") == 0
    client.pass_by(180.0)
    # As in RabbitMQ, that needs a queue that refuses, and does not drop.
    assert client.count("later") == (1 if overflow == "reject-publish" else 0)
    client.do(m.BasicGet(0, "later", True))
    assert client.model.memory == 0


def test_a_kept_dead_letter_goes_with_its_queue():
    client = Client()
    options = {"dead_letter_strategy": "at-least-once", "overflow": "reject-publish"}
    client.quorum("q", dead_letter_exchange="nowhere", **options)
    client.publish("q", b"1")
    client.do(m.BasicGet(0, "q"))
    client.do(m.BasicReject(1, False))
    assert client.model.memory > 0
    client.do(m.QueueDelete(0, "q"))
    client.pass_by(180.0)
    assert client.model.memory == 0


def test_what_a_transaction_has_not_acknowledged_yet_goes_back_with_its_channel():
    client = Client()
    client.do(m.QueueDeclare(0, "q"))
    client.publish("q", b"1")
    client.do(m.TxSelect())
    client.do(m.BasicGet(0, "q"))
    client.do(m.BasicAck(1))
    client.do(m.ChannelClose(200, "", 0, 0))
    assert client.count("q") == 1


def test_what_is_rejected_when_its_queue_is_gone_takes_no_memory():
    client = Client()
    client.do(m.QueueDeclare(0, "q"))
    client.publish("q", b"1")
    client.do(m.BasicGet(0, "q"))
    client.do(m.QueueDelete(0, "q"))
    assert client.model.memory > 0
    client.do(m.BasicReject(1, False))
    assert client.model.memory == 0


def test_a_queue_that_is_consumed_from_does_not_expire():
    client = Client()
    client.do(m.QueueDeclare(0, "q", arguments={"x-expires": 1000}))
    client.do(m.BasicConsume(0, "q", "tag"))
    client.pass_by(5.0)
    client.do(m.BasicCancel("tag"))
    assert client.count("q") == 0
    client.pass_by(1.0)
    assert "q" not in client.model.virtual_host("/").queues


def test_a_history_of_deaths_that_is_none_is_no_obstacle():
    client = Client()
    arguments = {
        "x-message-ttl": 1000,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "later",
    }
    client.do(m.QueueDeclare(0, "q", arguments=arguments))
    client.do(m.QueueDeclare(0, "later"))
    client.publish("q", b"1", Properties(headers={"x-death": "mine"}))
    client.pass_by(1.0)
    assert client.count("later") == 1


def test_what_has_expired_is_not_given_to_who_asks_just_then():
    client = Client()
    client.do(m.QueueDeclare(0, "q"))
    client.publish("q", b"1", Properties(expiration="1000"))
    client.now += 1.0
    assert client.do(m.BasicGet(0, "q")) == [m.BasicGetEmpty()]


def test_what_expires_at_a_low_priority_goes_from_behind_a_higher_one():
    client = Client()
    client.do(m.QueueDeclare(0, "q", arguments={"x-max-priority": 5}))
    client.publish("q", b"low", Properties(priority=1, expiration="1000"))
    client.publish("q", b"high", Properties(priority=5))
    client.pass_by(1.0)
    assert client.count("q") == 1
    assert client.do(m.BasicGet(0, "q"))[0][1] == b"high"


def entries(*priorities):
    for position, priority in enumerate(priorities):
        properties = Properties(priority=priority)
        message = Message("", ("key",), content_header(properties, 0), b"", properties)
        yield Entry(message, position, None)


def test_two_of_a_high_priority_pass_for_one_of_a_low_one():
    ready = ReadyMessages(lambda message: message.priority or 0, weight=2, returns_first=True)
    for entry in entries(0, 0, 1, 1, 1, 1, 1):
        ready.append(entry)
    order = []
    while len(ready):
        [first] = ready.firsts()
        assert ready.take() is first
        order.append(first.message.priority)
        if len(order) == 3:
            # What comes back comes first, and takes nobody's turn.
            ready.put_back(first)
            assert ready.take() is first
    assert order == [1, 1, 0, 1, 1, 0, 1]
