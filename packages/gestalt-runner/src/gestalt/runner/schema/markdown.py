"""A document as a page."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from .channel_changes import IDENTIFIED
from .document import PREFIX
from .json_changes import look_up

_TOLD_ELSEWHERE = {f"{PREFIX}exchange-type"}
_INTRODUCED = {"send": "Sends", "receive": "Receives"}


def markdown_of(document: Mapping[str, Any]) -> str:
    """A document of AsyncAPI as a page of Markdown."""
    return "\n".join(_Page(document).lines()).rstrip() + "\n"


class _Page:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._components = document.get("components") or {}
        self._messages = self._components.get("messages") or {}
        # Types of one name are numbered: a link leads to one heading.
        self._headings: dict[int, str] = {}
        used: Counter[str] = Counter()
        for each in self._messages.values():
            used[each["name"]] += 1
            number = f" ({used[each['name']]})" if used[each["name"]] > 1 else ""
            self._headings[id(each)] = f"message {each['name']}{number}"

    def lines(self) -> Iterator[str]:
        info = self._document.get("info", {})
        yield from _paragraphs(f"# {info.get('title', 'Contract')}", info.get("description"))
        yield from self._servers()
        yield from self._operations()
        yield from self._described()
        yield from self._schemas()

    def _servers(self) -> Iterator[str]:
        servers = self._document.get("servers") or {}
        if not servers:
            return
        yield from _paragraphs("## Servers")
        yield from _table(
            ("name", "protocol", "where"),
            (
                (name, each.get("protocol", ""), f"`{each.get('host', '')}{_path(each)}`")
                for name, each in servers.items()
            ),
        )

    def _operations(self) -> Iterator[str]:
        operations = self._document.get("operations") or {}
        titles = {key: self._title(key, each) for key, each in operations.items()}
        used = Counter(titles.values())
        for action, heading in _INTRODUCED.items():
            found = {key: each for key, each in operations.items() if each.get("action") == action}
            if found:
                yield from _paragraphs(f"## {heading}")
            for key, each in found.items():
                # What both sends and receives has a title, and there is one heading of a name.
                note = f" ({action})" if used[titles[key]] > 1 else ""
                yield from self._operation(titles[key] + note, each)

    def _title(self, key: str, operation: Mapping[str, Any]) -> str:
        channel = self._at(operation.get("channel"))
        return str(operation.get("title") or channel.get("title") or key)

    def _operation(self, title: str, operation: Mapping[str, Any]) -> Iterator[str]:
        channel = self._at(operation.get("channel"))
        yield from _paragraphs(
            f"### {title}", operation.get("description"), channel.get("description")
        )
        reply = operation.get("reply")
        rows = [("messages", self._named(operation.get("messages") or ()))]
        if reply is not None:
            word = "a stream of " if reply.get(f"{PREFIX}streamed") else ""
            rows.append(("answered by", word + self._named(reply.get("messages") or ())))
        rows += list(_facts(operation)) + list(_place(channel)) + list(_facts(channel))
        yield from _table(("", ""), rows)

    def _named(self, references: Any) -> str:
        return ", ".join(self._link(self._at(each)) for each in references) or "unknown"

    def _link(self, message: Mapping[str, Any]) -> str:
        return f"[{message['name']}](#{_anchor(self._headings[id(message)])})"

    def _described(self) -> Iterator[str]:
        if self._messages:
            yield from _paragraphs("## Messages")
        for each in self._messages.values():
            heading = self._headings[id(each)]
            yield from _paragraphs(f"### {heading}", _escaped(each.get("description")))
            rows = [("content type", f"`{each.get('contentType', '')}`")]
            if (number := each.get(f"{PREFIX}type-id")) is not None:
                rows.insert(0, ("type id", str(number)))
            if (tag := each.get(f"{PREFIX}tag")) is not None:
                rows.append(("told by the field", f"`{tag}`"))
            yield from _table(("", ""), rows)
            yield from self._payload(each.get("payload"))

    def _payload(self, payload: Any) -> Iterator[str]:
        if isinstance(payload, Mapping) and "schemaFormat" in payload:
            import json

            schema, form = payload.get("schema"), str(payload["schemaFormat"])
            text = schema if isinstance(schema, str) else json.dumps(schema, indent=2)
            language = "protobuf" if "protobuf" in form else "json"
            yield from [f"```{language}", text.rstrip(), "```", ""]
            return
        yield from self._fields(self._resolved(payload))

    def _schemas(self) -> Iterator[str]:
        """Those that are no message by themselves."""
        own = {
            each["payload"].get("$ref")
            for each in self._messages.values()
            if isinstance(each.get("payload"), Mapping)
        }
        others = {
            name: schema
            for name, schema in (self._components.get("schemas") or {}).items()
            if f"#/components/schemas/{name}" not in own
        }
        if others:
            yield from _paragraphs("## Schemas")
        for name, schema in others.items():
            yield from _paragraphs(f"### schema {name}", _escaped(schema.get("description")))
            yield from self._fields(schema)

    def _fields(self, schema: Mapping[str, Any]) -> Iterator[str]:
        fields = schema.get("properties")
        if not isinstance(fields, Mapping):
            yield from _paragraphs(f"A value: {self._kind(schema)}.")
            return
        required = schema.get("required", ())
        yield from _table(
            ("field", "type", "required", "default"),
            (
                (
                    f"`{name}`",
                    self._kind(each),
                    "yes" if name in required else "no",
                    _default(each),
                )
                for name, each in fields.items()
            ),
        )

    def _kind(self, schema: Any) -> str:
        """A schema in a few words."""
        if not isinstance(schema, Mapping):
            return "anything"
        if isinstance(reference := schema.get("$ref"), str):
            return self._linked(reference)
        for word, between in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
            if isinstance(branches := schema.get(word), list):
                return between.join(map(self._kind, branches))
        if "const" in schema:
            return f"`{schema['const']!r}`"
        if "enum" in schema:
            return ", ".join(f"`{value!r}`" for value in schema["enum"])
        kind = schema.get("type", "anything")
        if kind == "array":
            items = schema.get("prefixItems", schema.get("items"))
            if isinstance(items, list):
                return f"array of {', '.join(map(self._kind, items))}"
            return "array" if items is None else f"array of {self._kind(items)}"
        if kind == "object" and isinstance(others := schema.get("additionalProperties"), Mapping):
            return f"object of {self._kind(others)}"
        words = " or ".join(kind) if isinstance(kind, list) else str(kind)
        return words + (f" ({schema['format']})" if "format" in schema else "")

    def _linked(self, reference: str) -> str:
        name = reference.rpartition("/")[2]
        for message in self._messages.values():
            if message.get("payload") == {"$ref": reference}:
                return self._link(message)
        schema = look_up(self._document, reference)
        if isinstance(schema, Mapping) and "enum" in schema:
            return self._kind(schema)
        return f"[{name}](#{_anchor(f'schema {name}')})"

    def _at(self, reference: Any) -> Mapping[str, Any]:
        found = self._resolved(reference)
        return self._resolved(found)

    def _resolved(self, given: Any) -> Mapping[str, Any]:
        for _ in range(10):
            if not isinstance(given, Mapping) or not isinstance(given.get("$ref"), str):
                break
            given = look_up(self._document, given["$ref"])
        return given if isinstance(given, Mapping) else {}


def _place(channel: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where messages go, by AMQP."""
    bindings = channel.get("bindings")
    amqp = bindings.get("amqp", {}) if isinstance(bindings, Mapping) else {}
    exchange = amqp.get("exchange")
    if isinstance(exchange, Mapping):
        kind = exchange.get("type") or channel.get(f"{PREFIX}exchange-type", "")
        yield "exchange", f"`{exchange.get('name', '')}` ({kind})"
        address = channel.get("address")
        yield "routing key", "not known" if address is None else f"`{address}`"


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in told.items():
        if not key.startswith(PREFIX) or value in (None, False) or key in _TOLD_ELSEWHERE:
            continue
        name = key.removeprefix(PREFIX).replace("-", " ")
        if key == f"{PREFIX}identified-by":
            yield "the type is told by", IDENTIFIED.get(str(value), str(value))
        elif key == f"{PREFIX}max-size":
            yield "most bytes of a body", _value(value)
        elif isinstance(value, Mapping):
            yield name, ", ".join(f"{word} {_value(each)}" for word, each in value.items())
        elif isinstance(value, list):
            yield name, ", ".join(map(_value, value))
        else:
            yield name, _value(value)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"`{value!r}`" if isinstance(value, str) and not value.isprintable() else f"`{value}`"


def _default(schema: Any) -> str:
    if isinstance(schema, Mapping) and "default" in schema:
        return f"`{schema['default']!r}`"
    return ""


def _path(server: Mapping[str, Any]) -> str:
    return str(server.get("pathname", ""))


def _table(head: tuple[str, ...], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(str(each).replace('|', chr(92) + '|') for each in row)} |"
    yield ""


def _paragraphs(*texts: Any) -> Iterator[str]:
    for text in texts:
        if text:
            yield from (str(text), "")


def _escaped(text: Any) -> str:
    """A docstring's first paragraph, in which nothing is markup."""
    if not isinstance(text, str):
        return ""
    return text.partition("\n\n")[0].replace("*", r"\*").replace("<", r"\<").replace("_", r"\_")


def _anchor(heading: str) -> str:
    """The name that a heading has as a target, as GitHub and MyST make it."""
    kept = "".join(char for char in heading.lower() if char.isalnum() or char in " -_")
    return kept.replace(" ", "-")
