"""Data made to crash, hang or fill the memory: a DecodeError, in bounded time and memory."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.codecs import (
    Avro,
    Codec,
    DecodeError,
    MessageTypes,
    TooDeep,
    Truncated,
)

Measured = Callable[[str], list[tuple[str | None, int, float]]]

LIBRARIES = {
    "msgpack": "msgpack",
    "yaml": "yaml",
    "avro": "fastavro",
    "protobuf": "google.protobuf",
}


@dataclass
class Node:
    label: str
    children: "list[Node]"


@dataclass
class Reading:
    sensor: str
    values: list[float]


READING = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "sensor", "type": "string"},
        {"name": "values", "type": {"type": "array", "items": "double"}},
    ],
}


def need(name: str) -> None:
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])


def typed(name: str) -> Codec:
    need(name)
    types = MessageTypes()
    if name == "protobuf":
        from google.protobuf import struct_pb2

        types.add(1, struct_pb2.Value)
    else:
        types.add(1, Avro(READING, into=Reading) if name == "avro" else Reading)
    return Codec(name, types=types)


@pytest.mark.parametrize(
    ("name", "unit", "middle", "closing"),
    [
        ("json", b"[", b"", b"]"),
        ("json", b'{"a":', b"1", b"}"),
        ("msgpack", b"\x91", b"\x01", b""),
        ("msgpack", b"\x81\x01", b"\x01", b""),
        ("msgpack", b"\xdd\x00\x00\x00\x01", b"\x01", b""),
        ("yaml", b"[", b"", b"]"),
        ("yaml", b"{a: ", b"1", b"}"),
        ("yaml", b"- ", b"1", b""),
    ],
)
class TestDepth:
    def test_nesting_is_allowed_up_to_max_depth(
        self, name: str, unit: bytes, middle: bytes, closing: bytes
    ) -> None:
        need(name)
        codec = Codec(name, max_depth=40)
        for depth in (1, 39, 40):
            codec.decode(unit * depth + middle + closing * depth)
        for depth in (41, 42, 200, 1000):
            with pytest.raises(TooDeep):
                codec.decode(unit * depth + middle + closing * depth)

    def test_100_000_levels_are_an_error_and_no_crash(
        self, name: str, unit: bytes, middle: bytes, closing: bytes, measured: Measured
    ) -> None:
        need(name)
        found = measured(f"""
from gestalt.codecs import Codec
codec = Codec({name!r}, max_size=1 << 30)
codec.decode(b"1")
deep = {unit!r} * 100_000
measure(lambda: codec.decode(deep))
measure(lambda: codec.decode(deep + {middle!r} + {closing!r} * 100_000))
""")
        for error, growth, seconds in found:
            assert error in ("TooDeep", "DecodeError")
            assert growth < 32 * 1024
            assert seconds < 10


def test_100_000_levels_of_protobuf_are_an_error_and_no_crash(measured: Measured) -> None:
    need("protobuf")
    [(error, growth, seconds)] = measured("""
from google.protobuf import struct_pb2
from gestalt.codecs import Codec, MessageTypes
types = MessageTypes()
types.add(1, struct_pb2.Value)

def varint(number):
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([number])

# Value.list_value = 6, ListValue.values = 1, from the inside out.
parts, size = [], 0
for level in range(100_001):
    head = (b"\\x0a" if level % 2 else b"\\x32") + varint(size)
    parts.append(head)
    size += len(head)
data = b"".join(reversed(parts))
codec = Codec("protobuf", types=types)
measure(lambda: codec.decode(data))
""")
    assert error == "DecodeError"
    assert growth < 32 * 1024
    assert seconds < 10


def test_brackets_within_strings_are_no_nesting() -> None:
    value = {"text": "[[[[{{{{" * 100 + '\\"[' * 100}
    codec = Codec("json", max_depth=2)
    assert codec.decode(codec.encode(value).body) == value
    with pytest.raises(TooDeep):
        codec.decode(codec.encode([[value]]).body)


def test_quotes_without_end_take_no_quadratic_time(measured: Measured) -> None:
    [(error, _, seconds)] = measured("""
from gestalt.codecs import Codec
codec = Codec("json")
data = b"[" * 200 + b'"' + b'\\\\"' * 4_000_000
measure(lambda: codec.decode(data))
""")
    assert error in ("TooDeep", "Truncated")
    assert seconds < 10


def test_recursive_types_are_bounded_too() -> None:
    types = MessageTypes()
    types.add(1, Node)
    codec = Codec("json", types=types, max_depth=100)
    data = b'{"label":"","children":[' * 100_000
    with pytest.raises(TooDeep):
        codec.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdc\xff\xff" + bytes(100),
    ],
)
def test_lengths_that_lie_are_truncated_msgpack(data: bytes) -> None:
    need("msgpack")
    with pytest.raises(Truncated):
        Codec("msgpack").decode(data)


def test_nested_lying_lengths_claim_no_memory(measured: Measured) -> None:
    need("msgpack")
    found = measured("""
from gestalt.codecs import Codec
codec = Codec("msgpack")
size = 16 * 1024 * 1024 - 16384
wide = (b"\\xdd" + size.to_bytes(4, "big")) * 1000
short = (b"\\xdc\\xff\\xff") * 1000
data = [head + bytes(size - len(head)) for head in (wide, short)]
for each in data:
    measure(lambda: codec.decode(each))
