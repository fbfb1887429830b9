"""Message types: which class has which number and name on the wire."""

import builtins
import typing
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, Final, NamedTuple, TypeVar, overload

from .avro import Avro
from .classes import check_tag, is_model, own_tag, unknown_tag
from .errors import SchemaError, UnknownType, UnregisteredType
from .showing import class_name, given

T = TypeVar("T")

MAX_TYPE_ID: Final = 2**32 - 1

_PLAIN: Final = (dict, list, tuple, set, frozenset)
"""Classes that say nothing of the message type: TypedDicts and Avro records are dicts, for one."""


class MessageType(NamedTuple):
    """One registered type.

    Attributes:
        id: its number on the wire.
        name: its name on the wire.
        type: what was registered: a class, a TypedDict, a generic such as list[int], or an Avro.
        python_class: the class of its values.
        format: the serializer that its values always take, whatever the codec's is; or None.
        tag: the field of the body that holds the name; None where the types have no tag.
        writes_tag: whether the values bring that field themselves, as tagged Structs do.
    """

    id: int
    name: str
    type: Any
    python_class: builtins.type[Any]
    format: str | None
    tag: str | None = None
    writes_tag: bool = False


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

    Args:
        tag: a field of each body that tells its type, by name, where neither a framing nor a
            property does: `{"type": "Position", "lat": -34.9, ...}` with `tag="type"`. Encoding
            adds it and decoding takes it away, so that the classes know nothing of it. It is for
            JSON, msgpack and YAML, and for types with named fields.

    Raises:
        SchemaError: the tag is no name.
    """

    def __init__(self, *, tag: str | None = None) -> None:
        if tag is not None and not _is_name(tag):
            raise SchemaError(
                f"a tag is the name of a field, printable and without quotes, not {given(tag)}"
            )
        self._tag = tag
        self._by_id: dict[int, MessageType] = {}
        self._by_name: dict[str, MessageType] = {}
        # None where several types share a plain class, so that a value does not tell which is
        # meant.
        self._by_class: dict[type, MessageType | None] = {}

    @property
    def tag(self) -> str | None:
        """The field of each body that tells its type; None where none does."""
        return self._tag

    @overload
    def add(self, type_id: int, /, *, name: str | None = None) -> Callable[[type[T]], type[T]]: ...
    @overload
    def add(self, type_id: int, cls: type[T], /, *, name: str | None = None) -> type[T]: ...
    @overload
    def add(self, type_id: int, cls: Avro, /, *, name: str | None = None) -> Avro: ...
    def add(self, type_id: int, cls: Any = None, /, *, name: str | None = None) -> Any:
        """Register a type; without `cls`, a decorator that registers the class below it.

        Args:
            type_id: the number that stands for the type on the wire, 0 to 2**32 - 1. It is fixed
                for ever: give it explicitly, and never reuse one.
            cls: a dataclass, msgspec Struct, attrs class, pydantic model, TypedDict, protobuf
                message class, Avro, or any other class that msgspec decodes, such as list[int]. A
                union is none: register each of its members.
            name: its name on the wire. The default is the class's name, protobuf's or Avro's full
                name.

        Returns:
            `cls`, unchanged.

        Raises:
            SchemaError: the number, the name or the class is taken, or the type cannot be
                registered; with a tag, also when it has no named fields, or one of that name.
        """
        if cls is None:
            return lambda cls: self.add(type_id, cls, name=name)
        if type(type_id) is not int or not 0 <= type_id <= MAX_TYPE_ID:
            raise SchemaError(f"a type id is from 0 to {MAX_TYPE_ID}, not {given(type_id)}")
        if name is not None and not _is_name(name):
            raise SchemaError(
                f"the name of a type is printable and without quotes, not {given(name)}"
            )
        kind = _describe(type_id, cls, name)
        if self._tag is not None:
            kind = _with_tag(kind, self._tag, named=name is not None)
        self._refuse_duplicates(kind)
        self._by_id[type_id] = self._by_name[kind.name] = kind
        shared = kind.python_class in self._by_class
        self._by_class[kind.python_class] = None if shared else kind
        return cls

    def by_id(self, type_id: int) -> MessageType:
        """Find a type by its number.

        Raises:
            UnknownType: none has it.
        """
        try:
            return self._by_id[type_id]
        except (KeyError, TypeError):
            raise UnknownType(
                f"no message type has the id {given(type_id)}; known are {self}"
            ) from None

    def by_name(self, name: str) -> MessageType:
        """Find a type by its name.

        Raises:
            UnknownType: none has it.
        """
        try:
            return self._by_name[name]
        except (KeyError, TypeError):
            raise UnknownType(f"no message type is named {given(name)}; known are {self}") from None

    def by_class(self, cls: type) -> MessageType:
        """Find a type by the class of its values; subclasses are types of their own.

        Raises:
            UnregisteredType: none has it, or several share it.
        """
        try:
            kind = self._by_class.get(cls)
            shared = kind is None and cls in self._by_class
        except Exception as error:  # its metaclass does not let it be looked up
            raise UnregisteredType(f"{class_name(cls)} is not a message type") from error
        if kind is not None:
            return kind
        name = class_name(cls)
        if shared:
            raise UnregisteredType(
                f"several message types have values of class {name}, so that a value does "
                "not tell which is meant: register classes, or Avro(..., into=) one"
            )
        raise UnregisteredType(
            f"{name} is not a message type: types.add(<id>, {name}); known are {self}"
        )

    def by_tag(self, value: Any, *, absent: bool = False) -> MessageType:
        """Find a type by what the tag of a body holds.

        Raises:
            ValidationError: it is absent, or not a string.
            UnknownType: no type has that name.
        """
        kind = self._by_name.get(value) if isinstance(value, str) else None
        if kind is None:
            raise unknown_tag(str(self._tag), value, list(self._by_name), absent=absent)
        return kind

    def only(self) -> MessageType:
        """Give the one type that is meant where the wire carries neither number nor name.

        Raises:
            UnknownType: there is not exactly one.
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


