"""What walks MessagePack before it is decoded takes each item for as long as it is."""

import pytest

from gestalt.codecs import Codec, DecodeError, TooDeep, TooLarge, TrailingData, Truncated

msgpack = pytest.importorskip("msgpack")

# Who starts to read within it, or behind its end, finds other items.
FILL = b"\xdd"
NUMBERS = {
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
}  # fmt: skip
SCALARS = [
    *[bytes((first,)) for first in (0x00, 0x7F, 0xC0, 0xC2, 0xC3, 0xE0, 0xFF)],
    *[bytes((0xA0 + size,)) + b"x" * size for size in range(32)],
    *[bytes((first,)) + FILL * size for first, size in NUMBERS.items()],
    *[bytes((first, 5)) + FILL * 2**n for n, first in enumerate(range(0xD4, 0xD9))],
]
HEADS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
SIZED = [
    bytes((first,))
    + size.to_bytes(width, "big")
    + (b"\x05" if 0xC7 <= first <= 0xC9 else b"")
    + (b"x" if first >= 0xD9 else FILL) * size
    for first, width in HEADS.items()
    for size in (0, 1, 7)
]
# Containers of one item, or of a key and an item; and of some more behind it.
NESTS = {
    b"\x91": b"", b"\xdc\x00\x01": b"", b"\xdd\x00\x00\x00\x01": b"",
    b"\x81\x01": b"", b"\xde\x00\x01\x01": b"", b"\xdf\x00\x00\x00\x01\x01": b"",
    b"\x9f": b"\x01" * 14, b"\x8f\x01": b"".join(bytes((key, 1)) for key in range(2, 16)),
}  # fmt: skip
AFTER = b"\xdc\x00\x02\x01\x01"


def check(body: bytes, values: int, depth: int) -> None:
    """See that it takes so many values and keys, so deep, and no fewer."""
    expected = repr(msgpack.unpackb(body, strict_map_key=False, timestamp=3))
    assert len(body) > values  # or it would not be walked
    exact = Codec("msgpack", max_values=values, max_depth=depth)
    assert repr(exact.decode(body)) == expected
    with pytest.raises(TooLarge):
        Codec("msgpack", max_values=values - 1, max_depth=depth).decode(body)
    if depth > 1:
        with pytest.raises(TooDeep):
            Codec("msgpack", max_values=values, max_depth=depth - 1).decode(body)
    with pytest.raises(TrailingData):
        exact.decode(body + b"\x01")


@pytest.mark.parametrize("item", [*SCALARS, *SIZED], ids=lambda item: item[:6].hex())
def test_an_item_is_as_long_as_its_first_byte_says(item: bytes) -> None:
    check(b"\x92" + item + b"\xcd\x01\x02", 3, 1)
    check(b"\x92" + item + AFTER, 5, 2)
    check(b"\xdc\x00\x40" + item * 64, 65, 1)
    check(b"\x93" + b"\xdc\x00\x40" + item * 64 + item + AFTER, 70, 2)


def test_what_lies_within_one_another_is_told_from_what_follows() -> None:
    for few in (1, 10, 63, 64, 65, 127, 128):
        run = msgpack.packb([1] * few)
        # As many numbers follow as are taken at a time.
        check(b"\xdc\x00\x42" + run + b"\x01" * 64 + b"\x91\x91\x02", few + 69, 3)
        check(b"\x92\x92" + run + b"\x01" + b"\x91\x91\x91\xcd\x01\x02", few + 8, 4)


def test_containers_are_not_among_what_is_taken_many_at_a_time() -> None:
    check(b"\xdc\x00\x40" + (b"\x9f" + b"\x01" * 15) * 64, 1 + 64 * 16, 2)
    # Nothing else begins with what None is.
    run = b"\xc0" + b"\xdc\x00\x1d" + b"\x01" * 29 + b"\x01" * 62
    check(b"\x93" + b"\xdc\x00\x40" + run + b"\x01" * 2, 1 + 1 + 64 + 29 + 2, 3)


@pytest.mark.parametrize("count", [1, 14, 15, 16])
def test_a_map_has_twice_as_many_items_as_it_says(count: int) -> None:
    check(msgpack.packb(dict.fromkeys(range(count), 1000)), 1 + 2 * count, 1)
    check(msgpack.packb([1000] * count), 1 + count, 1)


@pytest.mark.parametrize("nest", NESTS, ids=bytes.hex)
@pytest.mark.parametrize("leaf", [b"\x01", b"\x80", b"\x90"], ids=bytes.hex)
def test_depth_is_the_same_whether_it_is_counted_before_or_after_decoding(
    nest: bytes, leaf: bytes
) -> None:
    behind = NESTS[nest]
    each = len(behind) + (2 if nest[0] in (0x81, 0x8F, 0xDE, 0xDF) else 1)
    for most in (1, 2, 3, 9):
        for around in (1, 2, 3, 4, 9, 10):
            depth = around + (leaf != b"\x01")
            body = nest * around + leaf + behind * around
            codecs = [Codec("msgpack", max_depth=most)]
            if len(nest) + len(behind) > each:
                codecs.append(Codec("msgpack", max_depth=most, max_values=each * around + 1))
            for codec in codecs:
                if depth > most:
                    with pytest.raises(TooDeep, match=f"max_depth={most} deep"):
                        codec.decode(body)
                else:
                    assert codec.decode(body) == msgpack.unpackb(body, strict_map_key=False)


@pytest.mark.parametrize("opening", [b"\xdc\xff\xff", b"\xdd\x00\x00\xff\xff"], ids=bytes.hex)
def test_many_long_arrays_are_refused_by_what_they_claim(opening: bytes) -> None:
    left = 1000 * len(opening) - len(opening)
    with pytest.raises(DecodeError, match=f"65535 items are claimed, and {left} bytes left"):
        Codec("msgpack").decode(opening * 1000)


@pytest.mark.parametrize(
    ("body", "claimed", "left"),
    [
        (b"\x92\x01", 2, 1),
        (b"\x92\x92\x01", 3, 1),
        (b"\x81\x01", 2, 1),
        (b"\xde\x00\x01\x01", 2, 1),
    ],
)
def test_one_item_more_than_there_are_bytes_is_refused(
    body: bytes, claimed: int, left: int
) -> None:
    with pytest.raises(DecodeError, match=f"{claimed} items are claimed, and {left} bytes left"):
        Codec("msgpack", max_values=len(body) - 1).decode(body)


def test_a_body_that_ends_where_an_item_would_begin_lacks_its_end() -> None:
    for body in (b"\x92\xcd\x01\x02", b"\x92\xa2xx", b"\x92\xc4\x02xx", b"\x91\xc5\x00"):
        with pytest.raises(Truncated, match="the end is missing"):
            Codec("msgpack", max_values=len(body) - 1).decode(body)


@pytest.mark.parametrize("value", [[[1]] * 20, {n: [n] for n in range(20)}, [{}] * 20])
def test_many_containers_beside_one_another_are_not_deep(value: object) -> None:
    body = msgpack.packb(value)
    assert Codec("msgpack", max_depth=2).decode(body) == value
    with pytest.raises(TooDeep):
        Codec("msgpack", max_depth=1).decode(body)
