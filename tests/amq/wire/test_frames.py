"""The hot frames, against the protocol library's own encoding, and at every split."""

import contextlib
import dataclasses
import datetime
import struct
from typing import Any

import pamqp.body
import pamqp.commands
import pamqp.frame
import pamqp.header
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gestalt.amq.wire import (
    HEARTBEAT_FRAME,
    Delivery,
    Demultiplexer,
    Got,
    PartialContent,
    Properties,
    PropertiesTemplate,
    WireError,
    ack_frame,
    content_parts,
    decode_properties,
    encode_properties,
    nack_frame,
    publish_frame,
)

short = st.text(alphabet=st.characters(codec="utf-8"), max_size=60)
some = st.one_of(st.none(), short.filter(bool))
headers = st.dictionaries(
    st.text(alphabet="abcxyz-", min_size=1, max_size=20),
    st.one_of(st.booleans(), st.integers(-(2**31), 2**31 - 1), short, st.none()),
    min_size=1,
    max_size=4,
)
all_properties = st.builds(
    Properties,
    content_type=some,
    content_encoding=some,
    headers=st.one_of(st.none(), headers),
    delivery_mode=st.sampled_from([None, 1, 2]),
    priority=st.one_of(st.none(), st.integers(0, 255)),
    correlation_id=some,
    reply_to=some,
    expiration=st.one_of(st.none(), st.integers(0, 10**9).map(str)),
    message_id=some,
    timestamp=st.one_of(st.none(), st.integers(1, 2**31)),
    type=some,
    user_id=some,
    app_id=some,
)


class Recorder:
    """A sink that writes down what it is told."""

    def __init__(self) -> None:
        self.content: PartialContent | None = None
        self.events: list[Any] = []

    def on_delivery(self, delivery: Delivery) -> None:
        self.events.append(("delivery", *fields(delivery)))

    def on_returned(self, code: int, text: str, delivery: Delivery) -> None:
        self.events.append(("returned", code, text, *fields(delivery)))

    def on_got(self, delivery: Got | None) -> None:
        self.events.append(("got", delivery and delivery.left, delivery and fields(delivery)))

    def on_confirm(self, tag: int, multiple: bool, accepted: bool) -> None:
        self.events.append(("confirm", tag, multiple, accepted))

    def on_cancelled(self) -> None:
        self.events.append("cancelled")

    def on_closed(self, code: int, text: str, *, by_publish: bool) -> None:
        self.events.append(("closed", code, text))

    def note_blocked(self, reason: str | None) -> None:
        self.events.append(("blocked", reason))

    def note_secret_updated(self) -> None:
        raise AssertionError("there was no secret")

    def note_closed(self, code: int, text: str) -> None:
        self.events.append(("connection closed", code, text))


def fields(delivery: Delivery) -> tuple[Any, ...]:
    return (
        delivery.tag,
        delivery.redelivered,
        delivery.exchange,
        delivery.routing_key,
        delivery.properties,
        delivery.body,
    )


def content(channel: int, properties: Properties, body: bytes, size: int = 1000) -> bytes:
    return b"".join(content_parts(channel, b"", encode_properties(properties), body, size))


def deliver(tag: int, body: bytes, properties: Properties, channel: int = 1) -> bytes:
    method = pamqp.commands.Basic.Deliver("ctag", tag, False, "exchange", "a.key")
    return pamqp.frame.marshal(method, channel) + content(channel, properties, body)


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


@given(all_properties, st.text(max_size=20), st.integers(2**31, 2**62), st.integers(0, 10**9))
def test_a_template_gives_what_is_encoded_one_by_one(
    properties: Properties, correlation_id: str, number: int, expiration: int
) -> None:
    headers = {**(properties.headers or {}), "number": number}
    wanted = dataclasses.replace(
        properties, headers=headers, correlation_id=correlation_id, expiration=str(expiration)
    )
    template = PropertiesTemplate(properties, number="number", expires=True)
    given = template.encode(correlation_id, number=number, expiration=str(expiration))
    assert given == encode_properties(wanted)

    plain = dataclasses.replace(properties, expiration=None, correlation_id=correlation_id)
    assert PropertiesTemplate(properties).encode(correlation_id) == encode_properties(plain)


@given(all_properties)
def test_properties_survive_the_wire(properties: Properties) -> None:
    assert decode_properties(encode_properties(properties)) == (properties, None)


