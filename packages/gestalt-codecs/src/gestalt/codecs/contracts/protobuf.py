"""Protobuf messages as text, which people and tools read, and as plain data, which is compared."""

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    Edition,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.text_encoding import CEscape

_TYPES: Final = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_") and isinstance(value, int)
}


def facts_of_message(root: Descriptor) -> dict[str, Any]:
    """A message, and those that it is made of, by their full names and the numbers of fields."""
    messages: dict[str, Any] = {}
    enums: dict[str, Any] = {}
    waiting = [root]
    while waiting:
        message = waiting.pop()
        if message.full_name in messages:
            continue
        fields = messages[message.full_name] = {}
        for field in message.fields:
            fields[str(field.number)] = _field(field)
            if field.message_type is not None:
                waiting.append(field.message_type)
            if (enum := field.enum_type) is not None:
                enums[enum.full_name] = {
                    "closed": bool(enum.is_closed),
                    "values": {value.name: value.number for value in enum.values},
                }
    return {"message": root.full_name, "messages": messages, "enums": enums}


def proto_of(root: Descriptor) -> str:
    """The text of a .proto file for a message, with what it needs of its own package.

    What it takes from other packages is imported, as in the file that it came from.
    """
    package = root.file.package
    needed = sorted(_tops(root), key=lambda top: top.full_name)
    own = [top for top in needed if top.file.package == package]
    file = _file(root.file)
    if file.syntax == "editions":
        lines = [f'edition = "{Edition.Name(file.edition).removeprefix("EDITION_")}";', ""]
    else:
        lines = [f'syntax = "{file.syntax or "proto2"}";', ""]
    if package:
        lines += [f"package {package};", ""]
    if features := [f"option {each};" for each in _features(file.options)]:
        lines += [*features, ""]
    if imports := sorted({top.file.name for top in needed if top.file.package != package}):
        lines += [*(f'import "{name}";' for name in imports), ""]
    for top in own:
        lines += [*(_enum(top) if isinstance(top, EnumDescriptor) else _message(top)), ""]
    return "\n".join(lines)


def _file(file: FileDescriptor) -> FileDescriptorProto:
    # What else tells the syntax differs between the versions of the library.
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    return proto


def _tops(root: Descriptor) -> set[Descriptor | EnumDescriptor]:
    """The outermost messages and enumerations that a message is made of."""
    found: dict[str, Descriptor | EnumDescriptor] = {}
    seen: set[str] = set()
    waiting: list[Descriptor] = [root]
    while waiting:
        message = waiting.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        top = _outermost(message)
        found[top.full_name] = top
        if top is not message:
            waiting.append(top)
        waiting.extend(message.nested_types)
        for field in message.fields:
            if field.message_type is not None:
                waiting.append(field.message_type)
            if field.enum_type is not None:
                outer = _outermost(field.enum_type)
                found[outer.full_name] = outer
                if isinstance(outer, Descriptor):
                    waiting.append(outer)
    return set(found.values())


def _outermost(described: Any) -> Any:
    while described.containing_type is not None:
        described = described.containing_type
    return described


def _field(field: FieldDescriptor) -> dict[str, Any]:
    told: dict[str, Any] = {"name": field.name, "type": _TYPES[field.type]}
    if field.message_type is not None:
        told["of"] = field.message_type.full_name
    if field.enum_type is not None:
        told["of"] = field.enum_type.full_name
    if _repeated(field):
        told["repeated"] = True
    if _required(field):
        told["required"] = True
    return told


def _repeated(field: FieldDescriptor) -> bool:
    if hasattr(FieldDescriptor, "is_repeated"):
        return bool(field.is_repeated)
    label = getattr(field, "label", 0)  # pragma: no cover - protobuf before 6.31
    return bool(label == FieldDescriptor.LABEL_REPEATED)  # pragma: no cover - protobuf before 6.31


def _required(field: FieldDescriptor) -> bool:
    if hasattr(FieldDescriptor, "is_required"):
        return bool(field.is_required)
    label = getattr(field, "label", 0)  # pragma: no cover - protobuf before 6.31
    return bool(label == FieldDescriptor.LABEL_REQUIRED)  # pragma: no cover - protobuf before 6.31


