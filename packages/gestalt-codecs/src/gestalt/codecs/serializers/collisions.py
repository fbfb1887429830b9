"""Keys of dicts and members of sets that are chosen to have one hash value: refused before they are
hashed, since the time that they take grows with the square of their number.

Python hashes strings and bytes by a secret. Numbers, and what is made of numbers, it does not:
UUIDs, Decimals, integers of more than 64 bits and tuples with one hash value can be had without
end.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, Literal, Union

import msgspec
from msgspec import inspect

from gestalt.codecs.classes import is_model, is_root
from gestalt.codecs.errors import DecodeError

from . import models
from .annotations import described

Check = Callable[[Any], None]

_MOST: Final = 64
"""How many different keys may share a hash value: floats of 64 bits, and integers, come to 40."""

_SECRET: Final = (
    inspect.StrType,
    inspect.BytesType,
    inspect.BoolType,
    inspect.NoneType,
    inspect.EnumType,
    inspect.LiteralType,
)
_ALWAYS: Final = (inspect.UUIDType, inspect.DecimalType)
_SETS: Final = (inspect.SetType, inspect.FrozenSetType)
_SEQUENCES: Final = (*_SETS, inspect.ListType, inspect.VarTupleType, inspect.CollectionType)
_FIELDS: Final = (
    inspect.StructType,
    inspect.DataclassType,
    inspect.TypedDictType,
    inspect.NamedTupleType,
)
_PLAIN: Final[dict[type, Any]] = {
    inspect.AnyType: Any,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.StrType: str,
    inspect.BytesType: bytes,
    inspect.BoolType: bool,
    inspect.NoneType: type(None),
    inspect.DateTimeType: datetime,
    inspect.DateType: date,
    inspect.TimeType: time,
    inspect.TimeDeltaType: timedelta,
    inspect.UUIDType: uuid.UUID,
    inspect.DecimalType: Decimal,
}


def checker(cls: Any, *, integers: bool) -> Check | None:
    """Make the function that refuses plain values with such keys before they become a class.

    Args:
        cls: the class, or another type that msgspec decodes, or a model of pydantic.
        integers: whether integers may have more than 64 bits.

    Returns:
        It takes the plain value, and raises DecodeError. None where nothing in the class has such
        keys.
    """
    try:
        node = inspect.type_info(cls)
    except Exception:  # pragma: no cover - msgspec's decoder, made before, refuses it as well
        return None
    return _Plan(integers=integers).check(node)


def holds_models(cls: Any) -> bool:
    """Tell whether models of pydantic are among what a class of another kind is made of."""
    try:
        return _Plan(integers=False).holds_models(inspect.type_info(cls), set())
    except Exception:  # pragma: no cover - as above
        return False


class _Plan:
    """Compiles a type into the functions that look into its values."""

    def __init__(self, *, integers: bool, lax: bool = False) -> None:
        self._integers = integers
        self._lax = lax  # within a model, where strings may become integers, for one
        self._within_models = self if lax else _Plan(integers=True, lax=True)
        self._made: dict[Any, list[Check]] = {}
        self._fields_of: dict[type, list[tuple[str, inspect.Type]]] = {}
        self._held: list[inspect.Type] = []  # so that no two of them share an id

    def check(self, node: inspect.Type) -> Check | None:
        """Make the function for values of one type; None where nothing in it needs a look."""
        if not self._lax and _is_model(node):
            return self._within_models.check(node)
        if not self.concerns(node, set()):
            return None
        key = self._key(node)
        checks = self._made.get(key)
        if checks is None:
            checks = self._made[key] = []
            checks.extend(self._compile(node))

        def check(value: Any) -> None:
            for each in checks:  # a type that holds itself is complete only afterwards
                each(value)

        return check

    def holds_models(self, node: inspect.Type, seen: set[Any]) -> bool:
        """Tell whether models are among what a type is made of, but for the types seen."""
        key = self._key(node)
        if key in seen:
            return False
        seen.add(key)
        return _is_model(node) or any(self.holds_models(e, seen) for e in self._below(node))

    def _key(self, node: inspect.Type) -> Any:
        if isinstance(node, inspect.CustomType):
            return node.cls
        self._held.append(node)
        return id(node)

    def _compile(self, node: inspect.Type) -> Iterator[Check]:
        # What is within is looked at first, since the members of a set are made for the look.
        if isinstance(node, inspect.UnionType | inspect.Metadata) or _is_root(node):
            yield from filter(None, map(self.check, self._below(node)))
        elif isinstance(node, inspect.DictType):
            if inner := self.check(node.value_type):
                yield _each(inner, dict)
            if self._hazard(node.key_type):
                yield self._hashed(node.key_type, dict)
        elif isinstance(node, _SEQUENCES):
            if inner := self.check(node.item_type):
                yield _each(inner, list)
            if isinstance(node, _SETS) and self._hazard(node.item_type):
                yield self._hashed(node.item_type, list)
        else:
            parts = [(name, self.check(each)) for name, each in self._parts(node)]
            yield _fields([name for name, _ in parts], [inner for _, inner in parts])

    def _hashed(self, node: inspect.Type, container: type[Any]) -> Check:
        make = _maker(_python(node), lax=self._lax)

        def check(value: Any) -> None:
            if isinstance(value, container) and len(value) > _MOST:
                _refuse_collisions(make(value))

        return check

    def concerns(self, node: inspect.Type, seen: set[Any]) -> bool:
        """Tell whether anything in a type needs a look, but for the types seen."""
        key = self._key(node)
        if key in seen:
            return False
        seen.add(key)
        if not self._lax and _is_model(node):
            return self._within_models.concerns(node, set())
        if isinstance(node, inspect.DictType) and self._hazard(node.key_type):
            return True
        if isinstance(node, _SETS) and self._hazard(node.item_type):
            return True
        return any(self.concerns(each, seen) for each in self._below(node))

    def _hazard(self, node: inspect.Type) -> bool:
        """Tell whether many values of the type with one hash value can be made."""
        if isinstance(node, inspect.IntType | inspect.AnyType):
            return self._integers
        if isinstance(node, inspect.UnionType | inspect.Metadata):
            return any(map(self._hazard, self._below(node)))
        return isinstance(node, _ALWAYS) or self._numeric(node, set())

    def _numeric(self, node: inspect.Type, seen: set[Any]) -> bool:
        """Tell whether a type is made of others, and not of strings alone."""
        key = self._key(node)
        if key in seen:
            return False
        seen.add(key)
        below = self._below(node)
        return any(
            self._numeric(each, seen) if self._below(each) else not isinstance(each, _SECRET)
            for each in below
        )

    def _below(self, node: inspect.Type) -> list[inspect.Type]:
        if isinstance(node, inspect.UnionType):
            return list(node.types)
        if isinstance(node, inspect.Metadata):
            return [node.type]
        if isinstance(node, inspect.DictType):
            return [node.key_type, node.value_type]
        if isinstance(node, _SEQUENCES):
            return [node.item_type]
        return [each for _, each in self._parts(node)]

    def _parts(self, node: inspect.Type) -> list[tuple[str, inspect.Type]]:
        """Give the fields of what has fields, by name; those of tuples go by position."""
        if isinstance(node, inspect.TupleType):
            return [("", each) for each in node.item_types]
        if isinstance(node, _FIELDS):
            return [(field.encode_name, field.type) for field in node.fields]
        if not isinstance(node, inspect.CustomType):
            return []
        parts = self._fields_of.get(node.cls)
        if parts is None:
            parts = self._fields_of[node.cls] = [
                (name, described(annotation)) for name, annotation in models.annotated(node.cls)
            ]
        return parts


def _is_model(node: inspect.Type) -> bool:
    return isinstance(node, inspect.CustomType) and is_model(node.cls)


def _is_root(node: inspect.Type) -> bool:
    return isinstance(node, inspect.CustomType) and is_root(node.cls)


def _python(node: inspect.Type) -> Any:
    """Give the type that msgspec described, as far as hashing needs it."""
    if isinstance(node, inspect.Metadata):
        return _python(node.type)
    if isinstance(node, inspect.UnionType):
        return Union[tuple(map(_python, node.types))]  # noqa: UP007 - of any number
    if isinstance(node, inspect.TupleType):
        return tuple[tuple(map(_python, node.item_types))]  # type: ignore[misc]
    if isinstance(node, inspect.VarTupleType):
        return tuple[_python(node.item_type), ...]  # type: ignore[misc]
    if isinstance(node, inspect.FrozenSetType):
        return frozenset[_python(node.item_type)]  # type: ignore[misc]
    if isinstance(node, inspect.LiteralType):
        return Literal[tuple(node.values)]
    # What is left has a class of its own, or no hash.
    return _PLAIN[type(node)] if type(node) in _PLAIN else getattr(node, "cls", list)


def _each(inner: Check, container: type[Any]) -> Check:
    def check(value: Any) -> None:
        if isinstance(value, container):
            for each in value.values() if container is dict else value:
                inner(each)

    return check


def _fields(names: list[str], checks: list[Check | None]) -> Check:
    named = [(name, check) for name, check in zip(names, checks, strict=True) if check]

    def check(value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in named:
                if name in value:
                    inner(value[name])
        elif isinstance(value, list | tuple):
            for inner_or_none, each in zip(checks, value, strict=False):
                if inner_or_none is not None:
                    inner_or_none(each)

    return check


def _maker(cls: Any, *, lax: bool) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Make what gives those values that are of the class; of the others is told afterwards."""
    if lax:
        make = models.adapter_of(cls).validator.validate_python
    else:
        make = partial(msgspec.convert, type=cls, strict=False, dec_hook=models.from_plain)

    def members(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            try:
                yield make(value)
            except Exception:  # noqa: S112 - it is decoded again, and refused
                continue

    return members


def _refuse_collisions(values: Iterable[Any]) -> None:
    by_hash: dict[int, list[Any]] = {}
    for value in values:
        by_hash.setdefault(hash(value), []).append(value)
    for alike in by_hash.values():
        if len(alike) <= _MOST:
            continue
        different: list[Any] = []
        for value in alike:
            if value not in different:
                different.append(value)
                if len(different) > _MOST:
                    raise DecodeError(
                        f"more than {_MOST} different keys of a dict, or members of a set, have "
                        "the same hash value: they are refused, since they were chosen to take "
                        "quadratic time"
                    )
