"""Whatever a value is or does when it is looked at, encode raises nothing but an EncodeError."""

import array
import datetime as dt
import enum
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.codecs import (
    Avro,
    Codec,
    Compressor,
    DecodeError,
    EncodeError,
    MessageTypes,
    SchemaError,
    Truncated,
)
from gestalt.codecs.reasons import reason_of
from gestalt.core.numbers import kind_of


class OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class NoRepr:
    def __repr__(self) -> str:
        raise OddError


class NoAttributes:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class OddMeta(type):
    def __hash__(cls) -> int:
        raise OddError

    @property
    def __name__(cls) -> str:
        raise OddError


class OddClass(metaclass=OddMeta):
    pass


class OddInteger(int):
    def __repr__(self) -> str:
        raise OddError

    __index__ = __int__ = __repr__  # type: ignore[assignment]


class OddText(str):
    def __repr__(self) -> str:
        raise OddError

    def encode(self, *arguments: Any) -> bytes:
        raise OddError


class OddDict(dict[Any, Any]):
    def items(self) -> Any:
        raise OddError

    __iter__ = keys = __repr__ = items


class OddList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise OddError

    def __len__(self) -> int:
        return -1

    def __repr__(self) -> str:
        raise OddError


class OddKey:
    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise OddError


class OddEnum(enum.Enum):
    OBJECT = object()
    SURROGATE = "\ud800"


@dataclass
class Holder:
    x: Any


@dataclass
class OddField:
    @property
    def x(self) -> Any:
        raise OddError


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def cyclic(kind: str) -> Any:
    if kind == "list":
        cycle: list[Any] = []
        cycle.append(cycle)
        return cycle
    if kind == "dict":
        ring: dict[str, Any] = {}
        ring["a"] = ring
        return ring
    holder = Holder(None)
    holder.x = holder
    return holder


def released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


EAST = dt.timezone(dt.timedelta(hours=23, minutes=59))
WEST = dt.timezone(dt.timedelta(hours=-23, minutes=-59, seconds=-59, microseconds=-1))

ODD: dict[str, Callable[[], Any]] = {
    "no repr": NoRepr,
    "no repr within": lambda: Holder(NoRepr()),
    "odd exception": OddError,
    "no attributes": NoAttributes,
    "odd class": OddClass,
    "odd integer": lambda: OddInteger(5),
    "odd text": lambda: OddText("x"),
    "odd dict": lambda: OddDict(a=1),
    "odd list": lambda: OddList([1]),
    "odd key": lambda: {OddKey(): 1},
    "odd enum": lambda: OddEnum.OBJECT,
    "enum of a surrogate": lambda: OddEnum.SURROGATE,
    "property raises": OddField,
    "surrogate": lambda: "\ud800",
    "surrogate key": lambda: {"\udfff": 1},
    "surrogate within": lambda: ["a\ud800b"],
    "exception of a surrogate": lambda: ValueError("\ud800"),
    "NaN": lambda: math.nan,
    "NaN key": lambda: {math.nan: 1},
    "infinity": lambda: -math.inf,
    "huge integer": lambda: 10**5000,
    "huge integer within": lambda: [10**5000],
    "huge key": lambda: {10**5000: 1},
    "beyond 64 bits": lambda: [2**64, -(2**63) - 1],
    "bytes key": lambda: {b"\xff": 1},
    "tuple key": lambda: {(1, 2): 3},
    "none key": lambda: {None: 1},
    "mixed keys": lambda: {1: 2, "1": 3, None: 4},
    "odd decimals": lambda: [Decimal(each) for each in ("NaN", "sNaN", "-Inf", "1E+999999")],
    "odd datetimes": lambda: [
        dt.datetime(1, 1, 1),
        dt.datetime.max.replace(tzinfo=WEST),
        dt.datetime.min.replace(tzinfo=EAST),
        dt.time.min.replace(tzinfo=dt.timezone(dt.timedelta(seconds=1))),
        dt.timedelta.max,
        dt.timedelta.min,
        dt.date.min,
    ],
    "deep": lambda: nested(100_000),
    "cyclic list": lambda: cyclic("list"),
    "cyclic dict": lambda: cyclic("dict"),
    "cyclic object": lambda: cyclic("object"),
    "view with steps": lambda: memoryview(b"abcd")[::2],
    "released view": released,
    "array": lambda: array.array("i", [1]),
    "generator": lambda: (each for each in ()),
    "function": lambda: len,
    "class": lambda: int,
    "module": lambda: math,
    "complex": lambda: 1j,
    "namespace": lambda: SimpleNamespace(a=1),
    "ellipsis": lambda: ...,
}

