import pytest

from gestalt.core import Batch, Discard, GestaltError, Message, MessageBatch, Park, RetryLater


def test_a_batch_gives_bodies_types_and_sources_in_order() -> None:
    batch = MessageBatch([Message("a", 1, "x"), Message("b", None, "x"), Message("c", 3, "y")])
    assert len(batch) == 3
    assert batch.bodies == ["a", "b", "c"]
    assert batch.type_ids == [1, None, 3]
    assert batch.sources == ["x", "x", "y"]
    assert batch.source is None
    assert [message.body for message in batch] == ["a", "b", "c"]
    assert batch[1].body == "b"
    assert MessageBatch([Message("a", 1, "x"), Message("b", 2, "x")]).source == "x"


def test_single_messages_fail_and_the_last_word_about_one_counts() -> None:
    messages = [Message("same"), Message("same"), Message("same")]
    batch = MessageBatch(messages)
    assert not batch.failures
    batch.fail(messages[1], ValueError("first"))
    batch.fail(messages[1], error := KeyError("second"))
    assert batch.failures == {1: error}


def test_only_its_own_messages_fail_and_only_by_exceptions() -> None:
    batch = MessageBatch([Message("a")])
    with pytest.raises(LookupError, match="not of this batch"):
        batch.fail(Message("a"), ValueError())
    with pytest.raises(TypeError, match="exception"):
        batch.fail(batch[0], "wrong")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "within", "error"),
    [
        (0, 1.0, ValueError),
        (True, 1.0, TypeError),
        (1.5, 1.0, TypeError),
        (1, -1.0, ValueError),
        (1, float("inf"), ValueError),
        (1, "1", TypeError),
    ],
)
def test_sizes_and_times_that_make_no_sense_are_refused(
    size: object, within: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Batch(size=size, within=within)  # type: ignore[arg-type]


def test_decisions_are_errors_that_say_why() -> None:
    assert str(Park("why")) == Park("why").reason == "why"
    assert isinstance(Discard(), GestaltError)
    later = RetryLater(90)
    assert (later.seconds, later.reason) == (90.0, "again in 90 s")
    assert str(RetryLater(1, "busy")) == "busy"
    with pytest.raises(ValueError, match="seconds"):
        RetryLater(-1)
    with pytest.raises(TypeError, match="seconds"):
        RetryLater("soon")  # type: ignore[arg-type]


def test_a_batch_says_how_many_it_has() -> None:
    assert repr(MessageBatch([Message(1), Message(2)])) == "<MessageBatch of 2>"
