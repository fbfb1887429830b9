"""From what components exchange to a document of AsyncAPI 3.0.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from gestalt.core.contracts import Channel, MessageShape, Operation, Server

from .definitions import Definitions

VERSION = "3.0.0"
PREFIX = "x-gestalt-"
FORMAT = 1
"""Of the fields that begin with the prefix: a later one may be told from this one."""


def document_of(
    operations: Iterable[Operation], *, title: str, version: str, description: str = ""
) -> dict[str, Any]:
    """The document of an application.

    Args:
        operations: what it does.
        title: how it is called.
        version: of the application.
        description: what it is for; CommonMark is allowed.
    """
    builder = _Builder()
    for operation in operations:
        builder.add(operation)
    info = {"title": title, "version": version, **_given(description=description)}
    return {
        "asyncapi": VERSION,
        "info": info,
        f"{PREFIX}format": FORMAT,
        **_given(
            servers=builder.servers,
            channels=builder.channels,
            operations=builder.operations,
            components=_given(messages=builder.messages, schemas=builder.definitions.schemas),
        ),
    }


class _Builder:
    """Gathers what operations have in common, and has each refer to it."""

    def __init__(self) -> None:
        self.servers: dict[str, Any] = {}
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self.definitions = Definitions()
        # What stands under a key already, to be told from what only has the same name.
        self._of: dict[tuple[int, str], Any] = {}
        self._named: Counter[str] = Counter()

    def add(self, operation: Operation) -> None:
        channel = self._channel(operation.channel)
        told: dict[str, Any] = {
            "action": operation.action,
            "channel": _reference("channels", channel),
            **_given(
                title=operation.title,
                description=operation.description,
                bindings=operation.bindings,
                messages=[self._message(channel, each) for each in operation.messages],
            ),
        }
        if operation.reply is not None:
            reply = operation.reply
            key = self._channel(reply.channel)
            told["reply"] = {
                "channel": _reference("channels", key),
                **_given(messages=[self._message(key, each) for each in reply.messages]),
                f"{PREFIX}streamed": reply.streamed,
            }
            if reply.channel.address is None:
                told["reply"]["address"] = {"location": "$message.header#/replyTo"}
        told |= _facts(operation.facts)
        self.operations[self._key(self.operations, operation.name, object())] = told

    def _channel(self, channel: Channel) -> str:
        told: dict[str, Any] = {
            "address": channel.address,
            **_given(
                title=channel.title,
                description=channel.description,
                servers=[_reference("servers", self._server(each)) for each in channel.servers],
                bindings=channel.bindings,
            ),
            **_facts(channel.facts),
        }
        key = self._key(self.channels, channel.name, (channel.name, told))
        if key not in self.channels:
            # By its key alone it may be another channel in another document.
            known = self._known_as(channel.name)
            if known != key and "amqp" not in channel.bindings:
                told = {**told, f"{PREFIX}name": known}
            self.channels[key] = {**told, "messages": {}}
        return key

    def _known_as(self, name: str) -> str:
        """What a channel is told from all others by: its name, with a number from the second on."""
        self._named[name] += 1
        return name if self._named[name] == 1 else f"{name}-{self._named[name]}"

    def _server(self, server: Server) -> str:
        told = {
            "host": server.host,
            "protocol": server.protocol,
            **_given(pathname=server.pathname),
        }
        key = self._key(self.servers, server.name or f"{server.protocol} {server.host}", told)
        self.servers.setdefault(key, told)
        return key

    def _message(self, channel: str, shape: MessageShape) -> dict[str, str]:
        payload = self.definitions.add(shape.schema) if not shape.schema_format else shape.schema
        if shape.schema_format:
            payload = {"schemaFormat": shape.schema_format, "schema": payload}
        facts = dict(shape.facts)
        if shape.type_id is not None:
            facts["type-id"] = shape.type_id
        told = {
            "name": shape.name,
            "contentType": shape.content_type,
            **_given(description=shape.description),
            "payload": payload,
            **_facts(facts),
        }
        key = self._key(self.messages, shape.name, told)
        self.messages.setdefault(key, told)
        self.channels[channel]["messages"].setdefault(key, _reference("components/messages", key))
        return _reference(f"channels/{channel}/messages", key)

    def _key(self, among: Mapping[str, Any], name: str, told: Any) -> str:
        """A key for what is told: that which it has, or a new one, by its name."""
        plain = key = slug(name)
        number = 1
        while (known := (id(among), key)) in self._of and self._of[known] != told:
            number += 1
            key = f"{plain}-{number}"
        self._of[known] = told
        return key


def slug(name: str) -> str:
    """A name as a key, which needs no escapes in a reference."""
    words = name.replace("*", "one").replace("#", "all")
    return re.sub(r"[^\w.]+", "-", words, flags=re.ASCII).strip("-") or "unnamed"


def _reference(section: str, key: str) -> dict[str, str]:
    return {"$ref": f"#/{section}/{key}"}


def _given(**fields: Any) -> dict[str, Any]:
    """Those that are there."""
    return {name: value for name, value in fields.items() if value not in ("", None, [], {})}


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{PREFIX}{name}": value for name, value in facts.items()}