AVRO = {
    "type": "record",
    "name": "Holder",
    "fields": [
        {
            "name": "x",
            "type": [
                "null",
                "string",
                "long",
                "double",
                "bytes",
                {"type": "array", "items": ["long", "string"]},
                {"type": "map", "values": "long"},
                {"type": "long", "logicalType": "timestamp-micros"},
            ],
        }
    ],
}


def codecs() -> Iterator[tuple[str, Callable[[Any], Any], Callable[[], Codec]]]:
    def typed(name: str, cls: Any, tag: str | None = None) -> Codec:
        types = MessageTypes(tag=tag)
        types.add(1, cls)
        return Codec(name, types=types)

    for name in ("bytes", "text", "json", "msgpack", "yaml"):
        yield name, lambda value: value, lambda name=name: Codec(name)  # type: ignore[misc]
    for name in ("json", "msgpack", "yaml"):
        yield f"{name} list", lambda value: [value], lambda name=name: Codec(name)  # type: ignore[misc]
        yield f"{name} typed", Holder, lambda name=name: typed(name, Holder)  # type: ignore[misc]
        yield f"{name} tag", Holder, lambda name=name: typed(name, Holder, "type")  # type: ignore[misc]
        yield f"{name} class", lambda value: value, lambda name=name: typed(name, Holder)  # type: ignore[misc]
    yield "avro", lambda value: {"x": value}, lambda: typed("avro", Avro(AVRO))
    yield "avro class", Holder, lambda: typed("avro", Avro(AVRO, into=Holder))
    yield "json deflate", Holder, lambda: Codec(compress="deflate", min_size=0)


LIBRARIES = {"msgpack": "msgpack", "yaml": "yaml", "avro": "fastavro"}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    ("label", "wrap", "make"),
    list(codecs()),
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_odd_values_raise_nothing_but_encode_errors(
    label: str, wrap: Callable[[Any], Any], make: Callable[[], Codec], odd: str
) -> None:
    pytest.importorskip(LIBRARIES.get(label.partition(" ")[0], "msgspec"))
    codec, value = make(), wrap(ODD[odd]())
    said = ""
    try:
        codec.decode(codec.encode(value).body, type_id=1)
    except (EncodeError, DecodeError) as error:
        said = str(error)
    assert len(said.encode()) < 800  # it can be printed, and is no flood


@pytest.mark.parametrize("odd", [name for name in ODD if name != "deep"])
def test_odd_values_are_short_and_printable(odd: str) -> None:
    text = kind_of(ODD[odd]())
    assert len(text.encode()) < 400
    assert len(reason_of(ValueError(odd, "x" * 9999)).encode()) < 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "\ud800"),
        ("json", "\ud800"),
        ("json", {"\ud800": 1}),
        ("msgpack", ["\ud800"]),
        ("yaml", "\ud800"),
        ("yaml", {"a": "b\udfff"}),
    ],
)
def test_lone_surrogates_are_named(name: str, value: Any) -> None:
    pytest.importorskip(LIBRARIES.get(name, "msgspec"))
    with pytest.raises(EncodeError, match="surrogates"):
        Codec(name).encode(value)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text", b"\xed\xa0\x80"),
        ("json", b'"\\ud800"'),
        ("json", b'{"\\udc00":1}'),
        ("json", b'"\xed\xa0\x80"'),
        ("msgpack", b"\xa3\xed\xa0\x80"),
        ("msgpack", b"\x81\xa3\xed\xa0\x80\x01"),
        ("yaml", b'"\\ud800"'),
        ("yaml", b"\xed\xa0\x80"),
        ("yaml", b'"\\U0000D800": 1'),
    ],
)
def test_lone_surrogates_are_decoded_by_nobody(name: str, data: bytes) -> None:
    pytest.importorskip(LIBRARIES.get(name, "msgspec"))
    with pytest.raises(DecodeError):
        Codec(name).decode(data)


