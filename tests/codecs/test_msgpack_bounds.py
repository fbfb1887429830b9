"""The bounds of what a MessagePack body may hold are kept exactly, whatever it holds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt.codecs import Codec, DecodeError, TooDeep, TooLarge

msgpack = pytest.importorskip("msgpack")

# Of every width that numbers and, together with `large`, lengths have.
scalars = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.integers(-(2**63), 2**64 - 1)
    | st.builds(lambda width, below: 2**width - below, st.sampled_from(range(65)), st.just(1))
    | st.builds(lambda size: "x" * size, st.sampled_from([0, 1, 31, 32]))
    | st.builds(bytes, st.sampled_from([0, 1, 17]))
    | st.builds(msgpack.ExtType, st.just(5), st.sampled_from([1, 2, 3, 4, 8, 16]).map(bytes))
)
large = st.builds(
    lambda make, size, count: [make(size)] * count,
    st.sampled_from([bytes, "x".__mul__, lambda size: msgpack.ExtType(5, bytes(size))]),
    st.sampled_from([255, 256, 4000]),
    st.integers(1, 3),
)
repeated = st.builds(
    lambda each, count: [each] * count, scalars, st.sampled_from([63, 64, 65, 200])
)
values = (
    large
    | repeated
    | st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(max_size=2), inner, max_size=4)
            | st.builds(lambda each, count: [each] * count, inner, st.sampled_from([15, 16]))
            | st.builds(
                lambda each, count: dict.fromkeys(range(count), each),
                inner,
                st.sampled_from([15, 16]),
            )
        ),
        max_leaves=5,
    )
)


def count_of(value: Any) -> int:
    """How many values and keys there are."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(count_of, value.values()))
    return 1 + sum(map(count_of, value)) if type(value) is list else 1


def depth_of(value: Any) -> int:
    """How many containers are within one another."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if type(value) is list else 0


@given(values)
def test_each_value_is_decoded_within_the_bounds_that_it_takes_and_no_smaller_ones(
    value: Any,
) -> None:
    body = msgpack.packb(value)
    count, depth = count_of(value), max(1, depth_of(value))
    for exact in (Codec("msgpack", max_values=count, max_depth=depth), Codec("msgpack")):
        assert exact.decode(body) == value
    if count > 1:
        with pytest.raises(TooLarge, match=f"max_values={count - 1} "):
            Codec("msgpack", max_values=count - 1, max_depth=depth).decode(body)
    if depth > 1:
        for most in (count, 2**30):
            with pytest.raises(TooDeep, match=f"max_depth={depth - 1} "):
                Codec("msgpack", max_values=most, max_depth=depth - 1).decode(body)


@settings(max_examples=50)
@given(values, st.data())
def test_a_body_that_lacks_its_end_is_refused_and_not_taken_for_another(
    value: Any, data: st.DataObject
) -> None:
    body = msgpack.packb(value)
    kept = data.draw(st.integers(0, len(body) - 1))
    for codec in (Codec("msgpack"), Codec("msgpack", max_values=3, max_depth=2)):
        with pytest.raises(DecodeError):
            codec.decode(body[:kept])


@settings(max_examples=60)
@given(st.binary(max_size=40) | values.map(msgpack.packb), st.binary(max_size=3))
def test_any_bytes_are_what_the_library_makes_of_them_or_refused(body: bytes, after: bytes) -> None:
    # Small, so that each body is walked through before.
    walked = Codec("msgpack", max_values=max(1, len(body) - 1), max_depth=1000)
    for data in (body, body + after):
        try:
            expected = msgpack.unpackb(data, strict_map_key=False, timestamp=3)
        except Exception:
            for codec in (walked, Codec("msgpack")):
                with pytest.raises(DecodeError):
                    codec.decode(data)
        else:
            assert repr(Codec("msgpack").decode(data)) == repr(expected)
            if count_of(expected) < len(body):
                assert repr(walked.decode(data)) == repr(expected)


@pytest.mark.parametrize("size", [2**16 - 1, 2**16])
@pytest.mark.parametrize(
    "make",
    [
        bytes,
        "x".__mul__,
        lambda size: msgpack.ExtType(5, bytes(size)),
        lambda size: [1] * size,
        lambda size: dict.fromkeys(range(size), 1),
    ],
)
def test_lengths_of_more_than_two_bytes_are_bounded_alike(make: Any, size: int) -> None:
    value = [make(size), 1]
    body, count = msgpack.packb(value), count_of(value)
    assert Codec("msgpack", max_values=count, max_depth=2).decode(body) == value
    with pytest.raises(TooLarge):
        Codec("msgpack", max_values=count - 1, max_depth=2).decode(body)


@pytest.mark.parametrize("opening", [b"\x9f", b"\xdc\xff\xff", b"\xdd\x00\x00\xff\xff", b"\x8f"])
def test_more_items_than_bytes_are_refused_before_any_is_made(opening: bytes) -> None:
    for codec in (Codec("msgpack", max_values=2), Codec("msgpack")):
        with pytest.raises(DecodeError):
            codec.decode(opening * 3)
    with pytest.raises(DecodeError, match=r"items are claimed, and \d+ bytes left"):
        Codec("msgpack", max_values=2).decode(opening + b"\x01\x01")
