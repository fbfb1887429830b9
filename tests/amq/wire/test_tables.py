import contextlib
import datetime
import decimal
import struct
from typing import Any

import pamqp.decode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.amq.wire import MAX_DEPTH, decode_table, decode_value, encode_table, split_table

keys = st.text(alphabet=st.characters(codec="utf-8"), max_size=40)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(codec="utf-8")),
    st.binary(),
    st.datetimes(
        datetime.datetime(1970, 1, 1),
        datetime.datetime(2100, 1, 1),
        timezones=st.just(datetime.UTC),
    ).map(lambda moment: moment.replace(microsecond=0)),
    st.decimals(-(10**6), 10**6, places=3),
)
values = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner), st.dictionaries(keys, inner)), max_leaves=10
)
tables = st.dictionaries(keys, values, max_size=6)


@given(tables)
def test_a_table_survives_the_wire(table: dict[str, Any]) -> None:
    data = encode_table(table)
    assert decode_table(b"ab" + data + b"cd", 2) == (table, len(data) + 2)


@given(st.dictionaries(st.text("abc", max_size=9), st.one_of(st.booleans(), st.integers(-9, 9))))
def test_the_protocol_library_reads_it(table: dict[str, Any]) -> None:
    assert pamqp.decode.field_table(encode_table(table))[1] == table


@given(st.binary(max_size=100))
def test_junk_raises_what_is_documented(data: bytes) -> None:
    with contextlib.suppress(ValueError, IndexError, struct.error):
        decode_table(data)


@given(tables, st.data())
def test_a_table_cut_short_is_refused(table: dict[str, Any], data: st.DataObject) -> None:
    encoded = encode_table(table)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises((ValueError, IndexError, struct.error)):
        decode_table(encoded[:cut])


def test_depth_is_bounded_both_ways() -> None:
    table: dict[str, Any] = {}
    for _ in range(MAX_DEPTH):
        table = {"k": table}
    encoded = encode_table(table)
    assert decode_table(encoded)[0] == table
    with pytest.raises(ValueError, match="levels"):
        encode_table({"k": table})
    with pytest.raises(ValueError, match="levels"):
        decode_table(struct.pack(">IB1sc", len(encoded) + 3, 1, b"k", b"F") + encoded)


@pytest.mark.parametrize(
    ("value", "error"),
    [(2**63, ValueError), (object(), TypeError), (decimal.Decimal("NaN"), ValueError)],
)
def test_what_amqp_cannot_carry_is_refused_by_name(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="'bad'"):
        encode_table({"bad": value})


def test_text_that_is_none_stays_bytes_and_a_far_moment_a_number() -> None:
    data = b"\x01sS\x00\x00\x00\x01\xff" + b"\x01tT" + b"\xff" * 8
    assert decode_table(struct.pack(">I", len(data)) + data)[0] == {"s": b"\xff", "t": 2**64 - 1}


@given(tables)
def test_entries_told_apart_make_the_same_table_again(table: dict[str, Any]) -> None:
    data = encode_table(table)
    entries = split_table(data)
    assert {key: decode_value(value) for key, value in entries.items()} == table
    assert encode_table(entries) == data


@given(st.binary(max_size=100))
def test_telling_the_entries_of_junk_apart_raises_what_is_documented(data: bytes) -> None:
    with contextlib.suppress(ValueError, IndexError, struct.error):
        entries = split_table(data)
        assert split_table(encode_table(entries)).keys() == entries.keys()
