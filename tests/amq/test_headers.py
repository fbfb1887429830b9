"""What headers are called, what is read from them, and what may be written in them."""

import pytest

from gestalt.amq import headers


def test_no_two_headers_have_one_name() -> None:
    names = [value for key, value in vars(headers).items() if key.endswith("_HEADER")]
    assert len(names) == len(set(names)) > 20


@pytest.mark.parametrize(
    ("value", "integer", "text"),
    [(1, 1, None), (True, None, None), ("a", None, "a"), (None, None, None), ([1], None, None)],
)
def test_what_makes_no_sense_counts_as_absent(
    value: object, integer: int | None, text: str | None
) -> None:
    assert headers.as_integer(value) == integer
    assert headers.as_text(value) == text


class MuteError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def test_what_an_error_says_can_be_written_whatever_it_is() -> None:
    assert headers.error_text(ValueError("\udcff" * 3)) == r"\udcff" * 3
    assert headers.error_text(MuteError()) == "(its text cannot be had: ZeroDivisionError)"
    assert len(headers.error_text(ValueError("x" * 10_000))) == headers.MAX_REASON
    assert headers.error_name(type("E" * 300, (Exception,), {})()) == "E" * headers.MAX_NAME