def _is_name(name: Any) -> bool:
    return type(name) is str and name != "" and name.isprintable() and not {*name} & {*'"\\'}


def _describe(type_id: int, cls: Any, name: str | None) -> MessageType:
    if isinstance(cls, Avro):
        return MessageType(type_id, name or cls.name, cls, cls.into or dict, "avro")
    descriptor = getattr(cls, "DESCRIPTOR", None)
    if descriptor is not None and isinstance(cls, type):
        return MessageType(type_id, name or descriptor.full_name, cls, cls, "protobuf")
    python_class = dict if typing.is_typeddict(cls) else typing.get_origin(cls) or cls
    if python_class in (typing.Union, UnionType):
        raise SchemaError(
            f"{given(cls)} is a union, not a class, and values are told by their class: register "
            'its members, each by a number of its own, in MessageTypes(tag="type") where only the '
            "body can tell them"
        )
    if not isinstance(python_class, type):
        raise SchemaError(f"{given(cls)} is not a class, and values are told by their class")
    if not is_model(cls) and {"__fields__", "__validators__"} <= {*vars(python_class)}:
        raise SchemaError(f"{given(cls)} is a model of pydantic 1: only those of 2 are carried")
    return MessageType(type_id, name or str(getattr(cls, "__name__", cls)), cls, python_class, None)


def _with_tag(kind: MessageType, tag: str, *, named: bool) -> MessageType:
    own = own_tag(kind.python_class, tag)
    if own is None:
        check_tag(kind.name, kind.type, kind.format, tag)
        return kind._replace(tag=tag)
    if not isinstance(own, str) or (named and own != kind.name):
        raise SchemaError(
            f"{kind.name} has the tag {given(own)} of its own in the field {tag}: that is its name "
            "here, and has to be a string"
        )
    return kind._replace(tag=tag, name=own, writes_tag=True)