@given(all_properties, st.binary(max_size=50))
def test_the_protocol_library_reads_what_is_published(properties: Properties, body: bytes) -> None:
    data = publish_frame(7, "exchange", "a.key", True) + content(7, properties, body, 20)
    size, channel, method = pamqp.frame.unmarshal(data)
    assert (channel, method.exchange, method.routing_key, method.mandatory) == (
        7,
        "exchange",
        "a.key",
        True,
    )
    data = data[size:]
    size, channel, header = pamqp.frame.unmarshal(data)
    assert isinstance(header, pamqp.header.ContentHeader)
    assert header.body_size == len(body)
    for name in (field.name for field in dataclasses.fields(Properties)):
        read = getattr(header.properties, name if name != "type" else "message_type")
        if name == "cluster_id":
            read = read or None
        if isinstance(read, datetime.datetime):
            read = int(read.timestamp())
        assert read == getattr(properties, name)
    data = data[size:]
    got = b""
    while data:
        size, _, part = pamqp.frame.unmarshal(data)
        assert isinstance(part, pamqp.body.ContentBody)
        got += part.value
        data = data[size:]
    assert got == body


@pytest.mark.parametrize("multiple", [False, True])
@pytest.mark.parametrize("requeue", [False, True])
def test_the_protocol_library_reads_what_is_settled(multiple: bool, requeue: bool) -> None:
    _, channel, method = pamqp.frame.unmarshal(ack_frame(3, 2**40, multiple))
    assert (channel, method.name) == (3, "Basic.Ack")
    assert (method.delivery_tag, method.multiple) == (2**40, multiple)
    _, channel, method = pamqp.frame.unmarshal(nack_frame(3, 5, multiple, requeue))
    assert (channel, method.name) == (3, "Basic.Nack")
    assert (method.delivery_tag, method.multiple, method.requeue) == (5, multiple, requeue)


PLAIN = Properties(content_type="text/plain", delivery_mode=2)
STREAM = (
    pamqp.frame.marshal(pamqp.commands.Basic.ConsumeOk("ctag"), 1)
    + deliver(1, b"first", PLAIN)
    + pamqp.frame.marshal(pamqp.commands.Basic.Ack(9, True), 1)
    + deliver(2, b"", Properties(headers={"n": 1}))
    + HEARTBEAT_FRAME
    + deliver(3, bytes(2500), PLAIN)
    + deliver(4, b"not ours", PLAIN, channel=2)
    + pamqp.frame.marshal(pamqp.commands.Basic.Return(312, "NO_ROUTE", "x", "k"), 1)
    + content(1, PLAIN, b"back")
    + pamqp.frame.marshal(pamqp.commands.Basic.Nack(10, False), 1)
    + pamqp.frame.marshal(pamqp.commands.Connection.Blocked("low on memory"), 0)
    + pamqp.frame.marshal(pamqp.commands.Connection.Unblocked(), 0)
    + pamqp.frame.marshal(pamqp.commands.Channel.Close(406, "why", 60, 80), 1)
)
COLD = (
    pamqp.frame.marshal(pamqp.commands.Basic.ConsumeOk("ctag"), 1)
    + HEARTBEAT_FRAME
    + deliver(4, b"not ours", PLAIN, channel=2)
    + pamqp.frame.marshal(pamqp.commands.Connection.Blocked("low on memory"), 0)
    + pamqp.frame.marshal(pamqp.commands.Connection.Unblocked(), 0)
    + pamqp.frame.marshal(pamqp.commands.Channel.Close(406, "why", 60, 80), 1)
)
EVENTS = [
    ("delivery", 1, False, "exchange", "a.key", PLAIN, b"first"),
    ("confirm", 9, True, True),
    ("delivery", 2, False, "exchange", "a.key", Properties(headers={"n": 1}), b""),
    ("delivery", 3, False, "exchange", "a.key", PLAIN, bytes(2500)),
    ("returned", 312, "NO_ROUTE", 0, False, "x", "k", PLAIN, b"back"),
    ("confirm", 10, False, False),
    ("blocked", "low on memory"),
    ("blocked", None),
    ("closed", 406, "why"),
]


def run(pieces: list[bytes]) -> tuple[bytes, list[Any]]:
    recorder = Recorder()
    demultiplexer = Demultiplexer(recorder)
    demultiplexer.sinks[1] = recorder
    return b"".join(demultiplexer.feed(piece) for piece in pieces), recorder.events


@pytest.mark.parametrize("split", [*range(300), *range(300, len(STREAM), 97)])
def test_hot_frames_go_to_their_sink_and_the_rest_on_at_every_split(split: int) -> None:
    assert run([STREAM[:split], STREAM[split:]]) == (COLD, EVENTS)


