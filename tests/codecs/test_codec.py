"""A codec's way there and back, what it declares of a body, and what it refuses."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import pytest

from gestalt.codecs import (
    CODING_TAGS,
    Codec,
    CodecError,
    Codecs,
    ContentNotAllowed,
    DecodeError,
    EncodeError,
    MessageTypes,
    TooLarge,
    TrailingData,
    Truncated,
    UnknownCodec,
    UnknownType,
    UnregisteredType,
    ValidationError,
)

COMPRESSIBLE = {"track": [[1.5, 2.5]] * 400}


@dataclass
class Position:
    lat: float
    lon: float


@dataclass
class Status:
    ok: bool


@pytest.fixture
def types() -> MessageTypes:
    types = MessageTypes()
    types.add(1, Position)
    types.add(7, Status, name="telemetry.Status")
    return types


@pytest.mark.parametrize(
    ("name", "value"),
    [("bytes", b"\x00\xff"), ("text", "smörgås"), ("json", {"a": [1, None, "ö"]})],
)
def test_what_is_encoded_decodes_to_the_same(name: str, value: Any) -> None:
    codec = Codec(name)
    encoded = codec.encode(value)
    assert type(encoded.body) is bytes
    assert codec.decode(encoded.body, content_type=encoded.content_type) == value


def test_encode_says_what_the_receiver_needs_to_know(types: MessageTypes) -> None:
    plain = Codec("json").encode([1])
    assert plain == (b"[1]", "application/json", None, None, None)
    typed = Codec("json", types=types).encode(Status(True))
    assert typed == (b'{"ok":true}', "application/json", None, 7, "telemetry.Status")


@pytest.mark.parametrize(
    "make", [bytes, bytearray, memoryview, lambda data: memoryview(b"x" + data)[1:]]
)
def test_decode_takes_any_buffer_and_keeps_none(make: Callable[[bytes], Any]) -> None:
    result = Codec("bytes").decode(make(b"abc"))
    assert type(result) is bytes
    assert result == b"abc"


def test_a_name_or_a_mime_type_in_any_case_and_with_parameters_names_a_serializer() -> None:
    for name in ("json", "JSON", "application/json", "Application/JSON; charset=utf-8"):
        assert Codec(name).serializer == "json"


def test_a_compressor_is_named_by_name_or_token() -> None:
    assert Codec(compress="zlib").compress == "deflate"
    assert Codec(compress="GZIP").compress == "gzip"
    assert Codec().compress is None


def test_unknown_names_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownCodec, match=r"'pickle'.*json"):
        Codec("pickle")
    with pytest.raises(UnknownCodec, match=r"'rar'.*deflate"):
        Codec(compress="rar")


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_size": 0},
        {"min_size": -1},
        {"max_depth": 0},
        {"max_size": 1.5},
        {"level": 3},
        {"compress": "deflate", "level": 10},
        {"accept": "gzip"},
        {"serializer": None},
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        Codec(**arguments)


def test_a_codec_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        Codec().max_size = 5  # type: ignore[misc]


class TestCompression:
    @pytest.mark.parametrize("name", ["deflate", "raw-deflate", "gzip"])
    def test_a_large_body_is_compressed_and_says_so(self, name: str) -> None:
        codec = Codec("json", compress=name)
        encoded = codec.encode(COMPRESSIBLE)
        assert encoded.content_encoding == name
        assert len(encoded.body) < 200
        assert codec.decode(encoded.body, content_encoding=name) == COMPRESSIBLE

    def test_a_body_below_min_size_is_not_compressed(self) -> None:
        codec = Codec("text", compress="deflate", min_size=100)
        assert codec.encode("x" * 99).content_encoding is None
        assert codec.encode("x" * 100).content_encoding == "deflate"

    def test_a_body_that_would_grow_is_not_compressed(self) -> None:
        noise = bytes(range(256)) * 2
        assert Codec("bytes", compress="gzip", min_size=0).encode(noise[:200]).body == noise[:200]

    def test_the_sender_never_chooses_a_compressor_that_is_not_allowed(self) -> None:
        encoded = Codec("json", compress="gzip").encode(COMPRESSIBLE)
        for codec in (Codec(), Codec(compress="deflate")):
            with pytest.raises(ContentNotAllowed, match="gzip"):
                codec.decode(encoded.body, content_encoding="gzip")
        assert Codec(accept=["gzip"]).decode(encoded.body, content_encoding="gzip") == COMPRESSIBLE

    @pytest.mark.parametrize("token", ["identity", "binary", "utf-8", "UTF-8", "", None])
    def test_tokens_that_mean_not_compressed(self, token: str | None) -> None:
        assert Codec(compress="gzip").decode(b"[1]", content_encoding=token) == [1]

    def test_an_unknown_token_is_refused(self) -> None:
        with pytest.raises(ContentNotAllowed, match="rot13"):
            Codec().decode(b"[1]", content_encoding="rot13")

    def test_tags_of_codings_are_fixed_for_ever(self) -> None:
        assert dict(CODING_TAGS) == {
            "identity": 0,
            "deflate": 1,
            "raw-deflate": 2,
            "gzip": 3,
            "bzip2": 4,
            "xz": 5,
            "br": 6,
            "snappy": 7,
            "zstd": 8,
            "lz4": 9,
        }


class TestLimits:
    def test_a_body_above_max_size_is_neither_encoded_nor_decoded(self) -> None:
        codec = Codec("text", max_size=10)
        assert codec.decode(codec.encode("x" * 10).body) == "x" * 10
        with pytest.raises(EncodeError, match="max_size=10"):
            codec.encode("x" * 11)
        with pytest.raises(TooLarge, match="max_size=10"):
            codec.decode(b"x" * 11)

    @pytest.mark.parametrize("size", [1000, 3_000_000])
    def test_what_decompresses_to_more_than_max_size_is_refused(self, size: int) -> None:
        body = Codec("bytes", compress="deflate").encode(bytes(size + 1)).body
        exact = Codec("bytes", compress="deflate").encode(bytes(size)).body
        codec = Codec("bytes", accept=["deflate"], max_size=size)
        assert codec.decode(exact, content_encoding="deflate") == bytes(size)
        with pytest.raises(TooLarge, match=str(size)):
            codec.decode(body, content_encoding="deflate")


class TestTypes:
    @pytest.mark.parametrize("name", ["json"])
    def test_the_type_is_found_by_id_or_name(self, types: MessageTypes, name: str) -> None:
        codec = Codec(name, types=types)
        body = codec.encode(Position(1.5, 2.5)).body
        assert codec.decode(body, type_id=1) == Position(1.5, 2.5)
        assert codec.decode(body, type_name="Position") == Position(1.5, 2.5)

    def test_unknown_types_are_refused(self, types: MessageTypes) -> None:
        codec = Codec(types=types)
        with pytest.raises(UnknownType, match=r"id 9.*1 Position"):
            codec.decode(b"{}", type_id=9)
        with pytest.raises(UnknownType, match=r"'os\.system'"):
            codec.decode(b"{}", type_name="os.system")
        with pytest.raises(UnregisteredType, match=r"types\.add"):
            codec.encode({"lat": 1.0})

    def test_a_subclass_is_a_type_of_its_own(self, types: MessageTypes) -> None:
        class Fix(Position): ...

        with pytest.raises(UnregisteredType, match="Fix"):
            Codec(types=types).encode(Fix(1.0, 2.0))

    def test_without_id_and_name_the_only_type_is_meant(self, types: MessageTypes) -> None:
        alone = MessageTypes()
        alone.add(3, Status)
        assert Codec(types=alone).decode(b'{"ok":true}') == Status(True)
        with pytest.raises(UnknownType, match="exactly one"):
            Codec(types=types).decode(b'{"ok":true}')
        with pytest.raises(UnknownType, match="none"):
            Codec(types=MessageTypes()).decode(b'{"ok":true}')

    def test_without_types_ids_are_ignored(self) -> None:
        assert Codec().decode(b"1", type_id=12345, type_name="x") == 1

    def test_types_may_be_added_while_the_codec_is_in_use(self, types: MessageTypes) -> None:
        codec = Codec(types=types)
        codec.encode(Status(True))

        @types.add(99)
        @dataclass
        class Late:
            x: int

        assert codec.decode(codec.encode(Late(1)).body, type_id=99) == Late(1)

    def test_a_value_that_does_not_fit_its_type_says_where(self) -> None:
        @dataclass
        class Track:
            points: list[Position]

        types = MessageTypes()
        types.add(1, Track)
        with pytest.raises(ValidationError, match=r"Expected `float`, got `str`") as caught:
            Codec(types=types).decode(b'{"points":[{"lat":1,"lon":2},{"lat":"x","lon":2}]}')
        assert caught.value.path == "$.points[1].lat"
        assert caught.value.__cause__ is not None


class TestCodecs:
    def test_the_declared_format_is_decoded_and_the_first_encoded(self) -> None:
        codecs = Codecs(Codec("json"), Codec("text"))
        assert codecs.encode("x") == Codec("json").encode("x")
        assert codecs.decode(b'"x"', content_type="application/json") == "x"
        assert codecs.decode(b'"x"', content_type="TEXT/plain; charset=utf-8") == '"x"'
        assert codecs.decode(b'"x"') == "x"

    def test_the_rest_is_refused_by_name(self) -> None:
        codecs = Codecs(Codec("json"), Codec("text"))
        assert not codecs.allows("application/x-python-serialize")
        with pytest.raises(ContentNotAllowed, match=r"x-python-serialize.*json, text"):
            codecs.decode(b"x", content_type="application/x-python-serialize")

    def test_a_codec_by_itself_allows_its_own_format_only(self) -> None:
        assert Codec().allows("application/json; charset=utf-8")
        with pytest.raises(ContentNotAllowed, match="text/plain"):
            Codec().decode(b"1", content_type="text/plain")

    def test_there_is_one_codec_for_each_format(self) -> None:
        with pytest.raises(CodecError, match="one Codec for each"):
            Codecs(Codec("json"), Codec("application/json"))
        with pytest.raises(CodecError, match="one Codec or more"):
            Codecs()


def test_declared_charsets_are_converted_and_unknown_ones_refused() -> None:
    latin = "smörgås".encode("latin-1")
    codec = Codec("text")
    assert codec.decode(latin, content_type="text/plain; charset=ISO-8859-1") == "smörgås"
    assert codec.decode(latin, content_encoding="latin-1") == "smörgås"
    assert Codec("json").decode('"ö"'.encode("utf-16"), content_encoding="utf-16") == "ö"
    with pytest.raises(ContentNotAllowed, match="unicode_escape"):
        codec.decode(latin, content_type='text/plain; charset="unicode_escape"')
    with pytest.raises(DecodeError, match="utf-16"):
        codec.decode(b"\x00", content_encoding="utf-16")


def test_truncated_and_trailing_json_are_told_apart() -> None:
    with pytest.raises(Truncated):
        Codec().decode(b'{"a": [1')
    with pytest.raises(TrailingData):
        Codec().decode(b"[1] 2")


def test_values_that_cannot_be_encoded_raise_an_encode_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for codec, value in ((Codec(), object()), (Codec(), endless), (Codec("text"), b"x")):
        with pytest.raises(EncodeError):
            codec.encode(value)


@pytest.mark.parametrize(
    "declared", ["text/plain", "TEXT/PLAIN; charset=utf-8", "application/problem+json"]
)
def test_what_others_call_the_format_is_decoded_where_it_is_accepted(declared: str) -> None:
    with pytest.raises(ContentNotAllowed, match="accept_types"):
        Codec().decode(b"[1]", content_type=declared)
    codec = Codec(accept_types=["text/plain", "+json"])
    assert codec.allows(declared)
    assert codec.decode(b"[1]", content_type=declared) == [1]
    assert codec.encode([1]).content_type == "application/json"
    with pytest.raises(ContentNotAllowed):
        codec.decode(b"[1]", content_type="application/msgpack")
    assert not codec.allows("application/json+msgpack")


@pytest.mark.parametrize("wrong", ["text/plain", [""], ["+"], ["json"], [None]])
def test_accept_types_takes_mime_types_and_ends_of_them(wrong: Any) -> None:
    with pytest.raises(CodecError, match="accept_types"):
        Codec(accept_types=wrong)
