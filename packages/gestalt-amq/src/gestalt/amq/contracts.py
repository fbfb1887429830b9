"""What a bus exchanges with others, as plain data; see gestalt.core.contracts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from gestalt.codecs import Codec, Codecs
from gestalt.codecs.contracts import facts_of, shapes_of
from gestalt.core.contracts import (
    Channel,
    Key,
    MessageShape,
    Operation,
    Received,
    Reply,
    Server,
    note_of,
    received_by,
)

from .encoding import codecs_of
from .link.address import BrokerAddress
from .pubsub.declaration import SubscriptionDeclaration
from .pubsub.partitions import Partitioned
from .pubsub.publisher import Publisher
from .requests import protocol
from .requests.declaration import ResponderDeclaration
from .requests.requester import Requester
from .topology import EXCHANGE_TYPES, Exchange, Queue

_BINDINGS = "0.3.0"
"""The version of AsyncAPI's bindings for AMQP 0-9-1."""


class BusContract:
    """Describes what a bus has been told to do.

    Args:
        name: of the bus.
        addresses: of its brokers.
        codec: for all that has none of its own.
    """

    def __init__(
        self, name: str, addresses: Sequence[BrokerAddress], codec: Codec | Codecs
    ) -> None:
        self._codec = codec
        self._vhost = addresses[0].virtual_host
        self._servers = [
            Server(
                protocol=address.scheme,
                host=address.place,
                pathname=f"/{quote(address.virtual_host, safe='')}",
                name=name if len(addresses) == 1 else f"{name} {number}",
            )
            for number, address in enumerate(addresses, 1)
        ]

    def subscription(self, declared: SubscriptionDeclaration) -> Iterator[Operation]:
        """What a subscription receives: an operation for each pattern."""
        codec = declared.codec or self._codec
        queue = declared.queue
        functions = received_by(declared.handler)
        facts: dict[str, Any] = {"queue": _queue(queue)}
        if declared.bind_arguments:
            facts["bind-arguments"] = dict(declared.bind_arguments)
        for pattern in declared.patterns:
            channel = self._channel(declared.exchange, pattern or None, codec)
            yield Operation(
                action="receive",
                name=f"receive {queue.name} {pattern}" if queue else f"receive {channel.name}",
                channel=channel,
                messages=shapes_of(codec, _keys(functions)),
                description=_described(functions),
                bindings=_amqp(ack=True),
                facts=facts,
            )

    def publisher(self, publisher: Publisher[Any]) -> Iterator[Operation]:
        """What a publisher sends: an operation for each routing key that is known."""
        said = note_of(publisher)
        for key in said.keys or (None,):
            channel = self._channel(publisher.exchange, key, publisher.codec)
            yield Operation(
                action="send",
                name=f"send {channel.name}",
                channel=channel,
                messages=shapes_of(publisher.codec, said.sends),
                title=said.title,
                description=said.description,
                bindings=_amqp(deliveryMode=2 if publisher.persistent else 1),
            )

    def service(self, declared: ResponderDeclaration) -> Iterator[Operation]:
        """What a responder answers: an operation for each function that does."""
        codecs = declared.codec or codecs_of(self._codec)
        codec = codecs[0]
        functions = received_by(declared.handler)
        known = _keys(functions)
        taken = {shape.name for shape in shapes_of(codec, known)}
        for function in functions:
            requests = shapes_of(codec, function.keys)
            if function.replies is not None:
                answers = shapes_of(codec, function.replies) if function.replies else []
            else:
                everything = shapes_of(codec)
                answers = [each for each in everything if each.name not in taken] or everything
            named = f" {requests[0].name}" if len(functions) > 1 else ""
            yield Operation(
                action="receive",
                name=f"serve {declared.service}{named}",
                channel=self._requests(declared.service, codecs, declared.description),
                messages=requests,
                reply=self._reply(declared.service, codec, answers, streamed=function.streamed),
                description=function.description,
                facts={
                    "service": declared.service,
                    **({"service-version": declared.version} if declared.version else {}),
                    "queue": {"name": protocol.request_queue(declared.service)},
                },
            )

    def requester(self, requester: Requester[Any, Any]) -> Iterator[Operation]:
        """What a requester asks."""
        said = note_of(requester)
        codec = requester.codec
        yield Operation(
            action="send",
            name=f"request {requester.service}",
            channel=self._requests(requester.service, codecs_of(codec), ""),
            messages=shapes_of(codec, said.sends),
            reply=self._reply(requester.service, codec, shapes_of(codec, said.receives)),
            title=said.title,
            description=said.description,
            facts={"service": requester.service},
        )

    def _requests(self, service: str, codecs: Sequence[Codec], description: str) -> Channel:
        channel = self._channel(protocol.REQUESTS, service, codecs[0])
        return Channel(
            name=f"{service} requests",
            address=channel.address,
            servers=channel.servers,
            description=description,
            bindings=channel.bindings,
            facts={**channel.facts, **facts_of(codecs)},
        )

    def _reply(
        self,
        service: str,
        codec: Codec | Codecs,
        messages: Sequence[MessageShape],
        *,
        streamed: bool = False,
    ) -> Reply:
        # Each caller has its own place for replies, which the request names.
        channel = Channel(name=f"{service} replies", servers=self._servers, facts=_facts(codec))
        return Reply(channel=channel, messages=messages, streamed=streamed)

    def _channel(self, exchange: Exchange, key: str | None, codec: Codec | Codecs) -> Channel:
        told: dict[str, Any] = {
            "name": exchange.name,
            "durable": exchange.durable,
            "autoDelete": exchange.auto_delete,
            "vhost": self._vhost,
        }
        facts = _facts(codec)
        if exchange.name == "":
            told["type"] = "default"
        elif exchange.type in EXCHANGE_TYPES:
            told["type"] = exchange.type
        else:
            # Of a plugin, which the bindings of AsyncAPI know nothing of.
            facts["exchange-type"] = exchange.type
        name = exchange.name or "default"
        return Channel(
            name=name if key is None else f"{name}.{key}",
            address=key,
            servers=self._servers,
            bindings=_amqp(**{"is": "routingKey"}, exchange=told),
            facts=facts,
        )


