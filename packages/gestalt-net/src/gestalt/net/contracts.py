"""What an endpoint exchanges with its peers, as plain data; see gestalt.core.contracts."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gestalt.core import Component, Handler
from gestalt.core.contracts import (
    Channel,
    Key,
    MessageShape,
    Operation,
    Received,
    Server,
    note_of,
    received_by,
)

from .address import Address
from .framings import Framing
from .wire import Wire


def operations_of(
    endpoint: Component,
    wire: Wire,
    handler: Handler | None,
    addresses: Iterable[Address],
    *,
    protocol: str,
) -> Iterator[Operation]:
    """What an endpoint sends and receives.

    A type that has a handler is received. The others may be sent; where each has a handler, or one
    handler takes all, so may those. A note on the endpoint says it better.

    Args:
        endpoint: is asked for its name, and for the note.
        wire: how messages cross the socket.
        handler: takes each message; None where the application takes them by itself.
        addresses: where messages go, or come from.
        protocol: of a socket that the process is started with, whose address does not tell it.
    """
    said = note_of(endpoint)
    channel = Channel(
        name=endpoint.name,
        servers=[server_of(address, endpoint.name, protocol) for address in addresses],
        title=said.title,
        description=said.description,
        facts=facts_of_wire(wire),
    )
    functions = [] if handler is None else received_by(handler)
    received = _shapes(wire, _keys(functions) if said.receives is None else said.receives)
    handled = {shape.name for shape in received}
    everything = _shapes(wire, None)
    if said.sends is not None:
        sent = _shapes(wire, said.sends)
    elif handler is None:
        sent = everything
    else:
        sent = [shape for shape in everything if shape.name not in handled] or everything
    if received and said.receives != ():
        yield Operation(
            action="receive",
            name=f"receive {endpoint.name}",
            channel=channel,
            messages=received,
            description="\n\n".join(filter(None, (each.description for each in functions))),
        )
    if sent and said.sends != ():
        yield Operation(action="send", name=f"send {endpoint.name}", channel=channel, messages=sent)


def server_of(address: Address, name: str, protocol: str) -> Server:
    """An address as documents have it; `protocol` is that of a socket of unknown address."""
    if address.scheme == "unix":
        path = address.path.replace("\0", "@")
        return Server(protocol="unix", host="localhost", pathname=path, name=name)
    if address.scheme in ("fd", "systemd"):
        # Which port that is, says whoever starts the process.
        return Server(protocol=protocol, host=str(address), name=name)
    host = str(address).partition("://")[2]
    return Server(protocol=address.scheme, host=host, name=name)


def facts_of_wire(wire: Wire) -> dict[str, Any]:
    """What both ends of a socket have to agree about, besides types."""
    facts: dict[str, Any] = {"framing": _framing(wire.framing)}
    codec = wire.codec
    if codec is not None:
        from gestalt.codecs.contracts import facts_of

        facts |= facts_of(codec)
        # There is no place on the wire for what else a body could be.
        facts.pop("accepts")
        facts["tagged"] = wire.tagged
    facts["identified-by"] = _identified(wire)
    return facts


def _identified(wire: Wire) -> str:
    """What tells the type of a message."""
    types = None if wire.codec is None else wire.codec.types
    if types is not None and types.tag is not None and not wire.framing.carries_type_id:
        return "tag"
    if wire.framing.carries_type_id and (types is not None or wire.codec is None):
        return "type-id"
    return "channel"


def _framing(framing: Framing) -> dict[str, Any]:
    told: dict[str, Any] = {"name": type(framing).__name__}
    if dataclasses.is_dataclass(framing):
        for field in dataclasses.fields(framing):
            if field.init:
                value = getattr(framing, field.name)
                name = field.name.replace("_", "-")
                told[name] = value.decode("latin-1") if isinstance(value, bytes) else value
    return told


def _keys(functions: Sequence[Received]) -> Sequence[Key] | None:
    keys: list[Key] = []
    for each in functions:
        if each.keys is None:
            return None
        keys.extend(each.keys)
    return keys if functions else None


def _shapes(wire: Wire, keys: Iterable[Key] | None) -> list[MessageShape]:
    if wire.codec is not None:
        from gestalt.codecs.contracts import shapes_of

        return shapes_of(wire.codec, keys)
    schema = {"type": "string", "format": "binary"}
    numbers = sorted(key for key in keys or () if isinstance(key, int))
    if not (numbers and wire.framing.carries_type_id):
        return [MessageShape(name="bytes", schema=schema)]
    return [MessageShape(name=f"bytes {each}", schema=schema, type_id=each) for each in numbers]
