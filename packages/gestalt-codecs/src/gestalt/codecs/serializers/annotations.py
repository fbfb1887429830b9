"""Annotations of models described as msgspec describes types, those included that msgspec refuses,
such as unions of models."""

import collections.abc
import types
import typing
from collections.abc import Callable
from typing import Any, Final

from msgspec import inspect

_OF_ONE: Final[dict[Any, Callable[[inspect.Type], inspect.Type]]] = {
    set: inspect.SetType,
    frozenset: inspect.FrozenSetType,
    collections.abc.Set: inspect.SetType,
    collections.abc.MutableSet: inspect.SetType,
    list: inspect.ListType,
    collections.deque: inspect.ListType,
    collections.abc.Sequence: inspect.ListType,
    collections.abc.Iterable: inspect.ListType,
}
_MAPPINGS: Final = (
    dict,
    collections.OrderedDict,
    collections.defaultdict,
    collections.abc.Mapping,
    collections.abc.MutableMapping,
)


def described(annotation: Any) -> inspect.Type:
    """Describe an annotation; what msgspec knows nothing of is of a custom type, or any."""
    annotation = getattr(annotation, "__value__", annotation)  # of a type alias
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return described(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return inspect.UnionType(tuple(map(described, arguments)))
    if origin in _OF_ONE and arguments:
        return _OF_ONE[origin](described(arguments[0]))
    if origin in _MAPPINGS and arguments:
        key, value = map(described, arguments)
        return inspect.DictType(key_type=key, value_type=value)
    if origin is tuple and arguments:
        if arguments[-1] is Ellipsis:
            return inspect.VarTupleType(described(arguments[0]))
        return inspect.TupleType(tuple(map(described, arguments)))
    try:
        return inspect.type_info(annotation)
    except Exception:
        return inspect.CustomType(annotation) if isinstance(annotation, type) else inspect.AnyType()
