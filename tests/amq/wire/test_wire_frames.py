"""Methods and content survive the wire in every split, and agree with pamqp's encoding."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import commands
from pamqp import frame as pamqp_frame
from pamqp import header as pamqp_header

from gestalt.amq.wire import (
    HEARTBEAT_FRAME,
    PROTOCOL_HEADER,
    FieldError,
    Properties,
    WireError,
    content_frames,
    content_header,
    encode_short_string,
    read_properties,
)
from gestalt.amq.wire.codec import (
    decode_method,
    deliver_prefix,
    encode_deliver,
    encode_method,
    method_frame,
)
from gestalt.amq.wire.decoder import Content, Decoder, Heartbeat, ProtocolHeader
from gestalt.amq.wire.methods import (
    INDEX,
    BasicAck,
    BasicDeliver,
    BasicPublish,
    ChannelOpen,
    QueueDeclare,
)

SAMPLES = {
    "bit": st.booleans(),
    "octet": st.integers(0, 255),
    "short": st.integers(0, 2**16 - 1),
    "long": st.integers(0, 2**32 - 1),
    "longlong": st.integers(0, 2**64 - 1),
    "shortstr": st.text(max_size=40),
    "longstr": st.binary(max_size=40),
    "table": st.dictionaries(st.text(max_size=8), st.integers(0, 9) | st.text(max_size=8)),
}


def samples(cls):
    kinds = [cls.__annotations__[field].__metadata__[0] for field in cls._fields]
    return st.tuples(*[SAMPLES[kind] for kind in kinds]).map(cls._make)


methods = st.sampled_from(list(INDEX)).flatmap(samples)


@given(methods)
def test_every_method_comes_back_equal(method):
    decoded = decode_method(encode_method(method))
    assert decoded == method
    assert type(decoded) is type(method)


# Those that pamqp does not have, or warns about.
NOT_IN_PAMQP = {"AccessRequest", "AccessRequestOk", "BasicRecoverAsync"}
VALUES = {"bit": True, "shortstr": "name", "longstr": "name", "table": {"k": "v"}, "longlong": 7}


@pytest.mark.parametrize(
    "cls", [cls for cls in INDEX if cls.__name__ not in NOT_IN_PAMQP], ids=lambda cls: cls.__name__
)
def test_every_method_has_the_layout_that_pamqp_gives_it(cls):
    theirs = commands.INDEX_MAPPING[INDEX[cls]]()
    for field, attribute in zip(cls._fields, theirs.__slots__, strict=True):
        kind = cls.__annotations__[field].__metadata__[0]
        if getattr(theirs, attribute) is None:
            setattr(theirs, attribute, 7)
        # Deprecated fields keep the values that pamqp insists on.
        if kind in VALUES and field not in ("reserved_1", "reserved_2", "virtual_host"):
            setattr(theirs, attribute, VALUES[kind])
    encoded = pamqp_frame.marshal(theirs, 3)
    ours = decode_method(encoded[7:-1])
    assert type(ours) is cls
    assert method_frame(3, ours) == encoded


properties = st.builds(
    Properties,
    content_type=st.none() | st.text(max_size=20),
    headers=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    delivery_mode=st.none() | st.integers(0, 255),
    priority=st.none() | st.integers(0, 255),
    expiration=st.none() | st.text(max_size=20),
    timestamp=st.none(),
    cluster_id=st.none() | st.text(max_size=20),
)


@given(properties)
def test_properties_come_back_equal(value):
    assert read_properties(content_header(value, 5)) == value


def test_properties_have_the_layout_that_pamqp_gives_them():
    theirs = commands.Basic.Properties(
        content_type="a", headers={"k": "v"}, delivery_mode=2, reply_to="r", message_id="m"
    )
    encoded = pamqp_header.ContentHeader(0, 11, theirs).marshal()
    ours = Properties(
        content_type="a", headers={"k": "v"}, delivery_mode=2, reply_to="r", message_id="m"
    )
    assert content_header(ours, 11) == encoded


def publish(channel, body, frame_max=64):
    method = encode_method(BasicPublish(0, "exchange", "key", True, False))
    header = content_header(Properties(content_type="text/plain"), len(body))
    return content_frames(channel, method, header, body, frame_max)


STREAM = (
    PROTOCOL_HEADER
    + method_frame(1, ChannelOpen())
    + publish(1, b"x" * 200)
    + HEARTBEAT_FRAME
    + publish(2, b"")
    + method_frame(1, BasicAck(7, True))
)
EXPECTED = [
    (0, ProtocolHeader(PROTOCOL_HEADER), None),
    (1, ChannelOpen(), None),
    (
        1,
        BasicPublish(0, "exchange", "key", True, False),
        Content(content_header(Properties(content_type="text/plain"), 200), b"x" * 200, 200),
    ),
    (0, Heartbeat(), None),
    (
        2,
        BasicPublish(0, "exchange", "key", True, False),
        Content(content_header(Properties(content_type="text/plain"), 0), b"", 0),
    ),
    (1, BasicAck(7, True), None),
]


def test_a_stream_is_decoded_alike_in_every_split():
    for cut in range(len(STREAM) + 1):
        decoder = Decoder(expect_header=True)
        assert decoder.feed(STREAM[:cut]) + decoder.feed(STREAM[cut:]) == EXPECTED


@given(st.lists(st.integers(1, 30), max_size=60))
@example([1] * len(STREAM))
def test_a_stream_is_decoded_alike_in_many_pieces(sizes):
    decoder = Decoder(expect_header=True)
    events, position = [], 0
    for size in [*sizes, len(STREAM)]:
        events += decoder.feed(STREAM[position : position + size])
        position += size
    assert events == EXPECTED


def test_contents_of_two_channels_may_mix():
    first, second = publish(1, b"a" * 100), publish(2, b"b" * 100)
    frames = {}
    for data in (first, second):
        position, frames[data] = 0, []
        while position < len(data):
            size = 8 + int.from_bytes(data[position + 3 : position + 7], "big")
            frames[data].append(data[position : position + size])
            position += size
    mixed = b"".join(
        part for pair in zip(frames[first], frames[second], strict=True) for part in pair
    )
    bodies = [content.body for _, _, content in Decoder(expect_header=False).feed(mixed)]
    assert bodies == [b"a" * 100, b"b" * 100]


def test_no_frame_is_larger_than_agreed():
    data = publish(1, b"x" * 1000, frame_max=100)
    decoder = Decoder(expect_header=False)
    decoder.frame_max = 100
    [(_, _, content)] = decoder.feed(data)
    assert content.body == b"x" * 1000


def test_a_body_that_is_too_large_is_read_but_not_kept():
    decoder = Decoder(expect_header=False, max_body_size=100)
    events = decoder.feed(publish(1, b"x" * 101) + publish(1, b"y" * 100))
    assert [(content.body, content.size) for _, _, content in events] == [
        (None, 101),
        (b"y" * 100, 100),
    ]


def test_bodies_under_way_on_many_channels_are_bounded():
    decoder = Decoder(expect_header=False, max_body_size=100)
    without_last_frame = publish(1, b"x" * 100)[:-52]
    for _ in range(10):
        decoder.forget(1)
        decoder.feed(without_last_frame)
    for channel in (2, 3):
        decoder.feed(publish(channel, b"x" * 100)[:-52])
    with pytest.raises(WireError, match="RESOURCE_ERROR"):
        decoder.feed(publish(4, b"x" * 100)[:-52])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x01\x00\x01\x7f\xff\xff\xff\x00", "FRAME_ERROR"),
        (method_frame(1, ChannelOpen())[:-1] + b"\x00", "FRAME_ERROR"),
        (b"\x05\x00\x01\x00\x00\x00\x00\xce", "FRAME_ERROR"),
        (b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x63\xce", "COMMAND_INVALID"),
        (b"\x01\x00\x01\x00\x00\x00\x02\x00\x3c\xce", "SYNTAX_ERROR"),
        (b"\x01\x00\x01\x00\x00\x00\x05\x00\x14\x00\x0a\x09\xce", "SYNTAX_ERROR"),
        (b"\x03\x00\x01\x00\x00\x00\x01x\xce", "UNEXPECTED_FRAME"),
        (b"\x08\x00\x01\x00\x00\x00\x00\xce", "UNEXPECTED_FRAME"),
        (publish(1, b"body")[:-1] + b"\x00", "FRAME_ERROR"),
    ],
)
def test_what_is_no_amqp_is_an_error_that_carries_what_was_good_before(data, error):
    with pytest.raises(WireError, match=error) as caught:
        Decoder(expect_header=False).feed(HEARTBEAT_FRAME + data)
    assert caught.value.events == [(0, Heartbeat(), None)]
    assert caught.value.closes_connection


def test_a_method_in_the_place_of_a_body_is_an_error():
    data = publish(1, b"x" * 200)
    cut = data.index(b"\x03\x00\x01")
    with pytest.raises(WireError, match="expected content body"):
        Decoder(expect_header=False).feed(data[:cut] + method_frame(1, ChannelOpen()))
    with pytest.raises(WireError, match="expected content header"):
        Decoder(expect_header=False).feed(2 * data[: data.index(b"\x02\x00\x01")])


@given(st.binary(max_size=200), st.integers(0, len(STREAM)))
def test_random_bytes_raise_nothing_but_wire_errors(junk, position):
    with suppress(WireError):
        Decoder(expect_header=True).feed(STREAM[:position] + junk)


@given(st.integers(8, len(STREAM) - 1), st.integers(1, 255))
def test_a_damaged_octet_raises_nothing_but_wire_errors(position, change):
    damaged = bytearray(STREAM)
    damaged[position] ^= change
    with suppress(WireError):
        Decoder(expect_header=True).feed(bytes(damaged))


def test_the_short_way_to_a_delivery_is_the_same_as_the_long_one():
    address = encode_short_string("exchange") + encode_short_string("key")
    payload = encode_deliver(deliver_prefix("tag"), 9, True, address)
    assert decode_method(payload) == BasicDeliver("tag", 9, True, "exchange", "key")


def test_a_name_that_is_no_text_comes_back_as_it_was():
    payload = encode_method(QueueDeclare(0, "\udcff\udcfe"))
    assert decode_method(payload) == QueueDeclare(0, "\udcff\udcfe")


def test_what_does_not_fit_a_field_is_refused():
    for method in (BasicAck(2**64), QueueDeclare(0, "x" * 256)):
        with pytest.raises(FieldError):
            encode_method(method)
