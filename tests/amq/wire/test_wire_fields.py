"""Field tables survive the way to the wire and back; malformed ones raise FieldError alone."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.amq.wire import (
    FieldError,
    decode_arguments,
    decode_table,
    encode_table,
    split_table,
)

keys = st.text(max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.binary(max_size=30)
    | st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=0)
    )
    | st.integers(-(2**31), 2**31 - 1).map(lambda digits: Decimal(digits).scaleb(-3))
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
tables = st.dictionaries(keys, values, max_size=6)


@given(tables)
def test_a_table_comes_back_equal(table):
    data = encode_table(table)
    assert decode_table(data) == (table, len(data))


@given(tables)
def test_a_table_that_is_split_and_joined_keeps_every_byte(table):
    data = encode_table(table)
    assert encode_table(split_table(data)) == data


@given(tables, st.data())
def test_a_table_that_is_cut_short_raises_a_field_error(table, data):
    encoded = encode_table(table)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(FieldError):
        decode_table(encoded[:cut])


@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing_but_field_errors(data):
    with suppress(FieldError):
        decode_table(len(data).to_bytes(4, "big") + data)


def test_tables_that_nest_without_end_are_refused():
    data = b""
    for _ in range(10_000):
        entry = b"\x01aF" + len(data).to_bytes(4, "big") + data
        data = entry
    with pytest.raises(FieldError, match="deeper"):
        decode_table(len(data).to_bytes(4, "big") + data)


def test_a_table_knows_the_type_letters_of_its_values():
    table, _ = decode_arguments(encode_table({"a": 1, "b": "x", "c": None, "d": 2**40}))
    assert table.letters == {"a": "I", "b": "S", "c": "V", "d": "l"}


@pytest.mark.parametrize(
    "value", [2**63, object(), Decimal("NaN"), Decimal(2**31), {"x" * 256: 1}, {1, 2}]
)
def test_what_no_table_can_hold_is_refused(value):
    with pytest.raises(FieldError):
        encode_table({"key": value})


def test_a_long_string_that_is_no_text_comes_as_bytes():
    assert decode_table(b"\x00\x00\x00\x09\x01kS\x00\x00\x00\x02\xff\xfe")[0] == {"k": b"\xff\xfe"}
