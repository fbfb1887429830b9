"""What is given wrongly is refused where it is given, by a sentence that says what."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from gestalt.amq import Binding, Credentials, Exchange, Queue, connect


def expiring(moment: datetime | float) -> Credentials:
    return Credentials(user="a", password="secret", expires_at=moment)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Credentials(user="a\0b", password="secret"), "the user has a NUL character"),
        (lambda: Credentials(user="a", password="sec\0ret"), "the password has a NUL character"),
        (lambda: Credentials(user="a", password=""), "the password is empty"),
        (lambda: Credentials(user="a" * 300, password="secret"), "the user has more than"),
        (
            lambda: Credentials(user="a", password="secret", expires_at=float("nan")),
            "must be a number, got nan",
        ),
        (
            lambda: Credentials(user="a", password="secret", expires_at=datetime(2000, 1, 1)),
            "time zone",
        ),
        (lambda: Exchange("name", type="fan-out"), "fan-out"),
        (lambda: Queue(""), "a shared queue needs a name"),
        (lambda: Queue("name", type="lazy"), "type is quorum, classic or stream"),
        (lambda: Queue("name", delivery_limit=0), "delivery_limit must be at least 1"),
        (
            lambda: connect("amqp://localhost").publisher("a", max_unconfirmed=0),
            "max_unconfirmed must be at least 1, got 0",
        ),
        (
            lambda: connect("amqp://localhost").publisher("a", timeout="soon"),
            "timeout is a number of seconds, got an object of type str",
        ),
        (lambda: Binding("source", "key", to=Exchange("")), "default exchange cannot be bound"),
    ],
)
def test_a_value_is_refused_by_its_reason(make: Callable[[], object], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said) as caught:
        make()
    assert "secret" not in str(caught.value)


def test_credentials_know_for_how_long_they_are_good() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)
    for each in (moment, time.time() + 100):
        left = Credentials(user="user", password="secret", expires_at=each).left
        assert left is not None
        assert 0 < left <= 100
    assert Credentials(user="user", password="secret", expires_at=float("inf")).left is None
    assert Credentials(user="user", password="secret").left is None


async def test_a_stream_of_replies_takes_nothing() -> None:
    replies = connect("amqp://localhost").requester("service").stream("question")
    with pytest.raises(
        TypeError, match="a stream of replies takes no values, got an object of type str"
    ):
        await replies.asend("value")  # type: ignore[arg-type]