@given(st.text(alphabet=st.characters(), max_size=30))
def test_text_of_any_code_points_is_encoded_or_refused(text: str) -> None:
    for codec in (Codec("text"), Codec("json")):
        try:
            body = codec.encode(text).body
        except EncodeError:
            assert any("\ud800" <= each <= "\udfff" for each in text)
        else:
            assert codec.decode(body) == text


@pytest.mark.parametrize(
    "text", ["a\n%b", "\u2028%TAG", "\x85%", "\r%x", "%", "a\u2029%b: c", "\n%"]
)
def test_yaml_encodes_no_text_that_it_takes_for_a_directive(text: str) -> None:
    pytest.importorskip("yaml")
    codec = Codec("yaml")
    for value in (text, [text], {text: text}, {"a": [text + "\n"]}):
        assert codec.decode(codec.encode(value).body) == value


def test_what_a_compressor_raises_is_an_encode_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Compressor, data: bytes) -> bytes:
        raise OddError

    monkeypatch.setattr("gestalt.codecs.compressors.deflate.Deflate.compress", fails)
    with pytest.raises(EncodeError, match="gzip: cannot compress data of 3 bytes: OddError"):
        Codec(compress="gzip", min_size=0).encode([1])


def test_a_type_that_the_format_cannot_carry_is_a_schema_error() -> None:
    class Wrong(TypedDict):
        x: list[int] | set[int]

    types = MessageTypes()
    types.add(1, Wrong)
    for name in ("json", "msgpack"):
        pytest.importorskip({"json": "msgspec"}.get(name, name))
        codec = Codec(name, types=types)
        with pytest.raises(SchemaError, match="cannot carry Wrong"):
            codec.decode(b"{}" if name == "json" else b"\x80")


@pytest.mark.parametrize("data", [None, 5, 10**12, "text", [1], object()])
def test_data_that_is_no_buffer_is_a_type_error_that_says_so(data: Any) -> None:
    with pytest.raises(TypeError, match="decode takes bytes or another buffer"):
        Codec().decode(data)


@pytest.mark.parametrize("type_id", [[], {}, "1", -1, 1.5, OddError()])
def test_type_ids_that_are_none_are_unknown(type_id: Any) -> None:
    types = MessageTypes()
    types.add(1, Holder)
    with pytest.raises(DecodeError, match="no message type"):
        Codec(types=types).decode(b"{}", type_id=type_id)
    with pytest.raises(DecodeError, match="no message type"):
        Codec(types=types).decode(b"{}", type_name=type_id or OddError())


@pytest.mark.parametrize(
    "data", [b'"\\ud800"', b'["\\ud800", 1]', b'{"\\uDBFF": 1}', b'"\\\\\\uda00\\n"']
)
def test_half_a_surrogate_pair_is_no_missing_end(data: bytes) -> None:
    with pytest.raises(DecodeError, match="surrogate") as caught:
        Codec("json").decode(data)
    assert not isinstance(caught.value, Truncated)


@pytest.mark.parametrize(
    "data",
    [
        b'"\\ud800',
        b'"\\ud800\\',
        b'"\\ud800\\u',
        b'"\\ud83d\\ude0',
        b'"\\\\ud800x',
        b'"\\u12"',
    ],
)
def test_json_that_is_cut_off_misses_its_end(data: bytes) -> None:
    with pytest.raises(Truncated, match="the end is missing"):
        Codec("json").decode(data)


class Kept(msgspec.Struct):
    value: Any


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": {1, object()}}, r"at \$\.a\[\.\.\.\] of"),
        (Kept(object()), r"at \$\.value of"),
        (Kept({1: [object()]}), r"at \$\.value\[\.\.\.\]\[0\] of"),
        ({"secret" * 20: object()}, r"at \$\[\.\.\.\] of"),
    ],
)
def test_what_cannot_be_encoded_is_found_within_sets_and_structs(value: Any, where: str) -> None:
    with pytest.raises(EncodeError, match=where):
        Codec("json").encode(value)
