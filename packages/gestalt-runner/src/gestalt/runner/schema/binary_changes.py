"""What has changed between two types of protobuf or of Avro, and for whom that breaks something."""

from collections.abc import Iterator
from typing import Any

from .changes import NEW_READERS, NOBODY, OLD_READERS, READERS, Difference

# Types of fields that have one form on the wire, from each to each within a group:
# https://protobuf.dev/programming-guides/proto3/#updating
_ALIKE = (
    {"int32", "uint32", "int64", "uint64", "bool", "enum"},
    {"sint32", "sint64"},
    {"string", "bytes"},
    {"fixed32", "sfixed32"},
    {"fixed64", "sfixed64"},
)


def protobuf_changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Difference]:
    """Compare what the document tells of two messages.

    Fields are told by their numbers, so that one may have another name. Those that a reader does
    not know are passed over, and those that are missing have their default.
    """
    if old.get("message") != new.get("message"):
        yield Difference("", f"it was {old.get('message')}, and is {new.get('message')}")
    yield from _messages(old, new, str(old.get("message")), str(new.get("message")), "", set())


def _messages(
    old: dict[str, Any], new: dict[str, Any], was: str, now: str, path: str, seen: set[Any]
) -> Iterator[Difference]:
    if (was, now) in seen:
        return
    seen.add((was, now))
    before, after = old["messages"].get(was, {}), new["messages"].get(now, {})
    for number, field in before.items():
        at = f"{path}.{field['name']}" if path else field["name"]
        if number not in after:
            breaks = OLD_READERS if field.get("required") else NOBODY
            yield Difference(at, f"the field {number} is removed", breaks)
            continue
        yield from _fields(old, new, field, after[number], at, seen)
    for number, field in after.items():
        if number not in before:
            at = f"{path}.{field['name']}" if path else field["name"]
            breaks = NEW_READERS if field.get("required") else NOBODY
            kind = "a required" if field.get("required") else "a"
            yield Difference(at, f"{kind} field {number} is added", breaks)


def _fields(
    old: dict[str, Any],
    new: dict[str, Any],
    was: dict[str, Any],
    now: dict[str, Any],
    at: str,
    seen: set[Any],
) -> Iterator[Difference]:
    if was["name"] != now["name"]:
        yield Difference(at, f"it is called {now['name']!r} now")
    if was.get("repeated", False) != now.get("repeated", False):
        word = "repeated" if now.get("repeated") else "a single value"
        yield Difference(at, f"it is {word} now", READERS)
    if was.get("required", False) != now.get("required", False):
        breaks = NEW_READERS if now.get("required") else OLD_READERS
        word = "required" if now.get("required") else "not required any more"
        yield Difference(at, f"it is {word}", breaks)
    before, after = was["type"], now["type"]
    if before != after:
        alike = any({before, after} <= group for group in _ALIKE)
        yield Difference(at, f"it was {before}, and is {after}", NOBODY if alike else READERS)
    elif before in ("message", "group"):
        yield from _messages(old, new, was["of"], now["of"], at, seen)
    elif before == "enum":
        yield from _enums(old["enums"].get(was["of"], {}), new["enums"].get(now["of"], {}), at)


def _enums(old: dict[str, Any], new: dict[str, Any], at: str) -> Iterator[Difference]:
    before, after = _by_number(old), _by_number(new)
    for number, name in before.items():
        if number not in after:
            breaks = NEW_READERS if new.get("closed") else NOBODY
            yield Difference(at, f"the value {name} = {number} is removed", breaks)
        elif after[number] != name:
            # A mere change of names is none on the wire.
            breaks = READERS if name in after.values() else NOBODY
            yield Difference(at, f"the value {number} was {name}, and is {after[number]}", breaks)
    for number, name in after.items():
        if number not in before:
            breaks = OLD_READERS if old.get("closed") else NOBODY
            yield Difference(at, f"the value {name} = {number} is added", breaks)


def _by_number(enum: dict[str, Any]) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, number in enum.get("values", {}).items():
        found.setdefault(number, name)
    return found


def avro_changes(
    old: Any, new: Any, old_facts: dict[str, Any], new_facts: dict[str, Any]
) -> Iterator[Difference]:
    """Compare two Avro types.

    A message begins with the fingerprint of the schema that it was written by, unless it is bare.
    A reader takes it by that schema or by none, so that each has to accept the other's.
    """
    if bool(old_facts.get("bare")) != bool(new_facts.get("bare")):
        word = "without" if new_facts.get("bare") else "with"
        yield Difference("", f"it is written {word} a fingerprint now", READERS)
        return
    was, now = canonical(old), canonical(new)
    taken, takes = old_facts.get("accepts", []), new_facts.get("accepts", [])
    if was == now:
        kept = [canonical(each) for each in takes]
        for each in taken:
            if canonical(each) not in (*kept, now):
                yield Difference("", "a former schema is not accepted any more", NEW_READERS)
        return
    breaks = NOBODY
    if now not in [canonical(each) for each in taken]:
        breaks |= OLD_READERS
    if was not in [canonical(each) for each in takes]:
        breaks |= NEW_READERS
    # Without a fingerprint, nothing tells a reader that it was another schema.
    yield Difference("", "the schema has changed", READERS if new_facts.get("bare") else breaks)


def canonical(schema: Any, namespace: str = "") -> Any:
    """A schema in Avro's parsing canonical form, as data: what two writers must have in common.

    https://avro.apache.org/docs/1.11.1/specification/#transforming-into-parsing-canonical-form
    """
    if isinstance(schema, list):
        return [canonical(each, namespace) for each in schema]
    if isinstance(schema, str):
        primitive = schema in _PRIMITIVES or "." in schema or not namespace
        return schema if primitive else f"{namespace}.{schema}"
    kind = schema["type"]
    if isinstance(kind, (dict, list)):
        return canonical(kind, namespace)
    if kind == "array":
        return {"type": kind, "items": canonical(schema["items"], namespace)}
    if kind == "map":
        return {"type": kind, "values": canonical(schema["values"], namespace)}
    if "name" not in schema:
        return canonical(kind, namespace)
    name, space = schema["name"], schema.get("namespace", namespace)
    full = name if "." in name or not space else f"{space}.{name}"
    told: dict[str, Any] = {"name": full, "type": "record" if kind == "error" else kind}
    if "symbols" in schema:
        told["symbols"] = list(schema["symbols"])
    if "size" in schema:
        told["size"] = int(schema["size"])
    if "fields" in schema:
        inner = full.rpartition(".")[0]
        told["fields"] = [
            {"name": field["name"], "type": canonical(field["type"], inner)}
            for field in schema["fields"]
        ]
    return told


_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