def _message(message: Descriptor) -> Iterator[str]:
    yield f"message {message.name} {{"
    yield from _body(message)
    yield "}"


def _body(message: Descriptor) -> Iterator[str]:
    """What is within the braces of a message."""
    proto = DescriptorProto()
    message.CopyToProto(proto)
    syntax = _file(message.file).syntax
    yield from (f"  option {each};" for each in _features(proto.options))
    for enum in message.enum_types:
        yield from _indented(_enum(enum))
    groups = {
        each.message_type.full_name
        for each in message.fields
        if each.message_type is not None and _is_group(each, syntax=syntax)
    }
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry and nested.full_name not in groups:
            yield from _indented(_message(nested))
    written = {each.name: each for each in proto.field}
    told: set[str] = set()
    for field in message.fields:
        oneof = field.containing_oneof
        if oneof is None or _is_optional(field):
            yield from _indented(_declared(field, written[field.name], syntax))
        elif oneof.name not in told:
            told.add(oneof.name)
            yield f"  oneof {oneof.name} {{"
            for each in oneof.fields:
                yield from _indented(_indented(_declared(each, written[each.name], syntax)))
            yield "  }"


def _enum(enum: EnumDescriptor) -> Iterator[str]:
    yield f"enum {enum.name} {{"
    proto = EnumDescriptorProto()
    enum.CopyToProto(proto)
    yield from (f"  option {each};" for each in _features(proto.options))
    numbers = [value.number for value in enum.values]
    if len(set(numbers)) < len(numbers):
        yield "  option allow_alias = true;"
    for value in enum.values:
        yield f"  {value.name} = {value.number};"
    yield "}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _is_optional(field: FieldDescriptor) -> bool:
    """Whether it is alone in a oneof that stands for the word "optional" of proto3."""
    oneof = field.containing_oneof
    return oneof is not None and len(oneof.fields) == 1 and oneof.name == f"_{field.name}"


def _is_group(field: FieldDescriptor, *, syntax: str) -> bool:
    """Whether it declares its message itself; editions have a feature for what that means."""
    return bool(field.type == FieldDescriptor.TYPE_GROUP) and syntax != "editions"


def _features(options: Any) -> Iterator[str]:
    """What the options of something say of its features, which editions have."""
    for described, value in options.features.ListFields():
        if described.enum_type is not None:  # pragma: no branch - features of one language
            name = described.enum_type.values_by_number[value].name
            yield f"features.{described.name} = {name}"


def _declared(field: FieldDescriptor, proto: FieldDescriptorProto, syntax: str) -> Iterator[str]:
    """The line of a field; those of a group."""
    options = list(_features(proto.options))
    if proto.HasField("default_value"):
        options.append(f"default = {_default(proto)}")
    if proto.options.HasField("packed"):
        options.append(f"packed = {str(proto.options.packed).lower()}")
    end = f"{field.number} [{', '.join(options)}]" if options else f"{field.number}"
    described = field.message_type
    if described is not None and described.GetOptions().map_entry:
        key, value = described.fields_by_name["key"], described.fields_by_name["value"]
        yield f"map<{_type(key)}, {_type(value)}> {field.name} = {end};"
        return
    word = ""
    if _repeated(field):
        word = "repeated "
    elif syntax == "editions":
        pass  # features say it
    elif _required(field):
        word = "required "
    elif _is_optional(field) or (syntax != "proto3" and field.containing_oneof is None):
        word = "optional "
    if described is not None and _is_group(field, syntax=syntax):
        yield f"{word}group {described.name} = {end} {{"
        yield from _body(described)
        yield "}"
    else:
        yield f"{word}{_type(field)} {field.name} = {end};"


def _default(proto: FieldDescriptorProto) -> str:
    if proto.type == FieldDescriptorProto.TYPE_STRING:
        return f'"{CEscape(proto.default_value.encode(), as_utf8=True)}"'
    # Those of bytes are escaped already.
    is_bytes = proto.type == FieldDescriptorProto.TYPE_BYTES
    return f'"{proto.default_value}"' if is_bytes else proto.default_value


def _type(field: FieldDescriptor) -> str:
    named = field.message_type or field.enum_type
    return f".{named.full_name}" if named is not None else _TYPES[field.type]
