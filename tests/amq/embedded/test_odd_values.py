"""Values that few clients send: the broker of a version takes them, or says why not."""

import pytest

from gestalt.amq.embedded import ThreadedBroker
from gestalt.amq.wire import methods as m
from tests.support.rare import declared, on_a_channel, refusal

ANY = {"x-match": "any"}


@pytest.fixture(scope="module")
def oldest():
    with ThreadedBroker(stop_timeout=0, compatible="3.10") as broker:
        yield broker.url


@pytest.fixture
def client(newest):
    with on_a_channel(newest) as client:
        yield client


@pytest.fixture
def old(oldest):
    with on_a_channel(oldest) as client:
        yield client


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, "bool"), ("1", "longstr"), (1.5, "double"), (None, "void"), ({}, "table")],
)
def test_an_integer_of_another_type_is_refused_by_its_name(old, value, kind):
    method = m.QueueDeclare(0, "", exclusive=True, arguments={"x-max-length": value})
    code, text = refusal(old, method)
    assert code == 406
    assert kind in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"x-queue-mode": "busy"}, "unsupported queue mode 'busy'"),
        ({"x-queue-mode": 1}, "unacceptable_type"),
        ({"x-expires": 2**50}, "value_too_large"),
    ],
)
def test_an_old_broker_refuses_what_a_queue_cannot_be(old, arguments, said):
    code, text = refusal(old, m.QueueDeclare(0, "", exclusive=True, arguments=arguments))
    assert (code, said in text) == (406, True)


def test_a_local_random_exchange_gives_each_message_to_one_classic_queue(client, unique):
    client.call(1, m.ConfirmSelect())
    client.call(1, m.ExchangeDeclare(0, unique, "x-local-random", auto_delete=True))
    client.publish(1, unique, "nowhere", mandatory=True)
    assert client.receive(m.BasicReturn).method.reply_code == 312
    client.receive(m.BasicAck)
    queues = [declared(client) for _ in range(2)]
    for queue in queues:
        client.call(1, m.QueueBind(0, queue, unique, ""))
    for _ in range(6):
        client.publish(1, unique, "any")
        client.receive(m.BasicAck)
    assert sum(client.call(1, m.QueuePurge(0, queue)).message_count for queue in queues) == 6
    client.call(1, m.QueueUnbind(0, queues[0], unique, ""))
    client.publish(1, unique, "any")
    client.receive(m.BasicAck)
    assert client.call(1, m.QueuePurge(0, queues[0])).message_count == 0
    assert client.call(1, m.QueuePurge(0, queues[1])).message_count == 1


@pytest.mark.parametrize(
    ("kind", "key", "said"),
    [
        ("classic", "key", "Non empty binding 'key' key not permitted"),
        ("stream", "", "Queue type rabbit_stream_queue not valid"),
    ],
)
def test_a_local_random_exchange_refuses_other_bindings(client, unique, kind, key, said):
    client.call(1, m.ExchangeDeclare(0, unique, "x-local-random"))
    queue = declared(client, queue_type=kind)
    code, text = refusal(client, m.QueueBind(0, queue, unique, key))
    assert (code, said in text) == (406, True)


def test_a_local_random_exchange_leads_to_no_exchange(client, unique):
    client.call(1, m.ExchangeDeclare(0, unique, "x-local-random"))
    code, text = refusal(client, m.ExchangeBind(0, "amq.fanout", unique, ""))
    assert (code, "Destination not found" in text) == (406, True)


def test_a_hash_by_a_property_that_is_no_text_is_refused(client, unique):
    method = m.ExchangeDeclare(0, unique, "x-consistent-hash", arguments={"hash-header": 1})
    assert refusal(client, method)[0] == 406


def test_a_hash_has_no_weight_beyond_its_most(client, unique):
    client.call(1, m.ExchangeDeclare(0, unique, "x-consistent-hash"))
    code, text = refusal(client, m.QueueBind(0, declared(client), unique, "1000000"))
    assert (code, "must not exceed" in text) == (406, True)


@pytest.mark.parametrize("value", [b"bytes", [1, "x"], {"a": [1]}, None, 1.5, True])
def test_a_binding_is_taken_away_by_the_arguments_that_it_was_made_with(client, value):
    queue, arguments = declared(client), {**ANY, "a": value}
    client.call(1, m.QueueBind(0, queue, "amq.headers", "", arguments=arguments))
    client.call(1, m.QueueUnbind(0, queue, "amq.headers", "", {**ANY, "a": value}))
    client.call(1, m.ConfirmSelect())
    client.publish(1, "amq.headers", "", mandatory=True, headers={"a": value})
    assert client.receive(m.BasicReturn).method.reply_code == 312


def test_a_binding_of_headers_says_how_they_match(client):
    method = m.QueueBind(0, declared(client), "amq.headers", "", arguments={"x-match": 1})
    code, text = refusal(client, method)
    assert (code, "expected longstr" in text) == (406, True)


def test_a_true_argument_is_not_equal_to_one(client, unique):
    flag = "x-single-active-consumer"
    client.call(1, m.QueueDeclare(0, unique, exclusive=True, arguments={flag: True}))
    code, text = refusal(client, m.QueueDeclare(0, unique, exclusive=True, arguments={flag: 1}))
    assert (code, "received" in text) == (406, True)


def test_a_second_consumer_of_direct_replies_is_refused(client):
    client.call(1, m.BasicConsume(0, "amq.rabbitmq.reply-to", no_ack=True))
    code, text = refusal(client, m.BasicConsume(0, "amq.rabbitmq.reply-to", no_ack=True))
    assert (code, "reply consumer already set" in text) == (406, True)


