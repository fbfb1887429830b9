"""Arguments that take one of a few words refuse every other one, and list those that there are."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gestalt import amq
from gestalt.codecs import Codec
from gestalt.core import Timer
from gestalt.net import DatagramEndpoint, LengthPrefix, Mti, StreamServer, Wire
from gestalt.runner import run


def ignore(*_: Any) -> None:
    pass


async def wait() -> None:
    pass


def broadcast(slow: Any) -> None:
    server = StreamServer("tcp://127.0.0.1:0", Wire(Mti()), on_message=ignore)
    asyncio.run(server.broadcast(b"news", slow=slow))


CHOICES: list[tuple[str, Callable[[Any], Any], list[str]]] = [
    ("broadcast(slow=)", broadcast, ["wait", "drop", "disconnect"]),
    (
        "DatagramEndpoint(overflow=)",
        lambda value: DatagramEndpoint(None, Wire(Mti()), overflow=value),
        ["drop-oldest", "drop-newest"],
    ),
    ("Mti(byteorder=)", lambda value: Mti(byteorder=value), ["big", "little"]),
    (
        "LengthPrefix(byteorder=)",
        lambda value: LengthPrefix(4, byteorder=value),
        ["big", "little"],
    ),
    ("LengthPrefix(size=)", lambda value: LengthPrefix(value), ["1", "2", "4", "8"]),
    (
        "Timer(overlap=)",
        lambda value: Timer.every(1, ignore, overlap=value),
        ["skip", "queue", "cancel"],
    ),
    (
        "Timer(on_error=)",
        lambda value: Timer.every(1, ignore, on_error=value),
        ["stop", "continue", "function"],
    ),
    ("Queue(type=)", lambda value: amq.Queue("q", type=value), ["quorum", "classic", "stream"]),
    (
        "Exchange(type=)",
        lambda value: amq.Exchange("e", type=value),
        ["topic", "direct", "fanout", "headers", "x-"],
    ),
    ("run(loop=)", lambda value: run(wait, loop=value), ["auto", "asyncio", "uvloop"]),
    (
        "run(on_exception=)",
        lambda value: run(wait, on_exception=value),
        ["stop", "continue", "function"],
    ),
]


NAMES: list[tuple[str, Callable[[Any], Any], list[str]]] = [
    ("Codec()", lambda value: Codec(value), ["json", "msgpack", "yaml"]),
    ("Codec(compress=)", lambda value: Codec("json", compress=value), ["gzip", "zstd"]),
]


@pytest.mark.parametrize("wrong", ["dorp", "", "WAIT", 3, ["big"]], ids=repr)
@pytest.mark.parametrize(
    ("give", "choices"), [each[1:] for each in CHOICES], ids=[each[0] for each in CHOICES]
)
def test_a_word_that_is_none_of_the_choices_is_refused_with_all_of_them(
    give: Callable[[Any], Any], choices: list[str], wrong: Any
) -> None:
    refuse(give, choices, wrong)


@pytest.mark.parametrize("wrong", ["jsn", "", "json5"], ids=repr)
@pytest.mark.parametrize(
    ("give", "choices"), [each[1:] for each in NAMES], ids=[each[0] for each in NAMES]
)
def test_a_name_that_nothing_has_is_refused_with_all_that_there_are(
    give: Callable[[Any], Any], choices: list[str], wrong: str
) -> None:
    refuse(give, choices, wrong)


def refuse(give: Callable[[Any], Any], choices: list[str], wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)) as caught:
        give(wrong)
    text = str(caught.value)
    assert [choice for choice in choices if choice not in text] == []
    # What is no word may hold anything, and some say no more than what it is.
    assert repr(wrong) in text or (type(wrong) is not str and type(wrong).__name__ in text)


async def test_a_broadcast_with_a_wrong_word_reaches_nobody() -> None:
    class Refuses:
        """Would say whether the message was encoded."""

    server = StreamServer("tcp://127.0.0.1:0", Wire(Mti()), on_message=ignore)
    async with server:
        with pytest.raises(ValueError, match='"wait", "drop" or "disconnect"'):
            await server.broadcast(Refuses(), slow="dorp")  # type: ignore[arg-type]
