"""What a hostile message of protobuf can cost: wide types, many fields, keys that collide."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.codecs import Codec, DecodeError, EncodeError, MessageTypes, TooLarge

pytest.importorskip("google.protobuf")

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

Measured = Callable[[str], list[tuple[str | None, int, float]]]

KEYS = ("int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64")
KEYS += ("sfixed32", "sfixed64", "string", "bool")


def _field(message: Any, number: int, name: str, kind: str, *, many: bool = False) -> Any:
    label = Field.LABEL_REPEATED if many else Field.LABEL_OPTIONAL
    message_type = kind[0].isupper()
    field = message.field.add(name=name, number=number, label=label)
    field.type = Field.TYPE_MESSAGE if message_type else Field.Type.Value(f"TYPE_{kind.upper()}")
    if message_type:
        field.type_name = f".hostile.{kind}"
    return field


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="hostile.proto", package="hostile")
    wide = file.message_type.add(name="Wide")
    for number in range(1, 301):
        _field(wide, number, f"f{number}", "string")
    some = file.message_type.add(name="Some")
    _field(some, 1, "numbers", "int64", many=True).options.packed = True
    _field(some, 2, "loose", "int64", many=True)
    _field(some, 3, "texts", "string", many=True)
    _field(some, 4, "within", "Some", many=True)
    _field(some, 5, "wide", "Wide", many=True)
    group = _field(some, 6, "group", "Some", many=True)
    group.type, group.type_name = Field.TYPE_GROUP, ".hostile.Some"
    _field(some, 7, "half", "double")
    _field(some, 8, "quarter", "float")
    some.oneof_decl.add(name="one")
    for number, kind in ((9, "Wide"), (10, "Some")):
        _field(some, number, f"one{number}", kind).oneof_index = 0
    maps = file.message_type.add(name="Maps")
    for number, kind in enumerate(KEYS, 1):
        entry = maps.nested_type.add(name=f"{kind.title()}Entry")
        entry.options.map_entry = True
        _field(entry, 1, "key", kind)
        _field(entry, 2, "value", "bool")
        _field(maps, number, kind, f"Maps.{kind.title()}Entry", many=True)
    _field(maps, 100, "within", "Maps")
    extended = file.message_type.add(name="Extended")
    extended.extension_range.add(start=100, end=200)
    extension = file.extension.add(name="extra", number=100, label=Field.LABEL_REPEATED)
    extension.type, extension.type_name = Field.TYPE_MESSAGE, ".hostile.Wide"
    extension.extendee = ".hostile.Extended"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"hostile.{name}"))
        for name in ("Wide", "Some", "Maps", "Extended")
    }


CLASSES = _classes()


def codec_of(name: str, **options: Any) -> Codec:
    types = MessageTypes()
    types.add(1, CLASSES[name])
    return Codec("protobuf", types=types, **options)


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def sized(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (lambda n: CLASSES["Some"](loose=[7] * n), 1),
        (lambda n: CLASSES["Some"](texts=["x" * 40] * n), 1),
        (lambda n: CLASSES["Some"](texts=[""] * n), 1),
        (lambda n: CLASSES["Some"](within=[CLASSES["Some"]()] * n), 2),
        (lambda n: CLASSES["Some"](within=[CLASSES["Some"](half=1, quarter=2)] * n), 4),
        (lambda n: CLASSES["Some"](group=[CLASSES["Some"]()] * n), 3),
        (lambda n: CLASSES["Some"](wide=[CLASSES["Wide"]()] * n), 20),
        (lambda n: CLASSES["Maps"](string={str(k): True for k in range(n)}), 4),
    ],
)
def test_values_are_allowed_up_to_max_values(make: Any, values: int) -> None:
    value = make(300)
    name = type(value).__name__
    codec = codec_of(name, max_values=300 * values + 1)
    assert codec.decode(codec.encode(value).body) == value
    tighter = codec_of(name, max_values=300 * values)
    with pytest.raises(TooLarge, match=f"max_values={300 * values}"):
        tighter.decode(codec.encode(value).body)
    with pytest.raises(EncodeError, match=f"max_values={300 * values}"):
        tighter.encode(value)


def test_packed_numbers_are_not_counted() -> None:
    value = CLASSES["Some"](numbers=range(2000))
    codec = codec_of("Some", max_values=2)
    assert codec.decode(codec.encode(value).body) == value


def test_a_few_bytes_make_no_gigabytes(measured: Measured) -> None:
    found = measured("""
import sys
sys.path.insert(0, "tests/codecs")
from test_hostile_protobuf import codec_of, sized, varint
MiB = 1 << 20
some, extended = codec_of("Some"), codec_of("Extended")
for codec, data in (
    (some, sized(5, b"") * (8 * MiB)),
    (some, (sized(9, b"") + sized(10, b"")) * (4 * MiB)),
    (some, sized(4, b"") * (8 * MiB)),
    (some, varint(6 << 3 | 3) * 50 + varint(6 << 3 | 4) * 50 + b"\\x33\\x34" * (7 * MiB)),
    (some, sized(3, b"") * (8 * MiB)),
    (some, b"\\x7d1234" * (3 * MiB)),
    (some, b"\\x8b\\x06\\x8c\\x06" * (4 * MiB)),
    (extended, sized(100, b"") * (5 * MiB)),
):
    measure(lambda: codec.decode(data))