def test_a_transaction_goes_on_where_it_is_selected_again(client):
    queue = declared(client)
    client.call(1, m.TxSelect())
    client.publish(1, "", queue)
    client.call(1, m.TxSelect())
    client.call(1, m.TxCommit())
    assert client.call(1, m.QueuePurge(0, queue)).message_count == 1


def test_a_transaction_that_a_queue_does_not_take_whole_ends_its_channel(client):
    queue = declared(client, max_length=1, overflow="reject-publish")
    client.call(1, m.TxSelect())
    for _ in range(2):
        client.publish(1, "", queue)
    code, text = refusal(client, m.TxCommit())
    assert (code, "partial tx completion" in text) == (406, True)


def test_a_full_queue_buries_what_it_refuses_where_it_is_told_to(client):
    buried = declared(client)
    queue = declared(
        client,
        max_length=1,
        overflow="reject-publish-dlx",
        dead_letter_exchange="",
        dead_letter_routing_key=buried,
    )
    client.call(1, m.ConfirmSelect())
    client.publish(1, "", queue, b"taken")
    client.receive(m.BasicAck)
    client.publish(1, "", queue, b"refused")
    client.receive(m.BasicNack)
    got = client.get(1, buried)
    assert got.content.body == b"refused"


def test_copies_are_strings(client):
    client.publish(1, "", "nowhere", headers={"CC": ["a", 1]})
    error = client.closed()
    assert (error.code, "must hold strings only" in error.text) == (406, True)


def test_a_message_lives_ten_years_at_most(client):
    client.publish(1, "", "nowhere", expiration=str(2**50))
    error = client.closed()
    assert (error.code, "value_too_large" in error.text) == (406, True)


@pytest.mark.parametrize("version", ["client", "old"])
def test_deaths_that_a_publisher_made_up_do_no_harm(request, version):
    client = request.getfixturevalue(version)
    buried = declared(client)
    queue = declared(client, dead_letter_exchange="", dead_letter_routing_key=buried)
    for deaths in ("much", [1, "x"], [{"queue": 5, "reason": "expired"}]):
        client.publish(1, "", queue, headers={"x-death": deaths})
        tag = client.get(1, queue, no_ack=False).method.delivery_tag
        client.send(1, m.BasicReject(tag, False))
        assert isinstance(client.get(1, buried).method, m.BasicGetOk)
        client.publish(1, "", queue, headers={"x-death": deaths}, expiration="0")
        assert isinstance(client.get(1, buried).method, m.BasicGetOk)


def test_a_queue_that_is_declared_without_an_answer_is_there(client):
    client.send(1, m.QueueDeclare(0, "odd-nowait", exclusive=True, nowait=True))
    assert client.call(1, m.QueuePurge(0, "")).message_count == 0


def test_a_quorum_queue_is_deleted_without_conditions(client):
    queue = declared(client, queue_type="quorum")
    code, text = refusal(client, m.QueueDelete(0, queue, if_empty=True))
    assert (code, "if-empty" in text) == (540, True)


def test_one_asks_no_quorum_queue_with_one_active_consumer_for_single_messages(client):
    queue = declared(client, queue_type="quorum", single_active_consumer=True)
    code, text = refusal(client, m.BasicGet(0, queue))
    assert (code, "single active consumer" in text) == (405, True)


def test_an_exchange_is_unbound_from_another(client, unique):
    client.call(1, m.ConfirmSelect())
    client.call(1, m.ExchangeDeclare(0, unique, "fanout"))
    client.call(1, m.QueueBind(0, declared(client), unique, ""))
    client.call(1, m.ExchangeBind(0, unique, "amq.fanout", ""))
    client.call(1, m.ExchangeUnbind(0, unique, "amq.fanout", ""))
    client.publish(1, "amq.fanout", "", mandatory=True)
    assert client.receive(m.BasicReturn).method.reply_code == 312


def test_a_limit_of_a_channel_can_be_changed(old):
    queue = declared(old)
    old.call(1, m.BasicQos(0, 1, True))
    old.call(1, m.BasicQos(0, 2, True))
    for _ in range(3):
        old.publish(1, "", queue)
    old.call(1, m.BasicConsume(0, queue))
    assert [old.receive(m.BasicDeliver).method.delivery_tag for _ in range(2)] == [1, 2]
    old.call(1, m.BasicQos(0, 2, True))
    assert old.inbox == []


def test_a_timeout_of_a_consumer_is_for_quorum_queues_alone(client):
    arguments = {"x-consumer-timeout": 60_000}
    code, text = refusal(client, m.BasicConsume(0, declared(client), arguments=arguments))
    assert (code, "of queue type rabbit_classic_queue" in text) == (406, True)


@pytest.mark.parametrize("version", ["client", "old"])
def test_a_delivery_limit_that_is_no_number_is_none(request, version):
    client = request.getfixturevalue(version)
    assert declared(client, queue_type="quorum", delivery_limit="much")


def test_a_number_in_a_header_is_hashed_as_it_is(client, unique):
    client.call(1, m.ConfirmSelect())
    arguments = {"hash-header": "n"}
    client.call(1, m.ExchangeDeclare(0, unique, "x-consistent-hash", arguments=arguments))
    queue = declared(client)
    client.call(1, m.QueueBind(0, queue, unique, "1"))
    for number in (5, 2**40, None):
        client.publish(1, unique, "", headers={"n": number})
        client.receive(m.BasicAck)
    assert client.call(1, m.QueuePurge(0, queue)).message_count == 3
