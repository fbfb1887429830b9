"""The types of exchange that RabbitMQ adds to those of AMQP, on both brokers."""

from collections import Counter

import pytest

from gestalt.amq.embedded.model.hash_ring import HashRing, hash_binary, jump
from gestalt.amq.wire import methods as m
from tests.support.wire_client import ClosedError, WireClient

KEYS = [f"vehicle.{number}" for number in range(60)]


def declared(client: WireClient, name: str, kind: str = "x-consistent-hash", **arguments) -> str:
    client.call(1, m.ConfirmSelect())
    named = {key.replace("_", "-"): value for key, value in arguments.items()}
    client.call(1, m.ExchangeDeclare(0, name, kind, auto_delete=True, arguments=named))
    return name


def bound(client: WireClient, exchange: str, *weights: str) -> list[str]:
    queues = []
    for weight in weights:
        queues.append(client.call(1, m.QueueDeclare(0, "", exclusive=True)).queue)
        client.call(1, m.QueueBind(0, queues[-1], exchange, weight))
    return queues


def publish(client: WireClient, exchange: str, keys: list[str], **properties) -> None:
    for key in keys:
        client.publish(1, exchange, key, key.encode(), **properties)
        client.receive(m.BasicAck)


def taken(client: WireClient, queues: list[str]) -> list[list[str]]:
    found = []
    for queue in queues:
        found.append([])
        while isinstance((got := client.get(1, queue)).method, m.BasicGetOk):
            found[-1].append(got.content.body.decode())
    return found


def test_a_consistent_hash_gives_each_key_to_the_queue_that_rabbitmq_gives_it_to(client, unique):
    exchange = declared(client, unique)
    queues = bound(client, exchange, "1", "2", "1")
    publish(client, exchange, KEYS)
    expected: list[list[str]] = [[], [], []]
    for key in KEYS:
        expected[[0, 1, 1, 2][jump(hash_binary(key.encode()), 4)]].append(key)
    assert taken(client, queues) == expected
    assert min(map(len, expected)) > 5


def test_removing_the_last_queue_of_a_hash_moves_only_its_keys(client, unique):
    exchange = declared(client, unique)
    queues = bound(client, exchange, "1", "1", "1")
    publish(client, exchange, KEYS)
    before = taken(client, queues)
    client.call(1, m.QueueDelete(0, queues.pop()))
    publish(client, exchange, KEYS)
    after = taken(client, queues)
    assert all(set(old) <= set(new) for old, new in zip(before, after, strict=False))
    assert sorted(after[0] + after[1]) == sorted(KEYS)


@pytest.mark.parametrize(
    ("arguments", "properties"),
    [
        ({"hash_header": "vehicle"}, {"headers": {"vehicle": "42"}}),
        ({"hash_property": "message_id"}, {"message_id": "42"}),
        ({"hash_property": "correlation_id"}, {"correlation_id": "42"}),
        ({"hash_property": "timestamp"}, {"timestamp": 1_700_000_000}),
        ({"hash_header": "vehicle"}, {}),
        ({"hash_property": "message_id"}, {}),
    ],
)
def test_a_consistent_hash_goes_by_a_header_or_a_property(client, unique, arguments, properties):
    exchange = declared(client, unique, **arguments)
    queues = bound(client, exchange, "1", "1", "1", "1")
    publish(client, exchange, KEYS[:20], **properties)
    assert sorted(map(len, taken(client, queues))) == [0, 0, 0, 20]


def test_a_queue_is_in_a_hash_once_and_goes_with_the_first_of_its_bindings(client, unique):
    exchange = declared(client, unique)
    first, second = bound(client, exchange, "1", "1")
    client.call(1, m.QueueBind(0, first, exchange, "3"))
    publish(client, exchange, KEYS)
    expected = Counter(jump(hash_binary(key.encode()), 2) for key in KEYS)
    assert [len(found) for found in taken(client, [first, second])] == [expected[0], expected[1]]
    client.call(1, m.QueueUnbind(0, first, exchange, "1"))
    publish(client, exchange, KEYS)
    assert [len(found) for found in taken(client, [first, second])] == [0, len(KEYS)]


def test_a_consistent_hash_without_bindings_takes_nothing(client, unique):
    exchange = declared(client, unique)
    client.publish(1, exchange, "key", mandatory=True)
    assert client.receive(m.BasicReturn).method.reply_code == 312


