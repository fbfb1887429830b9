"""What classes say of their fields: dataclasses, TypedDicts, and those of msgspec, attrs and
pydantic, which need not be imported for it."""

import dataclasses
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gestalt.core.numbers import kind_of

from .errors import DecodeError, SchemaError, UnknownType, ValidationError
from .showing import given, readable


def is_model(cls: Any) -> bool:
    """Tell whether a class is a model, or a dataclass, of pydantic 2."""
    return isinstance(cls, type) and "__pydantic_validator__" in cls.__dict__


def is_root(cls: Any) -> bool:
    """Tell whether a class is a model whose values are those of its only field."""
    return is_model(cls) and bool(getattr(cls, "__pydantic_root_model__", False))


def names_of(cls: Any) -> dict[str, set[str]]:
    """Give the names in data of each field of a model: its own and its aliases."""
    fields = getattr(cls, "__pydantic_fields__", {})
    names = {name: {name} for name in fields}
    for name, field in fields.items():
        for alias in (field.alias, field.serialization_alias, field.validation_alias):
            # AliasChoices holds several, and AliasPath a way to within another field.
            for each in getattr(alias, "choices", [alias]):
                first = getattr(each, "path", [each])[0]
                if isinstance(first, str):
                    names[name].add(first)
    decorators = getattr(cls, "__pydantic_decorators__", None)
    for name, computed in getattr(decorators, "computed_fields", {}).items():
        names[name] = {name, *filter(None, [computed.info.alias])}
    return names


def refuses_unknown_fields(cls: Any) -> bool:
    """Tell whether a class minds items beyond its fields, or keeps them."""
    if is_model(cls):
        return bool(getattr(cls, "model_config", {}).get("extra", "ignore") != "ignore")
    config = getattr(cls, "__struct_config__", None)
    return config is not None and bool(config.forbid_unknown_fields)


def carried(cls: Any) -> Callable[[Any], Iterable[str]] | None:
    """Give what names a value's items beyond the fields of its class; None where it has none."""
    if typing.is_typeddict(typing.get_origin(cls) or cls):
        return iter
    if is_model(cls) and getattr(cls, "model_config", {}).get("extra") == "allow":
        return lambda value: value.__pydantic_extra__ or ()
    return None


def check_tag(name: str, cls: Any, form: str | None, tag: str) -> None:
    """See that the bodies of a type have a place for the tag.

    Raises:
        SchemaError: they have not, or it is taken by a field of the type.
    """
    if form is not None:
        raise SchemaError(
            f"{name} takes the wire form of {form}, which has no place for the tag {given(tag)}: "
            "register it in types without a tag"
        )
    fields = _fields(cls)
    if fields is None:
        raise SchemaError(
            f"{name} has no named fields, so that its bodies have no place for the tag {given(tag)}"
        )
    if tag in fields:
        raise SchemaError(
            f"{name} has a field {tag}, which is the tag of these types: rename the field, or "
            "choose another tag"
        )


def own_tag(cls: Any, tag: str) -> str | int | None:
    """Give the tag that a msgspec Struct writes by itself, where it does so in that field."""
    config = getattr(cls, "__struct_config__", None)
    if config is None or config.tag_field != tag or config.array_like:
        return None
    return config.tag  # type: ignore[no-any-return]


def unknown_tag(tag: str, value: Any, names: Sequence[str], *, absent: bool) -> DecodeError:
    """Make the error for a body whose tag tells no type."""
    there_are = f"there are {', '.join(names[:20])}" if names else "there is none"
    if len(names) > 20:
        there_are += ", ..."
    if absent:
        return ValidationError(f"the tag {given(tag)} is missing; {there_are}", f"$.{tag}")
    if not isinstance(value, str):
        return ValidationError(
            f"the tag {given(tag)} is a string, not {kind_of(value)}; {there_are}", f"$.{tag}"
        )
    return UnknownType(f"the tag {given(tag)} is {readable(value)}; {there_are}")


def _fields(cls: Any) -> set[str] | None:
    """Give the names that a type's fields have in bodies; None where they have none."""
    cls = typing.get_origin(cls) or cls
    if is_model(cls):
        return None if is_root(cls) else set().union(*names_of(cls).values())
    if typing.is_typeddict(cls):
        return {*cls.__required_keys__, *cls.__optional_keys__}
    if hasattr(cls, "__struct_config__"):
        return None if cls.__struct_config__.array_like else set(cls.__struct_encode_fields__)
    if dataclasses.is_dataclass(cls):
        return {field.name for field in dataclasses.fields(cls)}
    attributes = getattr(cls, "__attrs_attrs__", None)
    return None if attributes is None else {attribute.name for attribute in attributes}
