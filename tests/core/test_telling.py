"""What a line of a log tells of an exception."""

import pytest

from gestalt.core.telling import raised_in, said_by


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("it says nothing")


def test_an_exception_is_told_by_its_class_where_it_says_nothing() -> None:
    assert said_by(Mute()) == "Mute"
    assert said_by(ValueError()) == "ValueError"
    assert said_by(ValueError("why")) == "ValueError: why"


def test_where_an_exception_was_raised_is_told_by_its_first_and_its_last_place() -> None:
    def inner() -> None:
        raise ValueError("secret")

    def outer() -> None:
        inner()

    for function in (inner, outer):
        with pytest.raises(ValueError, match="secret") as caught:
            function()
        told = raised_in(caught.value)
        assert told.startswith("ValueError in test_where_")
        assert ", from inner (" in told
        assert "outer" not in told
        assert "secret" not in told
    assert raised_in(ValueError()) == "ValueError"
