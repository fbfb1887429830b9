"""Streams, by values that few clients send."""

import pytest

from gestalt.amq.wire import RawValue
from gestalt.amq.wire import methods as m
from tests.support.rare import declared, on_a_channel, refusal

STREAM = {"x-queue-type": "stream"}


@pytest.fixture
def client(newest):
    with on_a_channel(newest) as client:
        yield client


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (b"soon", "invalid_stream_offset_arg"),
        (1.5, "{double,<<>>}"),
        ("soon", '{longstr,<<"soon">>'),
    ],
)
def test_a_stream_begins_nowhere_but_where_that_is_said(client, offset, said):
    queue = declared(client, queue_type="stream")
    client.call(1, m.BasicQos(0, 10, False))
    method = m.BasicConsume(0, queue, arguments={"x-stream-offset": offset})
    code, text = refusal(client, method)
    assert (code, said in text) == (406, True)


def test_a_stream_gives_readers_what_has_the_values_that_they_ask_for(client):
    queue = declared(client, queue_type="stream")
    client.call(1, m.ConfirmSelect())
    sent = [("a", b"1"), ("b", b"2"), ("", b"3"), (None, b"4")]
    for value, body in sent:
        headers = {} if value is None else {"x-stream-filter-value": value}
        client.publish(1, "", queue, body, headers=headers)
        client.receive(m.BasicAck)
    client.call(1, m.BasicQos(0, 10, False))
    arguments = {
        "x-stream-offset": "first",
        "x-stream-filter": "b",
        "x-stream-match-unfiltered": True,
    }
    client.call(1, m.BasicConsume(0, queue, arguments=arguments))
    got = [client.receive(m.BasicDeliver) for _ in range(3)]
    assert [each.content.body for each in got] == [b"2", b"3", b"4"]
    client.send(1, m.BasicReject(got[0].method.delivery_tag, False))
    client.publish(1, "", queue, b"5", headers={"x-stream-filter-value": "a"})
    client.publish(1, "", queue, b"6", headers={"x-stream-filter-value": "b"})
    assert client.receive(m.BasicDeliver).content.body == b"6"


def test_a_stream_takes_no_filter_value_but_a_string(client):
    queue = declared(client, queue_type="stream")
    client.publish(1, "", queue, headers={"x-stream-filter-value": 1})
    error = client.closed()
    assert "x-stream-filter-value" in error.text


def test_a_stream_keeps_headers_as_its_format_has_them(client):
    queue = declared(client, queue_type="stream")
    client.call(1, m.ConfirmSelect())
    headers = {
        "unsigned": RawValue(b"L" + (5).to_bytes(8, "big")),
        "bytes": b"text",
        "x-basic-own": "lost",
        "x-death": ["lost"],
        "kept": "kept",
    }
    client.publish(1, "", queue, headers=headers, expiration="05")
    client.receive(m.BasicAck)
    client.call(1, m.BasicQos(0, 10, False))
    client.call(1, m.BasicConsume(0, queue, arguments={"x-stream-offset": 0}))
    content = client.receive(m.BasicDeliver).content
    assert content.header is not None
    assert b"lost" not in content.header
    assert b"kept" in content.header


def test_a_stream_filter_has_a_size_that_there_is(client):
    arguments = {**STREAM, "x-stream-filter-size-bytes": 5}
    method = m.QueueDeclare(0, "odd-filter", durable=True, arguments=arguments)
    assert refusal(client, method)[0] == 406


def test_readers_that_wait_for_what_comes_later_may_leave_before(client):
    queue = declared(client, queue_type="stream")
    client.call(1, m.ConfirmSelect())
    client.call(1, m.BasicQos(0, 10, False))
    for number in range(110):
        later = {"x-stream-offset": 1 if number < 105 else 10**6}
        client.call(1, m.BasicConsume(0, queue, f"c{number}", arguments=later))
        client.call(1, m.BasicCancel(f"c{number}"))
    client.call(1, m.BasicConsume(0, queue, "last", arguments={"x-stream-offset": 1}))
    for number in range(3):
        client.publish(1, "", queue, b"%d" % number)
        client.receive(m.BasicAck)
    assert [client.receive(m.BasicDeliver).content.body for _ in range(2)] == [b"1", b"2"]


def test_what_is_asked_for_is_found_however_far_away(client):
    queue = declared(client, queue_type="stream")
    client.call(1, m.ConfirmSelect())
    client.call(1, m.BasicQos(0, 10, False))
    for number in range(201):
        value = "a" if number < 200 else "b"
        client.publish(1, "", queue, headers={"x-stream-filter-value": value})
    while client.receive(m.BasicAck).method.delivery_tag < 201:
        pass
    arguments = {"x-stream-offset": "first", "x-stream-filter": ["b", "c"]}
    client.call(1, m.BasicConsume(0, queue, arguments=arguments))
    headers = client.receive(m.BasicDeliver).content.header
    assert b"x-stream-offset" in headers
    assert (200).to_bytes(8, "big") in headers
