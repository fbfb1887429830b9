"""How many values one message may hold, whatever its bytes: the bound of time and memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.codecs import Avro, Codec, CodecError, DecodeError, EncodeError, MessageTypes, TooLarge

Measured = Callable[[str], list[tuple[str | None, int, float]]]


@dataclass
class Track:
    points: list[int]


def only(cls: Any) -> MessageTypes:
    types = MessageTypes()
    types.add(1, cls)
    return types


def record(*fields: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": "R",
        "fields": [{"name": f"f{n}", "type": each} for n, each in enumerate(fields)],
    }


@pytest.fixture(params=["json", "msgpack", "yaml"])
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"json": "msgspec"}.get(request.param, request.param))
    name: str = request.param
    return name


@pytest.mark.parametrize(
    "make",
    [
        lambda n: [0] * (n - 1),
        lambda n: [[]] * (n - 1),
        lambda n: [{}] * (n - 1),
        lambda n: [""] * (n - 1),
        lambda n: ["," * 50] * (n - 1),
        lambda n: ['[{"\\,:'] * (n - 1),
        lambda n: [[1, 2]] * ((n - 1) // 3),
        lambda n: {str(k): None for k in range((n - 1) // 2)},
        lambda n: [{"a": [1.5], "b": "x" * 40}] * ((n - 1) // 6),
    ],
)
def test_values_and_keys_are_allowed_up_to_max_values(name: str, make: Any) -> None:
    codec = Codec(name, max_values=1001)
    value = make(1001)
    assert codec.decode(Codec(name).encode(value).body) == value
    more = make(1001 + 6)
    with pytest.raises(TooLarge, match="max_values=1001"):
        codec.decode(Codec(name).encode(more).body)


@pytest.mark.parametrize("format_name", ["json", "msgpack"])
def test_what_would_not_be_decoded_is_not_encoded(format_name: str) -> None:
    pytest.importorskip({"json": "msgspec"}.get(format_name, format_name))
    codec = Codec(format_name, max_values=101)
    assert codec.decode(codec.encode([1] * 100).body) == [1] * 100
    assert codec.decode(codec.encode(["x, [y]:" * 1000] * 100).body)
    with pytest.raises(EncodeError, match="max_values=101"):
        codec.encode([1] * 101)
    with pytest.raises(EncodeError, match="max_values=101"):
        Codec(format_name, types=only(Track), max_values=101).encode(Track([1] * 101))


def test_typed_values_are_counted_as_well(name: str) -> None:
    codec = Codec(name, types=only(Track), max_values=103)
    encode = Codec(name).encode
    assert codec.decode(encode({"points": [1] * 100}).body) == Track([1] * 100)
    with pytest.raises(TooLarge, match="max_values=103"):
        codec.decode(encode({"points": [1] * 101}).body)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=60)
    | st.text(alphabet='[]{},:"\\', max_size=40),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=60,
)


def count(value: Any) -> int:
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(count, value.values()))
    return 1


def test_the_count_is_exact(name: str) -> None:
    encode = Codec(name).encode

    @given(values)
    def check(value: Any) -> None:
        body, number = encode(value).body, count(value)
        assert Codec(name, max_values=number).decode(body) == value
        if number > 1:
            with pytest.raises(TooLarge):
                Codec(name, max_values=number - 1).decode(body)

    check()


@pytest.mark.parametrize("max_values", [0, -1, 1.5, "9", None, True])
def test_a_limit_that_makes_no_sense_is_refused(max_values: Any) -> None:
    with pytest.raises(CodecError, match="max_values"):
        Codec(max_values=max_values)


class TestAvro:
    @pytest.fixture(autouse=True)
    def _fastavro(self) -> None:
        pytest.importorskip("fastavro")

    @pytest.mark.parametrize(
        ("schema", "make", "each"),
        [
            ({"type": "array", "items": "double"}, lambda n: [1.5] * n, 1),
            ({"type": "array", "items": "long"}, lambda n: [2**40, -1, 7] * (n // 3), 1),
            ({"type": "array", "items": "boolean"}, lambda n: [True] * n, 1),
            ({"type": "array", "items": "string"}, lambda n: ["x" * 40] * n, 1),
            ({"type": "array", "items": "bytes"}, lambda n: [b""] * n, 1),
            ({"type": "array", "items": {"type": "array", "items": "int"}}, lambda n: [[]] * n, 1),
            ({"type": "array", "items": ["null", "long"]}, lambda n: [None] * n, 1),
            ({"type": "map", "values": "int"}, lambda n: {str(k): k for k in range(n)}, 2),
            (
                {"type": "array", "items": {"type": "array", "items": "int"}},
                lambda n: [[1, 2]] * n,
                3,
            ),
            (
                {"type": "array", "items": {**record("null", "null", "boolean"), "name": "I"}},
                lambda n: [{"f0": None, "f1": None, "f2": True}] * n,
                4,
            ),
        ],
    )
    def test_items_are_allowed_up_to_max_values(self, schema: Any, make: Any, each: int) -> None:
        types = only(Avro(record(schema)))
        encode = Codec("avro", types=types).encode
        value = {"f0": make(300)}
        codec = Codec("avro", types=types, max_values=300 * each + 2)
        assert codec.decode(codec.encode(value).body) == value
        with pytest.raises(EncodeError, match="max_values=100"):
            Codec("avro", types=types, max_values=100).encode(value)
        for fewer in (300 * each + 1, 100):
            with pytest.raises(TooLarge, match=f"max_values={fewer}"):
                Codec("avro", types=types, max_values=fewer).decode(encode(value).body)

    def test_arrays_without_items_are_counted(self) -> None:
        types = only(Avro(record(*[{"type": "array", "items": "double"}] * 10)))
        codec = Codec("avro", types=types, max_values=11)
        value: dict[str, list[float]] = {f"f{n}": [] for n in range(10)}
        assert codec.decode(codec.encode(value).body) == value
        with pytest.raises(EncodeError, match="max_values=10"):
            Codec("avro", types=types, max_values=10).encode(value)

    def test_fields_that_the_writer_lacks_are_counted(self) -> None:
        wide = [{"name": f"w{n}", "type": "int", "default": n} for n in range(50)]
        inner = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}]}
        wider = {**inner, "fields": [*inner["fields"], *wide]}  # type: ignore[misc]
        old = record({"type": "array", "items": inner})
        new = record({"type": "array", "items": wider})
        body = Codec("avro", types=only(Avro(old))).encode({"f0": [{"x": 1}] * 100}).body
        types = only(Avro(new, accepts=[old]))
        few = 100 * 52 + 2
        decoded = Codec("avro", types=types, max_values=few).decode(body)
        assert decoded["f0"][99]["w49"] == 49
        with pytest.raises(TooLarge):
            Codec("avro", types=types, max_values=few - 1).decode(body)

    def test_whatever_is_read_is_looked_through_without_fault(self) -> None:
        union = ["null", "string", {"type": "array", "items": "boolean"}]
        schema = record("int", "bytes", union, {"type": "map", "values": "int"})
        types = only(Avro(schema, bare=True))
        read, look = Codec("avro", types=types), Codec("avro", types=types, max_values=12)
        small = st.integers(0, 5).map(lambda number: bytes([number]))

        @given(st.lists(small | st.binary(max_size=2), max_size=30).map(b"".join))
        def check(data: bytes) -> None:
            try:
                value = read.decode(data)
            except DecodeError:
                return
            number = 5 + 2 * len(value["f3"])
            number += len(value["f2"]) if isinstance(value["f2"], list) else 0
            if number > 12:
                with pytest.raises(TooLarge):
                    look.decode(data)
            else:
                assert look.decode(data) == value

        check()

    def test_what_is_looked_through_reads_as_before(self) -> None:
        fixed = {"type": "fixed", "name": "F", "size": 3}
        schema = record(
            {"type": "map", "values": ["null", "string", fixed]},
            {"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
            ["null", {"type": "array", "items": "F"}],
            {"type": "long", "logicalType": "timestamp-millis"},
            *[{"type": "array", "items": kind} for kind in ("double", "float", ["int", "string"])],
            {"type": "string"},
        )
        types = only(Avro(schema))
        value: dict[str, Any] = {"f0": {"a": None, "b": "x", "c": b"123"}, "f1": ["A", "B"]}
        # The number is the greatest of one byte.
        value |= {"f2": [b"abc"], "f3": -64, "f4": [0.5], "f5": [0.5], "f6": [1, "x"], "f7": "end"}
        body = Codec("avro", types=types).encode(value).body
        whole = Codec("avro", types=types).decode(body)
        for max_values in range(1, 26):
            codec = Codec("avro", types=types, max_values=max_values)
            if max_values < 22:
                with pytest.raises(TooLarge):
                    codec.decode(body)
            else:
                assert codec.decode(body) == whole


_BOMBS = """
import struct
from dataclasses import dataclass
from gestalt.codecs import Avro, Codec, MessageTypes
M = 1 << 20

