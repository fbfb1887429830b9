"""What has changed of the messages of a channel: which there are, and what they look like."""

from collections.abc import Iterator, Mapping
from typing import Any

from .binary_changes import avro_changes, protobuf_changes
from .changes import NEW_READERS, NOBODY, OLD_READERS, READERS, Change, Difference
from .channel_changes import accepted
from .document import PREFIX
from .json_changes import JsonChanges
from .view import Action, Message

Messages = Mapping[str, Message]


class MessageChanges:
    """Compares messages of two documents."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._schemas = JsonChanges(old, new)

    def compare(
        self,
        old: Messages,
        new: Messages,
        old_channel: Mapping[str, Any],
        new_channel: Mapping[str, Any],
        action: Action,
        channels: tuple[str, ...],
        whose: str = "",
    ) -> Iterator[Change]:
        """The changes of what goes one way on a channel.

        Args:
            old, new: the messages by their names.
            old_channel, new_channel: what they travel by.
            action: what the application does with them.
            channels: the titles of what they travel by.
            whose: what they are, where they are not those of the channel itself.
        """
        told = new_channel.get(f"{PREFIX}identified-by", "name")
        prefix = f"{whose}, " if whose else ""
        if told == "type-id":
            yield from _reused(old, new, prefix, channels)
        pairs, gone, come = _paired(old, new, told)
        for before, after in pairs:
            # What it looks like is the same wherever it travels.
            where = f"message {after.name}"
            if before.name != after.name:
                yield Change(where, f"it was called {before.name}", NOBODY, channels)
            if before.type_id != after.type_id:
                text = f"its type id was {_shown(before.type_id)}, and is {_shown(after.type_id)}"
                yield Change(where, text, READERS if told == "type-id" else NOBODY, channels)
            yield from self._bodies(before, after, old_channel, new_channel, where, channels)
        for message in gone:
            done = "sent" if action == "send" else "received"
            text = f"it is not {done} any more"
            yield Change(f"{prefix}message {message.name}", text, NEW_READERS, channels)
        for message in come:
            # Nobody sends it before it is known that it is received.
            breaks = OLD_READERS if action == "send" else NOBODY
            text = "it is new, and may be sent" if action == "send" else "it is new, and received"
            yield Change(f"{prefix}message {message.name}", text, breaks, channels)

    def _bodies(
        self,
        old: Message,
        new: Message,
        old_channel: Mapping[str, Any],
        new_channel: Mapping[str, Any],
        where: str,
        channels: tuple[str, ...],
    ) -> Iterator[Change]:
        before, after = _content_type(old), _content_type(new)
        if before != after:
            breaks = NOBODY if after in accepted(old_channel) else OLD_READERS
            if before not in accepted(new_channel):
                breaks |= NEW_READERS
            yield Change(where, f"its content type was {before}, and is {after}", breaks, channels)
        for difference in self._differences(old, new):
            yield Change(where, str(difference), difference.breaks, channels)

    def _differences(self, old: Message, new: Message) -> Iterator[Difference]:
        before, was = _schema(old)
        after, now = _schema(new)
        if before != after:
            kinds = f"it was described by {_kind(before)}, and is by {_kind(after)}"
            yield Difference("", kinds, READERS)
        elif "avro" in before:
            yield from avro_changes(was, now, _fact(old, "avro"), _fact(new, "avro"))
        elif "protobuf" in before:
            yield from protobuf_changes(_fact(old, "protobuf"), _fact(new, "protobuf"))
        else:
            yield from self._schemas.compare(was, now)
            if old.told.get(f"{PREFIX}tag") != new.told.get(f"{PREFIX}tag"):
                yield Difference("", "the tag of its type is another field now", READERS)


def _reused(
    old: Messages, new: Messages, prefix: str, channels: tuple[str, ...]
) -> Iterator[Change]:
    """Type ids that stand for another name than before."""
    former: dict[int | None, str] = {
        each.type_id: each.name for each in old.values() if each.type_id is not None
    }
    for message in new.values():
        name = former.get(message.type_id, message.name)
        if name != message.name:
            text = f"type id {message.type_id} stood for {name}, and stands for {message.name}"
            yield Change(f"{prefix}message {message.name}", text, READERS, channels)


def _paired(
    old: Messages, new: Messages, told: str
) -> tuple[list[tuple[Message, Message]], list[Message], list[Message]]:
    """Messages that are one type before and after, those that are gone, and the new ones."""
    pairs = [(old[name], new[name]) for name in old if name in new]
    gone = [each for name, each in old.items() if name not in new]
    come = [each for name, each in new.items() if name not in old]
    if told == "channel" and len(old) == len(new) == 1 and gone:
        # Nobody on the wire knows the name.
        return [(gone[0], come[0])], [], []
    return pairs, gone, come


def _schema(message: Message) -> tuple[str, Any]:
    """The format of a schema, empty for JSON Schema, and the schema."""
    payload = message.told.get("payload")
    if isinstance(payload, Mapping) and "schemaFormat" in payload:
        form = str(payload["schemaFormat"])
        if "avro" in form or "protobuf" in form:
            return form.partition(";")[0].partition("+")[0], payload.get("schema")
        return "", payload.get("schema")
    return "", payload


def _kind(form: str) -> str:
    return form.rpartition(".")[2] if form else "JSON Schema"


def _fact(message: Message, name: str) -> dict[str, Any]:
    fact = message.told.get(f"{PREFIX}{name}")
    return fact if isinstance(fact, dict) else {}


def _content_type(message: Message) -> str:
    return str(message.told.get("contentType", ""))


def _shown(number: int | None) -> str:
    return "none" if number is None else str(number)
