"""Many values of one type in a loop of its own: the same as one by one."""

import dataclasses
import datetime
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.codecs import Codec, CodecError, DecodeError, EncodeError, MessageTypes, TooDeep


@dataclasses.dataclass
class Fix:
    lat: float
    label: str
    when: datetime.datetime | None = None


TYPES = MessageTypes()
TYPES.add(7, Fix)

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
fixes = st.builds(
    Fix,
    st.floats(-90, 90),
    st.text(max_size=300),
    st.none() | st.just(datetime.datetime.now(datetime.UTC)),
)
INSTALLED = [name for name in ("json", "msgpack", "yaml") if name == "json" or find_spec(name)]
CODECS = [
    *(Codec(name) for name in INSTALLED),
    *(Codec(name, max_depth=3, max_values=20) for name in INSTALLED if name != "yaml"),
    Codec("json", max_size=50),
]


def one_by_one(function: Any, values: list[Any]) -> tuple[list[Any], type | None]:
    """What a function makes of each, up to the first that it refuses, and why it does."""
    made = []
    for value in values:
        try:
            made.append(function(value))
        except CodecError as error:
            return made, type(error)
    return made, None


def together(function: Any, values: list[Any], *others: Any) -> tuple[list[Any], type | None]:
    made: list[Any] = []
    try:
        function(values, *others, made)
    except CodecError as error:
        return made, type(error)
    return made, None


@given(st.sampled_from(CODECS), st.lists(plain, min_size=1, max_size=5))
def test_plain_values_are_encoded_and_decoded_as_one_by_one(
    codec: Codec, values: list[Any]
) -> None:
    encoded = one_by_one(lambda value: codec.encode(value).body, values)
    assert together(codec.encode_alike, values) == encoded
    # Bodies that another codec has made may exceed a limit.
    bodies = [Codec(codec.serializer).encode(value).body for value in values]
    decoded = one_by_one(codec.decode, bodies)
    assert together(codec.decode_alike, bodies, None) == decoded


@given(st.sampled_from(CODECS), st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_nonsense_is_refused_as_one_by_one(codec: Codec, bodies: list[bytes]) -> None:
    assert repr(together(codec.decode_alike, bodies, None)) == repr(
        one_by_one(codec.decode, bodies)
    )


@pytest.mark.parametrize("serializer", INSTALLED)
@given(values=st.lists(fixes, min_size=1, max_size=5))
def test_typed_values_are_encoded_and_decoded_as_one_by_one(
    serializer: str, values: list[Fix]
) -> None:
    codec = Codec(serializer, types=TYPES)
    bodies: list[bytes] = []
    assert codec.encode_alike(values, bodies) == 7
    assert bodies == [codec.encode(value).body for value in values]
    made: list[Any] = []
    codec.decode_alike(bodies, 7, made)
    assert made == values


@pytest.mark.parametrize("serializer", INSTALLED)
def test_what_is_wrong_is_told_as_ever_and_what_came_before_it_is_kept(serializer: str) -> None:
    codec = Codec(serializer, types=TYPES)
    good = codec.encode(Fix(1.0, "good")).body
    wrong = Codec(serializer).encode({"lat": "north", "label": "wrong"}).body
    made: list[Any] = []
    with pytest.raises(DecodeError, match="lat"):
        codec.decode_alike([good, good, wrong, good], 7, made)
    assert made == [Fix(1.0, "good")] * 2
    with pytest.raises(DecodeError, match="8"):
        codec.decode_alike([good], 8, made)
    bodies: list[bytes] = []
    with pytest.raises(EncodeError):
        Codec(serializer).encode_alike([1, object(), 2], bodies)
    assert bodies == [Codec(serializer).encode(1).body]


@pytest.mark.parametrize("serializer", INSTALLED)
def test_a_body_whose_tag_tells_another_type_is_refused_among_others(serializer: str) -> None:
    types = MessageTypes(tag="type")
    types.add(7, Fix)
    types.add(8, dataclasses.make_dataclass("Goal", [("lat", float), ("label", str)]))
    codec = Codec(serializer, types=types)
    goal = Codec(serializer).encode({"type": "Goal", "lat": 1.0, "label": "there"}).body
    assert codec.decode(goal).label == "there"
    made: list[Any] = []
    with pytest.raises(DecodeError, match="Goal"):
        codec.decode_alike([codec.encode(Fix(1.0, "here")).body, goal], 7, made)
    assert made == [Fix(1.0, "here")]


@pytest.mark.parametrize("serializer", INSTALLED)
def test_short_bodies_are_no_way_around_the_limits(serializer: str) -> None:
    codec = Codec(serializer, max_depth=4)
    nested: Any = 0
    for _ in range(5):
        nested = [nested]
    body = Codec(serializer).encode(nested).body
    with pytest.raises(TooDeep):
        codec.decode_alike([body], None, [])


def test_compression_is_undone_alone() -> None:
    codec = Codec("json", compress="deflate", min_size=1, max_size=1000)
    encoded = codec.encode("x" * 900)
    assert encoded.content_encoding is not None
    data = codec.decompress(encoded.body, encoded.content_encoding)
    assert codec.decode(data) == "x" * 900
    assert codec.decompress(b"as it is", "identity") == b"as it is"
    bomb = Codec("json", compress="deflate", min_size=1).encode("x" * 2000)
    with pytest.raises(DecodeError):
        codec.decompress(bomb.body, "deflate")
    with pytest.raises(DecodeError):
        codec.decompress(bomb.body, "zstd")
