"""What has changed between two documents, and for whom that breaks something."""

from collections.abc import Iterator, Mapping
from typing import Any

from .changes import NOBODY, PEERS, Change, together
from .channel_changes import channel_changes, covers
from .message_changes import MessageChanges
from .view import Action, Answer, Flow, exchange_of, flows_of


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """The changes from an old document to a new one, the incompatible ones first."""
    changes = together(_Comparison(old, new).changes())
    return sorted(changes, key=lambda each: not each.breaks)


class _Comparison:
    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._before = flows_of(old)
        self._after = flows_of(new)
        self._messages = MessageChanges(old, new)

    def changes(self) -> Iterator[Change]:
        for identity, flow in self._before.items():
            if identity in self._after:
                yield from self._of_flow(flow, self._after[identity])
            else:
                yield from self._of_removed(flow)
        for identity, flow in self._after.items():
            if identity not in self._before:
                yield _added(flow)

    def _of_flow(self, old: Flow, new: Flow) -> Iterator[Change]:
        at = (new.title,)
        for text, breaks in channel_changes(old.channel, new.channel):
            yield Change(_channel(new), text, breaks)
        for queue in sorted(old.queues - new.queues):
            text = f"the queue {queue!r} is consumed no more: what waits in it is not handled"
            yield Change(_channel(new), text, PEERS)
        yield from self._messages.compare(
            old.messages, new.messages, old.channel, new.channel, new.action, at
        )
        for name in old.answers.keys() | new.answers.keys():
            if name in old.messages and name in new.messages:
                yield from self._of_answer(name, old.answers.get(name), new.answers.get(name), new)

    def _of_answer(
        self, name: str, old: Answer | None, new: Answer | None, flow: Flow
    ) -> Iterator[Change]:
        where, at = f"reply to {name}", (flow.title,)
        if old is None or new is None:
            text = "there is one now" if old is None else "there is none any more"
            yield Change(where, text, NOBODY if old is None else PEERS, at)
            return
        if old.streamed != new.streamed:
            text = "it is a stream now" if new.streamed else "it is a single one now, and no stream"
            yield Change(where, text, PEERS, at)
        for text, breaks in channel_changes(old.channel, new.channel):
            yield Change(where, text, breaks, at)
        # Whoever receives a request sends the answer.
        action: Action = "send" if flow.action == "receive" else "receive"
        yield from self._messages.compare(
            old.messages, new.messages, old.channel, new.channel, action, at, where
        )

    def _of_removed(self, flow: Flow) -> Iterator[Change]:
        where = _channel(flow)
        if flow.action == "send":
            if flow.answers:
                yield Change(where, "no request is sent there any more")
            else:
                yield Change(where, "nothing is sent there any more", PEERS)
            return
        others = [
            each
            for each in self._after.values()
            if each.action == "receive" and _takes_all_of(each, flow)
        ]
        if not others:
            word = "requests are not answered" if flow.answers else "nothing is received"
            yield Change(where, f"{word} there any more", PEERS)
            return
        other = others[0]
        yield Change(where, f"its messages are received by {other.title} now")
        yield from self._messages.compare(
            flow.messages, other.messages, flow.channel, other.channel, "receive", (other.title,)
        )


def _channel(flow: Flow) -> str:
    return flow.title if flow.title.startswith("service ") else f"channel {flow.title}"


def _added(flow: Flow) -> Change:
    word = "sent" if flow.action == "send" else "received"
    listed = ", ".join(flow.messages) or "nothing that is known"
    return Change(_channel(flow), f"it is new: {listed} is {word} there")


def _takes_all_of(flow: Flow, other: Flow) -> bool:
    """Whether a subscription gets whatever another one got, into the same queue."""
    mine, its = exchange_of(flow.channel), exchange_of(other.channel)
    if mine is None or its is None or mine.get("name") != its.get("name"):
        return False
    pattern, former = flow.channel.get("address"), other.channel.get("address")
    return (
        mine.get("type") == its.get("type") == "topic"
        and isinstance(pattern, str)
        and isinstance(former, str)
        and other.queues <= flow.queues
        and covers(pattern, former)
    )
