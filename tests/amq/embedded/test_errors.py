"""Errors have RabbitMQ's codes, scopes and texts: each is provoked on both brokers."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gestalt.amq.wire import methods as m
from tests.support.wire_client import ClosedError, WireClient

QUEUE = "errors.queue"
LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{0}' in vhost '/'. It could"
    " be originally declared on another connection or the exclusive property value does not match"
)


def queue(name=QUEUE, **fields):
    return m.QueueDeclare(0, name, **fields)


def with_arguments(**arguments):
    named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    return m.QueueDeclare(0, "", exclusive=True, arguments=named)


def quorum(**fields):
    return m.QueueDeclare(0, "errors.quorum", arguments={"x-queue-type": "quorum"}, **fields)


CASES = [
    # Things that are not there
    (queue("no.queue", passive=True), 404, "NOT_FOUND - no queue 'no.queue' in vhost '/'"),
    (m.BasicConsume(0, "no.queue"), 404, "NOT_FOUND - no queue 'no.queue' in vhost '/'"),
    (m.BasicGet(0, "no.queue"), 404, "NOT_FOUND - no queue 'no.queue' in vhost '/'"),
    (m.QueuePurge(0, "no.queue"), 404, "NOT_FOUND - no queue 'no.queue' in vhost '/'"),
    (m.QueuePurge(0, ""), 404, "NOT_FOUND - no previously declared queue"),
    (
        m.ExchangeDeclare(0, "no.exchange", passive=True),
        404,
        "NOT_FOUND - no exchange 'no.exchange' in vhost '/'",
    ),
    (m.QueueBind(0, QUEUE, "no.exchange", "k"), 404, "NOT_FOUND - no exchange 'no.exchange' in"),
    (m.QueueBind(0, "no.queue", "amq.topic", "k"), 404, "NOT_FOUND - no queue 'no.queue' in"),
    (m.ExchangeBind(0, "no.exchange", "amq.topic"), 404, "NOT_FOUND - no exchange 'no.exchange'"),
    # Declarations that do not agree with what is there
    (
        queue(durable=True, exclusive=False),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'errors.queue' in vhost '/':"
        " received 'true' but current is 'false'",
    ),
    (
        queue(auto_delete=True),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'errors.queue' in vhost"
        " '/': received 'true' but current is 'false'",
    ),
    (queue(exclusive=True), 405, LOCKED.format(QUEUE)),
    (
        queue(arguments={"x-max-length": 5}),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'errors.queue' in vhost"
        " '/': received the value '5' of type 'signedint' but current is none",
    ),
    (
        m.QueueDeclare(0, "errors.limited", arguments={"x-max-length": 6}),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'errors.limited' in vhost"
        " '/': received '6' but current is '5'",
    ),
    (
        m.QueueDeclare(0, "errors.limited"),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'errors.limited' in vhost"
        " '/': received none but current is the value '5' of type 'signedint'",
    ),
    (
        m.ExchangeDeclare(0, "amq.topic", "direct", durable=True),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.topic' in vhost '/':"
        " received 'direct' but current is 'topic'",
    ),
    (
        m.ExchangeDeclare(0, "amq.topic", "topic"),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'amq.topic' in vhost '/':"
        " received 'false' but current is 'true'",
    ),
    (
        m.ExchangeDeclare(
            0, "amq.topic", "topic", durable=True, arguments={"alternate-exchange": "x"}
        ),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'amq.topic' in"
        " vhost '/': received the value 'x' of type 'longstr' but current is none",
    ),
    # Names that are RabbitMQ's own
    (
        queue("amq.mine"),
        403,
        "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
    ),
    (
        m.ExchangeDeclare(0, "amq.mine"),
        403,
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    ),
    (
        m.ExchangeDelete(0, "amq.topic"),
        403,
        "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
    ),
    (m.ExchangeDelete(0, ""), 403, "ACCESS_REFUSED - operation not permitted on the default"),
    (m.ExchangeDeclare(0, ""), 403, "ACCESS_REFUSED - operation not permitted on the default"),
    (m.QueueBind(0, QUEUE, "", "k"), 403, "ACCESS_REFUSED - operation not permitted on the"),
    (m.QueueUnbind(0, QUEUE, "", "k"), 403, "ACCESS_REFUSED - operation not permitted on the"),
    (m.ExchangeBind(0, "amq.topic", "", "k"), 403, "ACCESS_REFUSED - operation not permitted on"),
    # Arguments
    (with_arguments(message_ttl=-1), 406, "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for"),
    (with_arguments(message_ttl="1"), 406, "PRECONDITION_FAILED - invalid arg 'x-message-ttl'"),
    (with_arguments(expires=0), 406, "PRECONDITION_FAILED - invalid arg 'x-expires' for queue"),
    (with_arguments(max_length=-1), 406, "PRECONDITION_FAILED - invalid arg 'x-max-length' for"),
    (with_arguments(max_length="x"), 406, "PRECONDITION_FAILED - invalid arg 'x-max-length' for"),
    (with_arguments(max_priority=256), 406, "PRECONDITION_FAILED - invalid arg 'x-max-priority'"),
    (with_arguments(overflow="x"), 406, "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue"),
    (
        m.QueueDeclare(0, "errors.odd", arguments={"x-queue-type": "x"}),
        406,
        "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'errors.odd' in vhost '/':",
    ),
    (with_arguments(single_active_consumer=1), 406, "PRECONDITION_FAILED - invalid arg 'x-single"),
    (with_arguments(dead_letter_exchange=1), 406, "PRECONDITION_FAILED - invalid type 'signedint'"),
    (with_arguments(dead_letter_routing_key="k"), 406, "PRECONDITION_FAILED - invalid arg 'x-dead"),
    (with_arguments(delivery_limit=3), 406, "PRECONDITION_FAILED - invalid arg 'x-delivery-limit'"),
    (
        m.QueueBind(0, QUEUE, "amq.headers", "", arguments={"x-match": "some"}),
        406,
        "PRECONDITION_FAILED - Invalid x-match field value",
    ),
    (
        m.ExchangeDeclare(0, "errors.x", arguments={"alternate-exchange": 1}),
        406,
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange",
    ),
    # Quorum queues
    (quorum(), 406, "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'errors.quo"),
    (
        quorum(durable=True, auto_delete=True),
        406,
        "PRECONDITION_FAILED - invalid property 'auto-delete' for queue 'errors.quorum'",
    ),
    (
        m.QueueDeclare(0, "", durable=True, arguments={"x-queue-type": "quorum"}),
        406,
        "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue",
    ),
    (
        m.QueueDeclare(
            0,
            "errors.quorum",
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-priority": 2},
        ),
        406,
        "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'errors.quorum' in vhost '/'"
        " of queue type rabbit_quorum_queue",
    ),
    # Settling
    (m.BasicAck(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1"),
    (m.BasicNack(7, True), 406, "PRECONDITION_FAILED - unknown delivery tag 7"),
    (m.BasicReject(0), 406, "PRECONDITION_FAILED - unknown delivery tag 0"),
    # What is not possible
    (m.TxCommit(), 406, "PRECONDITION_FAILED - channel is not transactional"),
    (m.TxRollback(), 406, "PRECONDITION_FAILED - channel is not transactional"),
    (m.BasicQos(1, 0), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)"),
    (m.BasicRecover(False), 540, "NOT_IMPLEMENTED - requeue=false"),
    (m.ChannelFlow(False), 540, "NOT_IMPLEMENTED - active=false"),
    (m.ChannelOpen(), 504, "CHANNEL_ERROR - second 'channel.open' seen"),
    (
        m.BasicConsume(0, "amq.rabbitmq.reply-to"),
        406,
        "PRECONDITION_FAILED - reply consumer cannot acknowledge",
    ),
    (
        m.QueueDelete(0, "errors.used", if_unused=True),
        406,
        "PRECONDITION_FAILED - queue 'errors.used' in vhost '/' in use",
    ),
    (
        m.QueueDelete(0, "errors.used", if_empty=True),
        406,
        "PRECONDITION_FAILED - queue 'errors.used' in vhost '/' not empty",
    ),
    (
        m.ExchangeDelete(0, "errors.source", if_unused=True),
        406,
        "PRECONDITION_FAILED - exchange 'errors.source' in vhost '/' in use",
    ),
    (
        m.BasicConsume(0, "errors.used", exclusive=True),
        403,
        "ACCESS_REFUSED - queue 'errors.used' in vhost '/' in exclusive use",
    ),
]


@pytest.fixture
def stage(connect):
    """A client for errors, and another one that keeps what they are about."""
    other = connect()
    other.channel(1)
    other.call(1, queue(auto_delete=False))
    other.call(1, m.QueueDeclare(0, "errors.limited", arguments={"x-max-length": 5}))
    other.call(1, m.QueueDeclare(0, "errors.used"))
    other.call(1, m.BasicQos(0, 1))
    other.call(1, m.BasicConsume(0, "errors.used", "tag"))
    for _ in range(2):
        other.publish(1, "", "errors.used")
    other.receive(m.BasicDeliver)
    other.call(1, m.ExchangeDeclare(0, "errors.source", "fanout"))
    other.call(1, m.QueueBind(0, QUEUE, "errors.source"))
    client = connect()
    client.channel(1)
    yield client
    for name in (QUEUE, "errors.limited", "errors.used"):
        other.call(1, m.QueueDelete(0, name))
    other.call(1, m.ExchangeDelete(0, "errors.source"))


@pytest.mark.parametrize(
    ("method", "code", "text"), CASES, ids=[f"{type(c[0]).__name__}-{c[2][:60]}" for c in CASES]
)
def test_an_error_has_the_code_the_scope_and_the_text(stage, method, code, text):
    stage.send(1, method)
    error = stage.closed()
    assert error.text.startswith(text)
    assert error.code == code
    assert error.scope == ("connection" if code > 500 else "channel")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("x-message-ttl", "arg 'x-message-ttl' for {}: \"expected integer, got void\""),
        ("x-expires", "arg 'x-expires' for {}: \"expected integer, got void\""),
        ("x-max-length", "arg 'x-max-length' for {}: \"expected integer, got void\""),
        ("x-max-length-bytes", "arg 'x-max-length-bytes' for {}: \"expected integer, got void\""),
        ("x-max-priority", "arg 'x-max-priority' for {}: \"expected integer, got void\""),
        ("x-queue-version", "arg 'x-queue-version' for {}: \"expected integer, got void\""),
        ("x-dead-letter-exchange", "type 'void' for arg 'x-dead-letter-exchange' in {}"),
        ("x-overflow", "arg 'x-overflow' for {}: {{unacceptable_type,void}}"),
        ("x-queue-type", "arg 'x-queue-type' for {}: {{unacceptable_type,void}}"),
        (
            "x-single-active-consumer",
            "arg 'x-single-active-consumer' for {}: {{unacceptable_type,void}}",
        ),
    ],
)
def test_an_argument_that_is_given_as_nothing_is_refused(client, unique, key, text):
    client.send(1, m.QueueDeclare(0, unique, exclusive=True, arguments={key: None}))
    error = client.closed()
    resource = f"queue '{unique}' in vhost '/'"
    assert error.text.startswith("PRECONDITION_FAILED - invalid " + text.format(resource))
    assert error.scope == "channel"


def test_a_consumers_priority_that_is_given_as_nothing_is_refused(client):
    queue = client.call(1, m.QueueDeclare(0, "", exclusive=True)).queue
    client.send(1, m.BasicConsume(0, queue, arguments={"x-priority": None}))
    assert client.closed().text.endswith(': "expected integer, got void"')


PUBLISHES = [
    (("no.exchange", "k"), {}, 404, "NOT_FOUND - no exchange 'no.exchange' in vhost '/'"),
    (("amq.rabbitmq.trace", "k"), {}, 403, "ACCESS_REFUSED - cannot publish to internal exchange"),
    (
        ("", QUEUE),
        {"user_id": "else"},
        406,
        "PRECONDITION_FAILED - user_id property set to 'else' but authenticated user was 'guest'",
    ),
    (("", QUEUE), {"expiration": "soon"}, 406, "PRECONDITION_FAILED - invalid expiration 'soon'"),
    (("", QUEUE), {"expiration": "-1"}, 406, "PRECONDITION_FAILED - invalid expiration '-1'"),
    (
        ("", QUEUE),
        {"reply_to": "amq.rabbitmq.reply-to"},
        406,
        "PRECONDITION_FAILED - fast reply consumer does not exist",
    ),
    (("", QUEUE), {"headers": {"CC": "k"}}, 406, "PRECONDITION_FAILED - invalid message:"),
]


@pytest.mark.parametrize(("address", "properties", "code", "text"), PUBLISHES)
def test_a_publish_that_is_refused_closes_the_channel(stage, address, properties, code, text):
    stage.publish(1, *address, **properties)
    error = stage.closed()
    assert (error.code, error.scope) == (code, "channel")
    assert error.text.startswith(text)


def test_a_method_on_a_channel_that_is_not_open_closes_the_connection(client):
    client.send(5, m.BasicQos(0, 1))
    error = client.closed(5)
    assert (error.code, error.scope) == (504, "connection")
    assert error.text == "CHANNEL_ERROR - expected 'channel.open'"


def test_a_consumer_tag_is_used_once(client):
    name = client.call(1, m.QueueDeclare(0, "", exclusive=True)).queue
    client.call(1, m.BasicConsume(0, name, "tag"))
    client.send(1, m.BasicConsume(0, name, "tag"))
    error = client.closed()
    assert (error.code, error.scope) == (530, "connection")
    assert error.text == "NOT_ALLOWED - attempt to reuse consumer tag 'tag'"


def test_confirms_and_transactions_do_not_mix(client):
    client.call(1, m.TxSelect())
    client.send(1, m.ConfirmSelect())
    assert client.closed().text.endswith("cannot switch from tx to confirm mode")
    client.channel(2)
    client.call(2, m.ConfirmSelect())
    client.send(2, m.TxSelect())
    assert client.closed(2).text.endswith("cannot switch from confirm to tx mode")


def test_a_wrong_password_is_refused(broker_url):
    with pytest.raises(ClosedError) as caught:
        WireClient(broker_url.replace("guest:guest", "guest:wrong"))
    assert (caught.value.code, caught.value.scope) == (403, "connection")
    assert caught.value.text == (
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."
        " For details see the broker logfile."
    )


def test_limits_beyond_the_brokers_end_the_connection_without_a_word(broker_url):
    def open_with(tune):
        with pytest.raises(ConnectionError):
            WireClient(broker_url, tune=tune)

    # RabbitMQ takes three seconds to close each.
    with ThreadPoolExecutor() as threads:
        opened = [
            threads.submit(open_with, tune)
            for tune in (
                m.ConnectionTuneOk(0, 131_072, 0),
                m.ConnectionTuneOk(9999, 131_072, 0),
                m.ConnectionTuneOk(9, 0, 0),
                m.ConnectionTuneOk(9, 4095, 0),
            )
        ]
    for each in opened:
        each.result()


def test_an_unknown_virtual_host_is_refused(broker_url):
    with pytest.raises(ClosedError) as caught:
        WireClient(broker_url.rsplit("/", 1)[0] + "/nowhere")
    assert (caught.value.code, caught.value.text) == (530, "NOT_ALLOWED - vhost nowhere not found")
