"""Message types: which class has which number and name on the wire."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, Final, NamedTuple, TypeVar, overload

from .avro import Avro
from .errors import SchemaError, UnknownType, UnregisteredType, short

T = TypeVar("T")

MAX_TYPE_ID: Final = 2**32 - 1

_PLAIN: Final = (dict, list, tuple, set, frozenset)
"""Classes that say nothing of the message type: TypedDicts and Avro records are dicts, for one."""


class MessageType(NamedTuple):
    """One registered type.

    Attributes:
        id: Its number on the wire.
        name: Its name on the wire.
        type: What was registered: a class, a TypedDict, a generic such as list[int], or an Avro.
        python_class: The class of its values.
        format: The serializer that its values always take, whatever the codec's is; or None.
    """

    id: int
    name: str
    type: Any
    python_class: type
    format: str | None


class MessageTypes:
    """The message types of a protocol, found by number, by name and by class.

    It is a value: make one for each protocol and pass it on. Types can be added at any time before
    they are met, and never be removed.

        types = MessageTypes()

        @types.add(1)
        @dataclass
        class Position: ...

        types.add(2, status_pb2.Status)
        types.add(3, Avro(schema, into=Reading))
    """

    def __init__(self) -> None:
        self._by_id: dict[int, MessageType] = {}
        self._by_name: dict[str, MessageType] = {}
        # None where several types share a plain class, so that a value does not tell which is
        # meant.
        self._by_class: dict[type, MessageType | None] = {}

    @overload
    def add(self, type_id: int, /, *, name: str | None = None) -> Callable[[T], T]: ...
    @overload
    def add(self, type_id: int, cls: T, /, *, name: str | None = None) -> T: ...
    def add(self, type_id: int, cls: Any = None, /, *, name: str | None = None) -> Any:
        """Register a type; without `cls`, a decorator that registers the class below it.

        Args:
            type_id: The number that stands for the type on the wire, 0 to 2**32 - 1. It is fixed
                for ever: give it explicitly, and never reuse one.
            cls: A dataclass, msgspec Struct, attrs class, TypedDict, protobuf message class, Avro,
                or any other type that msgspec decodes.
            name: Its name on the wire. The default is the class's name, protobuf's or Avro's full
                name.

        Returns:
            `cls`, unchanged.

        Raises:
            SchemaError: The number, the name or the class is taken, or the type cannot be
                registered.
        """
        if cls is None:
            return lambda cls: self.add(type_id, cls, name=name)
        if type(type_id) is not int or not 0 <= type_id <= MAX_TYPE_ID:
            raise SchemaError(f"a type id is from 0 to {MAX_TYPE_ID}, not {short(type_id)}")
        kind = _describe(type_id, cls, name)
        self._refuse_duplicates(kind)
        self._by_id[type_id] = self._by_name[kind.name] = kind
        shared = kind.python_class in self._by_class
        self._by_class[kind.python_class] = None if shared else kind
        return cls

    def by_id(self, type_id: int) -> MessageType:
        """Find a type by its number.

        Raises:
            UnknownType: None has it.
        """
        try:
            return self._by_id[type_id]
        except (KeyError, TypeError):
            raise UnknownType(
                f"no message type has the id {short(type_id)}; known are {self}"
            ) from None

    def by_name(self, name: str) -> MessageType:
        """Find a type by its name.

        Raises:
            UnknownType: None has it.
        """
        try:
            return self._by_name[name]
        except (KeyError, TypeError):
            raise UnknownType(f"no message type is named {short(name)}; known are {self}") from None

    def by_class(self, cls: type) -> MessageType:
        """Find a type by the class of its values; subclasses are types of their own.

        Raises:
            UnregisteredType: None has it, or several share it.
        """
        kind = self._by_class.get(cls)
        if kind is not None:
            return kind
        if cls in self._by_class:
            raise UnregisteredType(
                f"several message types have values of class {cls.__name__}, so that a value does "
                "not tell which is meant: register classes, or Avro(..., into=) one"
            )
        raise UnregisteredType(
            f"{cls.__name__} is not a message type: types.add(<id>, {cls.__name__}); "
            f"known are {self}"
        )

    def only(self) -> MessageType:
        """Give the one type that is meant where the wire carries neither number nor name.

        Raises:
            UnknownType: There is not exactly one.
        """
        if len(self._by_id) == 1:
            return next(iter(self._by_id.values()))
        raise UnknownType(
            "the data says neither type id nor name, and exactly one type would do without; "
            f"known are {self}"
        )

    def __iter__(self) -> Iterator[MessageType]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def __str__(self) -> str:
        shown = [f"{kind.id} {kind.name}" for kind in list(self._by_id.values())[:10]]
        if len(self) > len(shown):
            shown.append("...")
        return ", ".join(shown) or "none"

    def __repr__(self) -> str:
        return f"<MessageTypes: {self}>"

    def _refuse_duplicates(self, kind: MessageType) -> None:
        taken = self._by_id.get(kind.id) or self._by_name.get(kind.name)
        if taken is None and kind.python_class not in _PLAIN:
            taken = self._by_class.get(kind.python_class)
        if taken is not None:
            raise SchemaError(
                f"cannot register {kind.name} as {kind.id}: {taken.name} is registered as "
                f"{taken.id}; numbers, names and classes are each used once"
            )


def _describe(type_id: int, cls: Any, name: str | None) -> MessageType:
    if isinstance(cls, Avro):
        return MessageType(type_id, name or cls.name, cls, cls.into or dict, "avro")
    descriptor = getattr(cls, "DESCRIPTOR", None)
    if descriptor is not None and isinstance(cls, type):
        return MessageType(type_id, name or descriptor.full_name, cls, cls, "protobuf")
    python_class = dict if typing.is_typeddict(cls) else typing.get_origin(cls) or cls
    if not isinstance(python_class, type) or python_class in (typing.Union, UnionType):
        raise SchemaError(f"{short(cls)} is not a class, and values are told by their class")
    return MessageType(type_id, name or str(getattr(cls, "__name__", cls)), cls, python_class, None)
