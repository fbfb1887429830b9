"""What has changed between two JSON Schemas, and for whom that breaks something.

A schema that allows less than before breaks new readers of old messages; one that allows more
breaks old readers of new ones. Fields that a reader does not know are passed over, unless its
schema forbids them. Sources: the draft 7 of JSON Schema, and 2020-12 for `prefixItems`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .changes import NEW_READERS, NOBODY, OLD_READERS, READERS, Difference

# Bounds by whether a greater number allows less.
_BOUNDS = {
    "minimum": True,
    "exclusiveMinimum": True,
    "minLength": True,
    "minItems": True,
    "minProperties": True,
    "maximum": False,
    "exclusiveMaximum": False,
    "maxLength": False,
    "maxItems": False,
    "maxProperties": False,
}
_EXACT = ("pattern", "format", "multipleOf", "contentEncoding", "uniqueItems")
_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


class JsonChanges:
    """Compares schemas of two documents.

    Args:
        old, new: the documents, in which references are looked up.
    """

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old = old
        self._new = new
        # Pairs of references that are being compared: a schema may contain itself.
        self._under_way: set[tuple[str, str]] = set()

    def compare(self, old: Any, new: Any, path: str = "") -> Iterator[Difference]:
        """The differences between two schemas, at the path of a value."""
        pair = _reference(old), _reference(new)
        if pair[0] and pair[1]:
            if pair in self._under_way:
                return
            self._under_way.add(pair)
        try:
            yield from self._compare(self._plain(self._old, old), self._plain(self._new, new), path)
        finally:
            self._under_way.discard(pair)

    def _plain(self, document: Mapping[str, Any], schema: Any) -> dict[str, Any]:
        """A schema without references at its top."""
        seen: set[str] = set()
        while reference := _reference(schema):
            if reference in seen:
                return {}
            seen.add(reference)
            schema = look_up(document, reference)
        if schema is False:
            return {"enum": []}
        if not isinstance(schema, dict):
            return {}
        parts = schema.get("allOf")
        if isinstance(parts, list) and len(parts) == 1:
            # How a reference is given a description.
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            return {**self._plain(document, parts[0]), **rest}
        return schema

    def _compare(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Difference]:
        old_branches, new_branches = _branches(old), _branches(new)
        if len(old_branches) > 1 or len(new_branches) > 1:
            yield from self._choices(old_branches, new_branches, path)
            return
        yield from self._one(
            self._plain(self._old, old_branches[0]), self._plain(self._new, new_branches[0]), path
        )

    def _one(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Difference]:
        before, after = _types(old), _types(new)
        if before != after:
            yield from _of_types(before, after, path)
            if not before & after:
                return
        yield from _values(old, new, path)
        yield from _bounds(old, new, path)
        if "object" in before & after:
            yield from self._fields(old, new, path)
        if "array" in before & after:
            yield from self._items(old, new, path)

    def _choices(self, old: list[Any], new: list[Any], path: str) -> Iterator[Difference]:
        """Compare what a value may be: each with the one of its name, or of its kind."""
        left = _by_title(old, lambda each: _title(self._old, self._plain, each))
        right = _by_title(new, lambda each: _title(self._new, self._plain, each))
        gone, come = [], []
        for name in {**left, **right}:
            pairs, less, more = _paired(left.get(name, []), right.get(name, []))
            for was, now in pairs:
                yield from self.compare(was, now, path)
            gone += [name] * less
            come += [name] * more
        if gone == ["integer"] and "number" in come:
            gone.clear()
        for name in gone:
            yield Difference(path, f"it cannot be {name} any more", NEW_READERS)
        for name in come:
            yield Difference(path, f"it may now be {name}", OLD_READERS)

    def _fields(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Difference]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name in before:
            at = f"{path}.{name}" if path else name
            if name in after:
                yield from self.compare(before[name], after[name], at)
                if name in needed and name not in needs:
                    yield Difference(at, "it may be missing now", OLD_READERS)
                elif name in needs and name not in needed:
                    yield Difference(at, "it is required now", NEW_READERS)
                continue
            breaks = OLD_READERS if name in needed else NOBODY
            if new.get("additionalProperties") is False:
                breaks |= NEW_READERS
            yield Difference(at, "the field is removed", breaks)
        for name in after:
            if name in before:
                continue
            at = f"{path}.{name}" if path else name
            required = name in needs
            breaks = NEW_READERS if required else NOBODY
            if old.get("additionalProperties") is False:
                breaks |= OLD_READERS
            kind = "a required" if required else "an optional"
            yield Difference(at, f"{kind} field is added", breaks)
        yield from self._others(old, new, path)

    def _others(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Difference]:
        """Compare what may stand beside the fields."""
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self.compare(before, after, f"{path}[*]")
        elif (before is False) != (after is False):
            # Writers send the fields of their own document: it matters to those who add one later.
            word = "forbidden" if after is False else "passed over"
            yield Difference(path, f"fields that are not known are {word} now")

    def _items(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Difference]:
        before, after = _places(old), _places(new)
        for number, (was, now) in enumerate(zip(before, after, strict=False)):
            yield from self.compare(was, now, f"{path}[{number}]")
        was, now = _rest(old), _rest(new)
        pairs = [(was, each) for each in after[len(before) :]]
        pairs += [(each, now) for each in before[len(after) :]]
        for number, (former, present) in enumerate(pairs, min(len(before), len(after))):
            yield from self._further(former, present, f"{path}[{number}]")
        yield from self._further(was, now, f"{path}[*]")

    def _further(self, old: Any, new: Any, path: str) -> Iterator[Difference]:
        # How many items there may be, says another word. What may be anything may be a list, too.
        if not (old is False or new is False or old is new is True):
            yield from self.compare(old, new, path)


def look_up(document: Mapping[str, Any], reference: str) -> Any:
    """What a reference within a document stands for; None where there is nothing."""
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def _reference(schema: Any) -> str:
    reference = schema.get("$ref") if isinstance(schema, dict) else None
    return reference if isinstance(reference, str) else ""


def _branches(schema: dict[str, Any]) -> list[Any]:
    for word in ("anyOf", "oneOf"):
        branches = schema.get(word)
        if isinstance(branches, list) and branches:
            return branches
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return [{**schema, "type": kind} for kind in kinds] or [schema]
    return [schema]


def _by_title(branches: list[Any], title: Callable[[Any], str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for each in branches:
        found.setdefault(title(each), []).append(each)
    return found


def _paired(old: list[Any], new: list[Any]) -> tuple[list[tuple[Any, Any]], int, int]:
    """Choices of one title, those that are written alike together; how many are gone, and come."""
    left, right = list(old), list(new)
    pairs = []
    for each in old:
        if each in right:
            left.remove(each)
            right.remove(each)
            pairs.append((each, each))
    pairs += zip(left, right, strict=False)
    return pairs, max(0, len(left) - len(right)), max(0, len(right) - len(left))


def _title(document: Mapping[str, Any], plain: Any, branch: Any) -> str:
    """What tells one choice from others."""
    schema = plain(document, branch)
    kinds = _types(schema)
    if "const" in schema:
        return repr(schema["const"])
    kind = " or ".join(each for each in _TYPES if each in kinds) if len(kinds) < 7 else "anything"
    name = _reference(branch).rpartition("/")[2] or schema.get("title", "")
    return name if name and kind in ("object", "array") else kind


def _types(schema: dict[str, Any]) -> frozenset[str]:
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return frozenset({kinds})
    if isinstance(kinds, list):
        return frozenset(kinds)
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return frozenset(map(_type_of, values)) if values else frozenset(_TYPES)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    for python, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if isinstance(value, python):
            return name
    return "array" if isinstance(value, list) else "object"


def _of_types(before: frozenset[str], after: frozenset[str], path: str) -> Iterator[Difference]:
    """Compare kinds of values; an integer is a number, too."""
    less = {kind for kind in before - after if not (kind == "integer" and "number" in after)}
    more = {kind for kind in after - before if not (kind == "integer" and "number" in before)}
    breaks = (NEW_READERS if less else NOBODY) | (OLD_READERS if more else NOBODY)
    if breaks:
        yield Difference(path, f"it was {_listed(before)}, and is {_listed(after)}", breaks)


def _listed(kinds: frozenset[str]) -> str:
    if len(kinds) >= len(_TYPES):
        return "anything"
    return " or ".join(kind for kind in _TYPES if kind in kinds)


def _values(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Difference]:
    """Compare enumerations, and constants, which are those of one value."""
    before, after = _allowed(old), _allowed(new)
    if before is None and after is None:
        return
    if before is None:
        yield Difference(path, f"it must now be one of {_shown(after)}", NEW_READERS)
        return
    if after is None:
        yield Difference(path, f"it need not be one of {_shown(before)} any more", OLD_READERS)
        return
    for value in before:
        if value not in after:
            yield Difference(path, f"the value {value!r} is removed", NEW_READERS)
    for value in after:
        if value not in before:
            yield Difference(path, f"the value {value!r} is added", OLD_READERS)


def _allowed(schema: dict[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return values if isinstance(values, list) else None


def _shown(values: list[Any] | None) -> str:
    shown = [repr(value) for value in (values or [])[:5]]
    return ", ".join(shown + ["..."] * (len(values or []) > 5)) or "no value"


def _bounds(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Difference]:
    for word, less in _BOUNDS.items():
        before, after = old.get(word), new.get(word)
        if before == after:
            continue
        if before is None or after is None:
            breaks = NEW_READERS if before is None else OLD_READERS
        else:
            breaks = NEW_READERS if (after > before) == less else OLD_READERS
        yield Difference(path, _changed(word, before, after), breaks)
    for word in _EXACT:
        before, after = old.get(word), new.get(word)
        if before != after:
            breaks = READERS if before and after else NEW_READERS if after else OLD_READERS
            yield Difference(path, _changed(word, before, after), breaks)


def _changed(word: str, before: Any, after: Any) -> str:
    if before is None:
        return f"{word} is {after!r} now"
    return f"{word} was {before!r}" + (", and is no more" if after is None else f", is {after!r}")


def _places(schema: dict[str, Any]) -> list[Any]:
    items = schema.get("prefixItems", schema.get("items"))
    return items if isinstance(items, list) else []


def _rest(schema: dict[str, Any]) -> Any:
    items = schema.get("items")
    if isinstance(items, list):
        return schema.get("additionalItems", True)
    return True if items is None else items