""")
    assert len(found) == 8
    for error, growth, seconds in found:
        assert error == "TooLarge"
        assert growth < 16 * 1024
        assert seconds < 1


def test_the_largest_that_is_allowed_takes_bounded_memory(measured: Measured) -> None:
    found = measured("""
import sys
sys.path.insert(0, "tests/codecs")
from test_hostile_protobuf import codec_of, sized
codec = codec_of("Some")
for data in (sized(5, b"") * 12_400, sized(4, b"") * 124_000, sized(3, b"") * 249_000):
    measure(lambda: codec.decode(data))
""")
    for error, growth, seconds in found:
        assert error is None
        assert growth < 96 * 1024
        assert seconds < 1


def entry(kind: str, key: int) -> bytes:
    if kind.startswith("sint"):
        return b"\x08" + varint(key << 1)
    if "fixed" in kind:
        size = int(kind[-2:]) // 8
        return bytes([8 | (1 if size == 8 else 5)]) + key.to_bytes(size, "little")
    return b"\x08" + varint(key)


def keys(kind: str, number: int) -> list[int]:
    return [n << 14 if kind.endswith("32") else n << 32 | n for n in range(1, number + 1)]


@pytest.mark.parametrize("kind", KEYS[:10])
def test_keys_that_collide_are_refused(kind: str) -> None:
    codec, number = codec_of("Maps"), KEYS.index(kind) + 1
    data = b"".join(sized(number, entry(kind, key)) for key in keys(kind, 8000))
    for hostile in (data, sized(100, data[: len(data) // 2]) + sized(100, data[len(data) // 2 :])):
        with pytest.raises(DecodeError, match=r"keys of a map|malformed"):
            codec.decode(hostile)
    with pytest.raises(DecodeError, match="8000 integers, the keys of a map"):
        codec.decode(sized(100, data))


@pytest.mark.parametrize(
    "again",
    [
        b"",  # the key is 0
        b"\x10\x01",  # the same, with a value
        b"\x0d1234",  # a key of another wire type, which is none
        b"\x88\x00\x00",  # a tag that is longer than need be
    ],
)
def test_looking_up_the_same_key_again_is_counted(again: bytes) -> None:
    data = b"".join(sized(2, entry("int64", key)) for key in keys("int64", 3500))
    assert codec_of("Maps").decode(data)
    with pytest.raises(DecodeError, match="keys of a map"):
        codec_of("Maps").decode(data + sized(2, again) * 8000)


def test_higher_bits_that_the_library_drops_do_not_hide_collisions() -> None:
    data = b"".join(
        sized(1, b"\x08" + varint(n << 14 | (n * 0x9E3779B1 & 0xFFFFFFFF) << 32))
        for n in range(1, 8001)
    )
    with pytest.raises(DecodeError, match="keys of a map"):
        codec_of("Maps").decode(data)


@pytest.mark.parametrize("kind", KEYS)
def test_usual_keys_are_read(kind: str) -> None:
    spread = {
        "string": [str(n) for n in range(20_000)],
        "bool": [True, False],
    }.get(kind, [n * 37 for n in range(20_000)])
    value = CLASSES["Maps"](**{kind: dict.fromkeys(spread, True)})
    codec = codec_of("Maps")
    assert codec.decode(codec.encode(value).body) == value


def test_what_is_too_deep_for_the_library_is_too_deep_for_the_look() -> None:
    data = b""
    for _ in range(200):
        data = sized(4, data)
    with pytest.raises(DecodeError, match="deep"):
        codec_of("Some", max_values=300).decode(data)


def test_whatever_is_read_is_looked_through_without_fault() -> None:
    """A message that the library reads passes the look, or holds too many values."""
    from gestalt.codecs.serializers.protobuf_guard import Guard

    read = CLASSES["Some"].FromString
    guard = Guard(CLASSES["Some"].DESCRIPTOR, 30)
    pieces = st.sampled_from([
        b"\x10\x05", b"\x1a\x01x", b"\x22\x00", b"\x22\x02\x10\x01", b"\x2a\x00", b"\x33\x34",
        b"\x33\x10\x01\x34", b"\x39" + bytes(8), b"\x45" + bytes(4), b"\x7b\x7c", b"\x7a\x01z",
        b"\x92\x00\x05", b"\x4a\x00", b"\x52\x02\x4a\x00", b"\x0a\x03\x01\x02\x03",
    ])  # fmt: skip

    @given(st.lists(pieces | st.binary(max_size=3), max_size=12).map(b"".join))
    def check(data: bytes) -> None:
        try:
            read(data)
        except Exception:
            return
        with suppress(TooLarge):
            guard.check(data)

    check()


def test_damage_does_not_end_the_look() -> None:
    """Where the look stops at damage, it says so: it never lets the rest pass unseen."""
    rest = sized(4, b"") * 200
    codec = codec_of("Some", max_values=100)
    for damage in (b"\x34", b"\x33", b"\x22\x7f", b"\x00", b"\x07", b"\x80" * 11):
        with pytest.raises(DecodeError):
            codec.decode(damage + rest)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x22", "the end is missing within a field"),
        (b"\x22\x7f", "longer than what holds it"),
        (b"\x33", "longer than what holds it"),
    ],
)
def test_a_field_that_is_cut_off_is_malformed(data: bytes, said: str) -> None:
    from gestalt.codecs.serializers.protobuf_guard import Guard

    with pytest.raises(DecodeError, match=said):
        Guard(CLASSES["Some"].DESCRIPTOR, 30).check(data)