""")
    for error, growth, seconds in found:
        assert error in ("DecodeError", "TooDeep")
        assert growth < 16 * 1024
        assert seconds < 10


def test_large_honest_msgpack_passes_the_guard() -> None:
    need("msgpack")
    codec = Codec("msgpack")
    value = {"rows": [[1.5, "x" * 40, b"\xdd" * 40, {"k": None, 2**63: -1}]] * 20_000, "blob": b""}
    assert codec.decode(codec.encode(value).body) == value
    blob = b"\xdc\xff\xff" * 1_000_000
    assert codec.decode(codec.encode([blob, [blob[:9]] * 70_000]).body)[0] == blob


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x",
        "a: {<<: {b: 1}}",
        "<<: [{a: 1}, {b: 2}]",
        "%TAG ! tag:x,2000:\n---\n1",
        "%YAML 1.1\n---\n1",
        "\r%TAG ! tag:x,2000:\r--- 1",
        "\x85%YAML 1.1\x85--- 1",
        "\u2028%YAML 1.1\u2028--- 1",
        "\u2029%FOO\u2029--- 1",
        "\ufeff%YAML 1.1\n---\n1",
        "# a comment\r%YAML 1.1\n---\n1",
        "!!python/object/apply:os.system [id]",
        "!!python/name:os.system",
        "!!int '" + "1:" * 5000 + "1'",
        "1" * 5000,
        "? [1]\n: 2",
        "? {}\n: 2",
        "a\n---\nb",
        "2020-99-99",
        "!!timestamp x",
        "!!float x",
        "!!binary ö",
        "\x00",
        f"{2**80}: 1",
    ],
)
def test_yaml_beyond_plain_values_is_refused(text: str) -> None:
    need("yaml")
    with pytest.raises(DecodeError):
        Codec("yaml").decode(text.encode())


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028", "\u2029"])
def test_directives_take_no_quadratic_time_whatever_ends_their_lines(
    end: str, measured: Measured
) -> None:
    need("yaml")
    [(error, _, seconds)] = measured(f"""
from gestalt.codecs import Codec
end = {end!r}
data = end + "".join(f"%TAG !a{{n}}! a:{{end}}" for n in range(20_000)) + "--- a"
codec = Codec("yaml")
measure(lambda: codec.decode(data.encode()))
""")
    assert error == "DecodeError"
    assert seconds < 0.5


@pytest.mark.slow
def test_many_small_yaml_values_are_refused_in_bounded_time_and_memory(measured: Measured) -> None:
    need("yaml")
    [(honest, _, _), (error, growth, seconds)] = measured("""
from gestalt.codecs import Codec
codec = Codec("yaml")
measure(lambda: codec.decode(b"[" + b"a," * 9_999 + b"a]"))
measure(lambda: codec.decode(b"[" + b"a," * 4_000_000 + b"a]"))
""")
    assert honest is None
    assert error == "TooLarge"
    assert growth < 192 * 1024
    assert seconds < 30


def test_a_merge_key_bomb_is_refused_at_once(measured: Measured) -> None:
    need("yaml")
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 30)]
    [(error, growth, seconds)] = measured(f"""
from gestalt.codecs import Codec
codec = Codec("yaml")
measure(lambda: codec.decode({chr(10).join(lines).encode()!r}))
""")
    assert error == "DecodeError"
    assert growth < 4 * 1024
    assert seconds < 1


@pytest.mark.parametrize("name", ["json", "msgpack", "yaml", "avro", "protobuf"])
class TestTyped:
    def test_random_bytes_raise_nothing_but_decode_errors(self, name: str) -> None:
        codec = typed(name)
        header = codec.encode(Reading("", [])).body[:10] if name == "avro" else b""

        @given(st.binary(max_size=200))
        def check(data: bytes) -> None:
            with contextlib.suppress(DecodeError):
                codec.decode(header + data)

        check()

    def test_every_damaged_byte_raises_nothing_but_decode_errors(self, name: str) -> None:
        codec = typed(name)
        if name == "protobuf":
            from google.protobuf import struct_pb2

            body = codec.encode(struct_pb2.Value(string_value="x" * 20)).body
        else:
            body = codec.encode(Reading("somewhere", [1.0, 2.5, 1e300])).body
        for position in range(len(body)):
            for byte in range(256):
                damaged = body[:position] + bytes([byte]) + body[position + 1 :]
                with contextlib.suppress(DecodeError):
                    codec.decode(damaged)
            with contextlib.suppress(DecodeError):
                codec.decode(body[:position])


@pytest.mark.parametrize("name", ["text", "json", "msgpack", "yaml"])
def test_untyped_random_bytes_raise_nothing_but_decode_errors(name: str) -> None:
    need(name)
    codec = Codec(name)

    marks = "[]{}:,\"'\\0123456789eE+-.&*!|>%@`#?~<= \n\tat"

    @given(st.binary(max_size=300) | st.text(alphabet=marks).map(str.encode))
    def check(data: bytes) -> None:
        with contextlib.suppress(DecodeError):
            codec.decode(data)

    check()


def test_a_peer_that_varies_its_declarations_fills_no_memory(measured: Measured) -> None:
    [(error, growth, _)] = measured("""
from gestalt.codecs import Codec, Codecs
codecs = Codecs(Codec("json"), Codec("text"))

def vary():
    for n in range(20_000):
        coding = " " * (n % 500) + "utf-8"
        codecs.decode(b"1", content_type=f"application/json; n={n}", content_encoding=coding)

measure(vary)
""")
    assert error is None
    assert growth < 4 * 1024