def operations_of(
    contract: BusContract,
    declarations: Iterable[SubscriptionDeclaration | ResponderDeclaration],
    senders: Iterable[Publisher[Any] | Requester[Any, Any]],
) -> Iterator[Operation]:
    """What a bus has been told to do, in the order of that; first what it receives."""
    for declared in declarations:
        if isinstance(declared, SubscriptionDeclaration):
            yield from contract.subscription(declared)
        else:
            yield from contract.service(declared)
    seen: list[Operation] = []
    for sender in senders:
        if isinstance(sender, Publisher):
            told = contract.publisher(sender)
        else:
            told = contract.requester(sender)
        for operation in told:
            # Several publishers of one kind are one operation.
            if operation not in seen:
                seen.append(operation)
                yield operation


def _amqp(**fields: Any) -> dict[str, Any]:
    return {"amqp": {**fields, "bindingVersion": _BINDINGS}}


def _facts(codec: Codec | Codecs) -> dict[str, Any]:
    types = codec.types
    told = "channel"
    if types is not None:
        told = "tag" if types.tag is not None else "name"
    return {**facts_of(codec), "identified-by": told}


def _queue(queue: Queue | Partitioned | None) -> dict[str, Any] | None:
    """What others may know of a queue; None for a private one."""
    if queue is None:
        return None
    if isinstance(queue, Partitioned):
        return {"name": queue.name, "partitions": queue.partitions}
    return {"name": queue.name, "type": queue.type}


def _keys(functions: Sequence[Received]) -> list[Key] | None:
    keys: list[Key] = []
    for each in functions:
        if each.keys is None:
            return None
        keys.extend(each.keys)
    return keys


def _described(functions: Sequence[Received]) -> str:
    return "\n\n".join(each.description for each in functions if each.description)