def test_a_consistent_hash_shares_out_among_exchanges_as_well(client, unique):
    exchange = declared(client, unique)
    queues = []
    for number in range(2):
        name = declared(client, f"{unique}.{number}", "fanout")
        queues += bound(client, name, "")
        client.call(1, m.ExchangeBind(0, name, exchange, "1"))
    publish(client, exchange, KEYS)
    found = taken(client, queues)
    assert sorted(found[0] + found[1]) == sorted(KEYS)
    assert found[0]
    assert found[1]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"hash_property": "app_id"}, "Unsupported property: app_id"),
        (
            {"hash_header": "a", "hash_property": "message_id"},
            "hash-header and hash-property are mutually exclusive",
        ),
    ],
)
def test_a_consistent_hash_refuses_what_it_cannot_hash(client, unique, arguments, text):
    with pytest.raises(ClosedError) as caught:
        declared(client, unique, **arguments)
    assert (caught.value.code, caught.value.scope) == (406, "channel")
    assert caught.value.text == f"PRECONDITION_FAILED - {text}"


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ("x", 'The binding key must be an integer: <<"x">>'),
        ("", "The binding key must be an integer: <<>>"),
        ("1.5", 'The binding key must be an integer: <<"1.5">>'),
        (" 2", 'The binding key must be an integer: <<" 2">>'),
        ("0", "The binding key must be greater than 0"),
        ("-3", "The binding key must be greater than 0"),
    ],
)
def test_the_weight_in_a_consistent_hash_is_a_number(client, unique, weight, text):
    exchange = declared(client, unique)
    with pytest.raises(ClosedError) as caught:
        bound(client, exchange, weight)
    assert (caught.value.code, caught.value.scope) == (406, "channel")
    assert caught.value.text == f"PRECONDITION_FAILED - {text}"


def test_local_random_gives_each_message_to_one_queue(client, unique):
    if client.version < (4, 0):
        pytest.skip("RabbitMQ 3.10 has no such type")
    exchange = declared(client, unique, "x-local-random")
    queues = bound(client, exchange, "", "")
    publish(client, exchange, KEYS)
    found = taken(client, queues)
    assert sorted(found[0] + found[1]) == sorted(KEYS)
    assert found[0]
    assert found[1]


def test_local_random_has_no_keys_and_leads_to_classic_queues_alone(client, unique):
    if client.version < (4, 0):
        pytest.skip("RabbitMQ 3.10 has no such type")
    exchange = declared(client, unique, "x-local-random")
    with pytest.raises(ClosedError, match="Non empty binding 'key' key not permitted"):
        bound(client, exchange, "key")
    client.channel(1)
    with pytest.raises(ClosedError, match="Destination not found"):
        client.call(1, m.ExchangeBind(0, "amq.fanout", declared(client, unique, "x-local-random")))
    client.channel(1)
    arguments = {"x-queue-type": "quorum"}
    client.call(1, m.QueueDeclare(0, unique, durable=True, arguments=arguments))
    declared(client, unique, "x-local-random")
    with pytest.raises(ClosedError, match="Queue type rabbit_quorum_queue not valid for this"):
        client.call(1, m.QueueBind(0, unique, exchange, ""))
    client.channel(1)
    client.call(1, m.QueueDelete(0, unique))


def test_a_hash_ring_shares_out_by_weight_and_moves_few_keys():
    ring: HashRing[str] = HashRing()
    assert ring.find(1) is None
    for name, weight in (("a", 1), ("b", 3)):
        ring.add(name, weight)
    before = [ring.find(hash_binary(str(number).encode())) for number in range(4000)]
    assert 850 < before.count("a") < 1150
    ring.add("c", 1)
    after = [ring.find(hash_binary(str(number).encode())) for number in range(4000)]
    moved = {new for old, new in zip(before, after, strict=True) if old != new}
    assert moved == {"c"}
    assert 650 < after.count("c") < 950


def test_binaries_hash_as_erlang_hashes_them():
    expected = {
        b"": 13708901,
        b"a": 112802447,
        b"abcdefghijk": 96993671,
        b"abcdefghijkl": 15432855,
        b"key1": 124145142,
        b"some.longer.routing.key.with.words": 20406313,
    }
    assert {data: hash_binary(data) for data in expected} == expected