def test_byte_by_byte() -> None:
    assert run([STREAM[n : n + 1] for n in range(len(STREAM))]) == (COLD, EVENTS)


def test_a_frame_without_its_end_is_refused() -> None:
    broken = bytearray(deliver(1, b"x", PLAIN))
    broken[len(broken) - 1] = 0
    with pytest.raises(ValueError, match="does not end"):
        run([bytes(broken)])


def test_a_body_without_its_message_is_refused() -> None:
    method = pamqp.frame.marshal(pamqp.commands.Basic.Deliver("c", 1, False, "x", "k"), 1)
    with pytest.raises(ValueError, match="within a message"):
        run([method, method])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (struct.pack(">BHI", 3, 1, 2**31) + b"x", "2147483648 of 131072 bytes"),
        (struct.pack(">BHI", 4, 1, 100) + b"x", "a frame of type 4"),
        (deliver(1, b"four", PLAIN)[:-12] + frame(3, 1, b"fives"), "type 3, 5 bytes"),
        (frame(1, 1, b"\x00\x3c"), "ends within a value"),
        (frame(1, 1, b"\x00\x3c\x00\x50\x00\x00\x00\x00"), "ends within a value"),
        (frame(1, 0, b"\x00\x0a\x00\x3c\x09x"), "ends within a string"),
    ],
    ids=["too large", "of no type", "too much body", "no method", "half a number", "half a string"],
)
def test_what_is_no_amqp_is_refused_and_told(data: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        run([data + HEARTBEAT_FRAME * 4])


def outcome(pieces: list[bytes]) -> tuple[list[Any], str]:
    recorder = Recorder()
    demultiplexer = Demultiplexer(recorder)
    demultiplexer.sinks[1] = recorder
    try:
        for piece in pieces:
            demultiplexer.feed(piece)
    except WireError as error:
        return recorder.events, str(error)
    return recorder.events, ""


@given(st.integers(0, len(STREAM) - 1), st.integers(0, 255), st.integers(0, len(STREAM)))
@example(0, 0, 8)  # a frame of no type, whole or its header first
def test_damage_has_one_outcome_however_it_arrives(where: int, byte: int, split: int) -> None:
    damaged = STREAM[:where] + bytes((byte,)) + STREAM[where + 1 :]
    assert outcome([damaged]) == outcome([damaged[:split], damaged[split:]])


@given(st.binary(max_size=200))
def test_headers_that_cannot_be_read_cost_no_other_property(junk: bytes) -> None:
    properties = Properties(content_type="text/plain", priority=3)
    data = encode_properties(properties)
    data = bytes((data[0] | 0x20,)) + data[1:-1] + struct.pack(">I", len(junk)) + junk + data[-1:]
    decoded, unreadable = decode_properties(data)
    assert (decoded.content_type, decoded.priority) == ("text/plain", 3)
    assert (decoded.headers is None) == (unreadable is not None)


@pytest.mark.parametrize("text", ["x" * 256, "é" * 128])
def test_a_string_over_255_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 255 bytes"):
        publish_frame(1, "exchange", text, False)


@given(st.binary(max_size=60))
def test_malformed_properties_raise_what_is_documented(data: bytes) -> None:
    with contextlib.suppress(ValueError, IndexError, struct.error):
        decode_properties(data)


@given(all_properties, st.binary(max_size=50))
def test_what_a_get_is_answered_by_is_taken(properties: Properties, body: bytes) -> None:
    demultiplexer, recorder = Demultiplexer(Recorder()), Recorder()
    demultiplexer.sinks[1] = recorder
    found = pamqp.commands.Basic.GetOk(7, True, "exchange", "a.key", 3)
    empty = pamqp.commands.Basic.GetEmpty("")
    data = pamqp.frame.marshal(found, 1) + content(1, properties, body)
    assert demultiplexer.feed(data + pamqp.frame.marshal(empty, 1)) == b""
    got = (7, True, "exchange", "a.key", properties, body)
    assert recorder.events == [("got", 3, got), ("got", None, None)]


def test_headers_may_be_larger_than_a_frame_by_what_a_broker_adds_and_by_no_more() -> None:
    demultiplexer, recorder = Demultiplexer(Recorder()), Recorder()
    demultiplexer.sinks[1] = recorder
    for size in (131_072, 131_072 + 60_000):
        demultiplexer.feed(deliver(1, b"body", Properties(headers={"large": "x" * size})))
    assert len(recorder.events) == 2
    with pytest.raises(WireError):
        demultiplexer.feed(deliver(1, b"body", Properties(headers={"large": "x" * 2**18})))
