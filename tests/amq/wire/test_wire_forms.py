"""The short ways of the wire layer give what the general ones give, whatever they are given."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.amq.wire import (
    MAX_DEPTH,
    Delivery,
    Demultiplexer,
    FieldError,
    FieldTypeError,
    Got,
    NestingError,
    PartialContent,
    Properties,
    RawValue,
    ack_frame,
    content_frames,
    content_header,
    content_parts,
    decode_arguments,
    decode_properties,
    decode_table,
    encode_properties,
    encode_short_string,
    encode_table,
    get_frame,
    nack_frame,
    publish_frame,
    read_properties,
    split_array,
    split_headers,
    split_table,
)
from gestalt.amq.wire import methods as m
from gestalt.amq.wire.codec import (
    decode_method,
    deliver_prefix,
    encode_deliver,
    encode_method,
    method_frame,
)
from gestalt.amq.wire.decoder import Content, Decoder
from tests.support.wire_headers import nested

channels = st.integers(1, 65_535)
tags = st.integers(0, 2**64 - 1)
names = st.text(max_size=60)
texts = st.none() | st.text(max_size=60)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
tables = st.dictionaries(st.text(max_size=20), values, max_size=4)
all_properties = st.builds(
    Properties,
    content_type=texts,
    content_encoding=texts,
    headers=st.none() | tables,
    delivery_mode=st.none() | st.integers(0, 255),
    priority=st.none() | st.integers(0, 255),
    correlation_id=texts,
    reply_to=texts,
    expiration=texts,
    message_id=texts,
    timestamp=st.none() | st.integers(0, 2**64 - 1),
    type=texts,
    user_id=texts,
    app_id=texts,
    cluster_id=texts,
)
delivered = st.one_of(
    st.builds(m.BasicDeliver, names, tags, st.booleans(), names, names),
    st.builds(m.BasicReturn, st.integers(0, 999), names, names, names),
    st.builds(m.BasicGetOk, tags, st.booleans(), names, names, st.integers(0, 2**32 - 1)),
)
settled = st.one_of(
    st.builds(m.BasicAck, tags, st.booleans()),
    st.builds(m.BasicNack, tags, st.booleans(), st.booleans()),
    st.builds(m.BasicGetEmpty, names),
)
messages = st.tuples(delivered, all_properties, st.binary(max_size=300))


@given(channels, names, names, st.booleans())
def test_a_publish(channel: int, exchange: str, routing_key: str, mandatory: bool) -> None:
    publish = m.BasicPublish(0, exchange, routing_key, mandatory, False)
    assert publish_frame(channel, exchange, routing_key, mandatory) == method_frame(
        channel, publish
    )
    assert decode_method(encode_method(publish)) == publish


@given(channels, tags, st.booleans(), st.booleans(), names)
def test_answers(channel: int, tag: int, multiple: bool, requeue: bool, queue: str) -> None:
    ack, nack = m.BasicAck(tag, multiple), m.BasicNack(tag, multiple, requeue)
    assert ack_frame(channel, tag, multiple) == method_frame(channel, ack)
    assert nack_frame(channel, tag, multiple, requeue) == method_frame(channel, nack)
    assert get_frame(channel, queue) == method_frame(channel, m.BasicGet(0, queue, False))


@given(names, tags, st.booleans(), names, names)
def test_a_delivery(
    consumer: str, tag: int, redelivered: bool, exchange: str, routing_key: str
) -> None:
    address = encode_short_string(exchange) + encode_short_string(routing_key)
    payload = encode_deliver(deliver_prefix(consumer), tag, redelivered, address)
    assert payload == encode_method(
        m.BasicDeliver(consumer, tag, redelivered, exchange, routing_key)
    )


@given(channels, all_properties, st.binary(max_size=300), st.integers(1, 400))
def test_a_content(channel: int, properties: Properties, body: bytes, limit: int) -> None:
    publish = m.BasicPublish(0, "exchange", "key", False, False)
    method = publish_frame(channel, "exchange", "key", False)
    parts = content_parts(channel, method, encode_properties(properties), body, limit)
    header = content_header(properties, len(body))
    assert b"".join(parts) == content_frames(
        channel, encode_method(publish), header, body, limit + 8
    )


@given(all_properties)
def test_the_properties_of_a_message(properties: Properties) -> None:
    data = encode_properties(properties)
    assert decode_properties(data) == (properties, None)
    assert read_properties(content_header(properties, 7)) == properties
    assert split_headers(data).keys() == (properties.headers or {}).keys()
    for wrong in (data[:-1], data + b"\0"):
        with pytest.raises(FieldError):
            read_properties(struct.pack(">HHQ", 60, 0, 7) + wrong)


@given(tables)
def test_the_arguments_of_a_method(table: dict[str, Any]) -> None:
    data = encode_table(table)
    arguments, stop = decode_arguments(b"ab" + data + b"cd", 2)
    assert (arguments, stop) == decode_table(b"ab" + data + b"cd", 2)
    letters = {key: chr(value.data[0]) for key, value in split_table(data).items()}
    assert arguments.letters == letters


@given(st.lists(values, max_size=4))
def test_the_entries_of_an_array(array: list[Any]) -> None:
    data = encode_table({"array": array})
    raw = split_table(data)["array"]
    assert encode_table({"array": split_array(raw)}) == data
    assert split_array(RawValue(b"V")) == []


class Channel:
    """Writes down what it is told, as the events of the general decoder."""

    def __init__(self) -> None:
        self.content: PartialContent | None = None
        self.events: list[Any] = []

    def on_delivery(self, delivery: Delivery) -> None:
        self.events.append((m.BasicDeliver, 0, "", 0, *_fields(delivery)))

    def on_returned(self, code: int, text: str, delivery: Delivery) -> None:
        self.events.append((m.BasicReturn, code, text, 0, *_fields(delivery)))

    def on_got(self, delivery: Got | None) -> None:
        if delivery is None:
            self.events.append(m.BasicGetEmpty)
        else:
            self.events.append((m.BasicGetOk, 0, "", delivery.left, *_fields(delivery)))

    def on_confirm(self, tag: int, multiple: bool, accepted: bool) -> None:
        self.events.append((m.BasicAck if accepted else m.BasicNack, tag, multiple))

    def on_cancelled(self) -> None:
        raise AssertionError

    def on_closed(self, code: int, text: str, *, by_publish: bool) -> None:
        raise AssertionError

    def note_blocked(self, reason: str | None) -> None:
        raise AssertionError

    def note_secret_updated(self) -> None:
        raise AssertionError("there was no secret")

    def note_closed(self, code: int, text: str) -> None:
        raise AssertionError


def _fields(delivery: Delivery) -> tuple[Any, ...]:
    assert delivery.unreadable is None
    return (
        delivery.tag,
        delivery.redelivered,
        delivery.exchange,
        delivery.routing_key,
        delivery.properties,
        delivery.body,
    )


def _told(method: Any, content: Content | None) -> Any:
    if content is None:
        if isinstance(method, m.BasicGetEmpty):
            return m.BasicGetEmpty
        return (type(method), method.delivery_tag, method.multiple)
    return (
        type(method),
        getattr(method, "reply_code", 0),
        getattr(method, "reply_text", ""),
        getattr(method, "message_count", 0),
        getattr(method, "delivery_tag", 0),
        getattr(method, "redelivered", False),
        method.exchange,
        method.routing_key,
        read_properties(content.header),
        content.body,
    )


@given(
    st.lists(messages | settled, max_size=6),
    st.lists(st.integers(1, 300), max_size=30),
    st.sampled_from([64, 131_072]),
)
def test_what_comes_to_a_client_at_every_split(
    sent: list[Any], sizes: list[int], frame_max: int
) -> None:
    data = b""
    for each in sent:
        if isinstance(each, m.Method):
            data += method_frame(1, each)
        else:
            method, properties, body = each
            header = content_header(properties, len(body))
            data += content_frames(1, encode_method(method), header, body, frame_max)
    decoder = Decoder(expect_header=False)
    decoder.frame_max = 131_072
    expected = [_told(method, content) for _, method, content in decoder.feed(data)]
    channel = Channel()
    demultiplexer = Demultiplexer(channel)
    demultiplexer.sinks[1] = channel
    position = 0
    for size in [*sizes, len(data)]:
        assert demultiplexer.feed(data[position : position + size]) == b""
        position += size
    assert channel.events == expected
    assert len(expected) == len(sent)


# What nests deeper than is read


def test_headers_that_nest_deep_are_left_out_on_the_way_to_a_client() -> None:
    data = encode_properties(Properties(type="t", headers={"deep": nested(2000), "known": 5}))
    properties, unreadable = decode_properties(data)
    assert properties == Properties(type="t")
    assert isinstance(unreadable, NestingError)


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, 2000, 15_000])
def test_headers_that_nest_deep_are_passed_on_by_a_broker(depth: int) -> None:
    deep = nested(depth)
    header = content_header(Properties(headers={"deep": deep, "known": 5}), 0)
    properties = read_properties(header)
    assert properties.headers is not None
    assert properties.headers["known"] == 5
    assert (properties.headers["deep"] == deep) == (depth >= MAX_DEPTH)
    assert content_header(properties, 0) == header
    arguments, _ = decode_arguments(encode_table(properties.headers))
    assert arguments == properties.headers
    assert arguments.letters == {"deep": "F", "known": "I"}


@pytest.mark.parametrize("value", ["\ud800", float("nan"), [float("inf")], {"a": "\udcff"}])
def test_what_a_broker_would_not_bear_is_not_written(value: Any) -> None:
    with pytest.raises(FieldError, match=r"cannot be sent|not finite"):
        encode_table({"bad": value})


def test_what_is_of_a_wrong_type_is_told_apart() -> None:
    for table in ({5: 1}, {"bad": object()}, {"bad": [{1, 2}]}):
        with pytest.raises(FieldTypeError):
            encode_table(table)  # type: ignore[arg-type]
    with pytest.raises(FieldTypeError, match="routing_key"):
        publish_frame(1, "", 5, False)  # type: ignore[arg-type]