def array(size):
    return b"\\xdd" + struct.pack(">I", size)

@dataclass
class Item:
    x: int = 0

def only(cls):
    types = MessageTypes()
    types.add(1, cls)
    return types
"""


@pytest.mark.parametrize(
    ("library", "code"),
    [
        ("msgspec", "Codec('json'), b'[' + b'[],' * (16 * M // 3 - 2) + b'1]'"),
        ("msgspec", "Codec('json'), b'[' + b'\"\",' * (16 * M // 3 - 2) + b'1]'"),
        ("msgspec", "Codec('json'), b'[' * 129 + b'\"\" ' * (16 * M // 3 - 99)"),
        ("msgspec", "Codec('json', types=only(list[Item])), b'[' + b'{},' * (5 * M) + b'{}]'"),
        ("msgpack", "Codec('msgpack'), array(16 * M - 5) + b'\\x80' * (16 * M - 5)"),
        ("msgpack", "Codec('msgpack'), array(16 * M - 9) + b'\\x01' * (16 * M - 5)"),
        ("msgpack", "Codec('msgpack', types=only(list[Item])), array(M) + b'\\x80' * M"),
        ("msgpack", "Codec('msgpack'), b'\\xdc\\xff\\xff' + b'\\xd9\\x00' * (8 * M - 99)"),
    ],
)  # fmt: skip
def test_sixteen_mib_of_small_values_are_refused_at_little_cost(
    library: str, code: str, measured: Measured
) -> None:
    pytest.importorskip(library)
    [(error, growth, seconds)] = measured(f"""{_BOMBS}
codec, data = {code}
measure(lambda: codec.decode(data))
""")
    assert error in ("TooLarge", "TooDeep", "DecodeError", "TrailingData")
    assert growth < 96 * 1024
    assert seconds < 2


def test_a_few_bytes_of_brotli_make_no_gigabytes_of_avro(measured: Measured) -> None:
    pytest.importorskip("fastavro")
    pytest.importorskip("brotli")
    [(error, growth, seconds)] = measured(f"""{_BOMBS}
import brotli
nulls = [dict(name=f"n{{i}}", type="null") for i in range(40)]
item = dict(type="record", name="I", fields=[*nulls, dict(name="b", type="boolean")])
fields = [dict(name="items", type=dict(type="array", items=item))]
codec = Codec("avro", types=only(Avro(dict(type="record", name="R", fields=fields))), accept=["br"])
header = codec.encode(dict(items=[])).body[:10]
def varint(n):
    n <<= 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])
count = 16 * M - 64
bomb = brotli.compress(header + varint(count) + bytes(count) + bytes(1))
assert len(bomb) < 100
measure(lambda: codec.decode(bomb, content_encoding="br"))
""")
    assert error == "TooLarge"
    assert growth < 64 * 1024
    assert seconds < 2


def test_many_of_the_largest_allowed_take_bounded_time_and_memory(measured: Measured) -> None:
    found = measured(f"""{_BOMBS}
most = 249_000
for codec in (Codec("json"), Codec("json", types=only(list[Item]))):
    data = b"[" + b"{{}}," * most + b"{{}}]"
    measure(lambda: codec.decode(data))
""")
    for error, growth, seconds in found:
        assert error is None
        assert growth < 128 * 1024
        assert seconds < 5
