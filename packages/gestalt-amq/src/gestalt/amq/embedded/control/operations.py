"""What can be asked of a broker: the controls that a test has, by the names of rabbitmqctl."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from gestalt.amq.embedded.server import Controls

Row: TypeAlias = dict[str, Any]
Result: TypeAlias = list[Row] | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation.

    Attributes:
        name: its name; `--name` where it is optional.
        help: what it is.
        default: its value where it is not given; None for one that has to be.
        type: `str`, `int` or `dict`, which is given as JSON.
    """

    name: str
    help: str
    default: str | int | None = None
    type: type = str
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What can be asked of a broker.

    Attributes:
        name: its name.
        help: what it does.
        act: does it; it takes the controls, and the parameters by name.
        parameters: its parameters.
    """

    name: str
    help: str
    act: Callable[..., Result]
    parameters: Sequence[Parameter] = ()


def perform(controls: Controls, request: object) -> Result:
    """Do what is asked.

    Args:
        controls: the broker's.
        request: as it came from outside: an operation's name as `operation`, and its parameters
            by name as `options`.

    Returns:
        The rows of a table, or a sentence.

    Raises:
        ValueError: there is no such operation, a parameter is not right, or the broker refuses.
        AmqpError: the broker refuses.
    """
    name, given = None, {}
    if isinstance(request, dict):
        name, given = request.get("operation"), request.get("options", {})
    operation = OPERATIONS.get(name) if isinstance(name, str) else None
    if operation is None or not isinstance(given, dict):
        raise ValueError("a request has an operation that there is, and options by name")
    known = {parameter.name: parameter for parameter in operation.parameters}
    if strange := sorted(given.keys() - known.keys()):
        raise ValueError(f"{operation.name} has no parameter {strange[0]!r}")
    values = {}
    for parameter in operation.parameters:
        value = given.get(parameter.name, parameter.default)
        if not isinstance(value, parameter.type) or isinstance(value, bool):
            raise ValueError(  # noqa: TRY004 - it is the client's error, not the caller's
                f"{operation.name} needs the parameter {parameter.name!r}, of the type"
                f" {parameter.type.__name__}"
            )
        values[parameter.name] = value
    return operation.act(controls, **values)


# Tables


def _list_queues(controls: Controls, vhost: str) -> list[Row]:
    return [
        {
            "name": info.name,
            "type": info.type,
            "messages_ready": info.ready,
            "messages_unacknowledged": info.unacked,
            "consumers": info.consumers,
            "durable": info.durable,
            "auto_delete": info.auto_delete,
            "exclusive": info.exclusive,
            "policy": info.policy,
            "operator_policy": info.operator_policy,
            "arguments": info.arguments,
        }
        for info in controls.queues(vhost)
    ]


def _list_exchanges(controls: Controls, vhost: str) -> list[Row]:
    return [{"name": name, "type": kind} for name, kind in controls.exchanges(vhost).items()]


def _list_bindings(controls: Controls, vhost: str) -> list[Row]:
    return [
        {
            "source_name": info.source,
            "destination_name": info.destination,
            "destination_kind": info.destination_kind,
            "routing_key": info.routing_key,
            "arguments": info.arguments,
        }
        for info in controls.bindings(vhost)
    ]


def _list_connections(controls: Controls) -> list[Row]:
    return [
        {
            "name": info.name,
            "user_provided_name": info.client_name,
            "user": info.user,
            "vhost": info.virtual_host,
            "state": info.state,
            "channels": info.channels,
        }
        for info in controls.connections()
    ]


def _list_consumers(controls: Controls, vhost: str) -> list[Row]:
    return [
        {
            "queue_name": info.queue,
            "consumer_tag": info.tag,
            "connection": info.connection,
            "channel": info.channel,
            "ack_required": info.ack_required,
            "exclusive": info.exclusive,
            "prefetch_count": info.prefetch,
            "priority": info.priority,
            "messages_unacknowledged": info.unacked,
            "active": info.active,
        }
        for info in controls.consumers(vhost)
    ]


def _list_policies(controls: Controls, vhost: str, *, operator: bool) -> list[Row]:
    return [
        {
            "vhost": policy.virtual_host,
            "name": policy.name,
            "pattern": policy.pattern,
            "apply-to": policy.apply_to,
            "definition": dict(policy.definition),
            "priority": policy.priority,
        }
        for policy in controls.policies(vhost, operator=operator)
    ]


def _status(controls: Controls) -> list[Row]:
    return [
        {
            "connections": controls.connection_count(),
            "queues": controls.control(
                lambda hub: sum(len(host.queues) for host in hub.model.virtual_hosts.values())
            ),
            "message_memory": controls.memory(),
            "memory_limit": controls.control(lambda hub: hub.settings.memory_limit),
            "publishers_blocked": controls.control(lambda hub: hub.block_reason),
            "like_rabbitmq": controls.control(lambda hub: hub.model.semantics.version),
        }
    ]


# Actions


def _set_policy(
    controls: Controls,
    vhost: str,
    name: str,
    pattern: str,
    definition: Mapping[str, Any],
    apply_to: str,
    priority: int,
    *,
    operator: bool,
) -> str:
    controls.set_policy(
        name,
        pattern,
        definition,
        apply_to=apply_to,
        priority=priority,
        virtual_host=vhost,
        operator=operator,
    )
    return f"set the policy {name!r}"


def _clear_policy(controls: Controls, vhost: str, name: str, *, operator: bool) -> str:
    if not controls.clear_policy(name, vhost, operator=operator):
        kind = "operator policy" if operator else "policy"
        raise ValueError(f"there is no {kind} {name!r} in the virtual host {vhost!r}")
    return f"cleared the policy {name!r}"


def _delete_queue(controls: Controls, vhost: str, name: str) -> str:
    count = controls.delete_queue(name, vhost)
    return f"deleted the queue {name!r} and {_counted(count, 'message')}"


def _purge_queue(controls: Controls, vhost: str, name: str) -> str:
    count = controls.purge_queue(name, vhost)
    return f"dropped {_counted(count, 'message')} of the queue {name!r}"


def _counted(count: int, thing: str) -> str:
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"


def _close_connection(controls: Controls, name: str, reason: str) -> str:
    if not controls.close_connection(name, reason):
        raise ValueError(f"there is no connection {name!r}; list_connections names them")
    return f"closed the connection {name!r}"


def _close_all(controls: Controls, reason: str) -> str:
    return f"closed {_counted(controls.close_connections(reason=reason), 'connection')}"


def _close_of_user(controls: Controls, user: str, reason: str) -> str:
    return f"closed {_counted(controls.close_connections(user, reason), 'connection')}"


def _drop_connections(controls: Controls) -> str:
    return f"cut {_counted(controls.drop_connections(), 'connection')}"


def _stop_app(controls: Controls) -> str:
    controls.refuse_connections()
    closed = _counted(controls.close_connections(), "connection")
    return f"closed {closed}, and refusing new ones"


def _start_app(controls: Controls) -> str:
    controls.accept_connections()
    return "accepting connections"


def _block(controls: Controls, reason: str) -> str:
    controls.block_publishers(reason)
    return "blocking publishers"


def _unblock(controls: Controls) -> str:
    controls.unblock_publishers()
    return "blocking publishers no more, unless memory is low"


def _freeze(controls: Controls) -> str:
    controls.freeze()
    return "frozen"


def _unfreeze(controls: Controls) -> str:
    controls.unfreeze()
    return "frozen no more"


def _reject(controls: Controls) -> str:
    controls.reject_publishes()
    return "rejecting what is published"


def _take(controls: Controls) -> str:
    controls.reject_publishes(reject=False)
    return "taking what is published"


_VHOST = Parameter("vhost", "the virtual host", "/")
_QUEUE = Parameter("name", "the name of the queue")
_NAME = Parameter("name", "the name of the policy")
_REASON = Parameter("reason", "what the clients are told")
_POLICY = (
    _VHOST,
    _NAME,
    Parameter("pattern", "a regular expression for the names of what it applies to"),
    Parameter("definition", "what it says, as JSON: '{\"max-length\": 1000}'", type=dict),
    Parameter(
        "apply_to",
        "what it applies to",
        "all",
        choices=("all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges"),
    ),
    Parameter("priority", "of those that match, the highest one applies", 0, int),
)


def _of_policies(*, operator: bool) -> tuple[Operation, ...]:
    kind, a_policy = ("operator_", "an operator policy") if operator else ("", "a policy")
    return (
        Operation(
            f"list_{kind}policies",
            f"list the {kind.replace('_', ' ')}policies",
            partial(_list_policies, operator=operator),
            [_VHOST],
        ),
        Operation(
            f"set_{kind}policy",
            f"set or replace {a_policy}",
            partial(_set_policy, operator=operator),
            _POLICY,
        ),
        Operation(
            f"clear_{kind}policy",
            f"clear {a_policy}",
            partial(_clear_policy, operator=operator),
            [_VHOST, _NAME],
        ),
    )


_ALL = (
    Operation("status", "tell how much there is", _status),
    Operation("list_queues", "list the queues", _list_queues, [_VHOST]),
    Operation("list_exchanges", "list the exchanges", _list_exchanges, [_VHOST]),
    Operation("list_bindings", "list the bindings", _list_bindings, [_VHOST]),
    Operation("list_connections", "list the connections", _list_connections),
    Operation("list_consumers", "list the consumers", _list_consumers, [_VHOST]),
    Operation("delete_queue", "delete a queue", _delete_queue, [_VHOST, _QUEUE]),
    Operation("purge_queue", "drop a queue's messages", _purge_queue, [_VHOST, _QUEUE]),
    *_of_policies(operator=False),
    *_of_policies(operator=True),
    Operation(
        "close_connection",
        "close a connection with 320 CONNECTION_FORCED",
        _close_connection,
        [Parameter("name", "its name, or the one that the client gave it"), _REASON],
    ),
    Operation("close_all_connections", "close all connections", _close_all, [_REASON]),
    Operation(
        "close_all_user_connections",
        "close all connections of a user",
        _close_of_user,
        [Parameter("user", "the name of the user"), _REASON],
    ),
    Operation(
        "drop_connections", "cut all connections, as when a network fails", _drop_connections
    ),
    Operation("stop_app", "close all connections, and refuse new ones", _stop_app),
    Operation("start_app", "end stop_app", _start_app),
    Operation(
        "block_publishers",
        "block publishers, as when memory is low",
        _block,
        [Parameter("reason", "what the clients are told", "low on memory")],
    ),
    Operation("unblock_publishers", "end block_publishers", _unblock),
    Operation("freeze", "read, answer and send nothing", _freeze),
    Operation("unfreeze", "end freeze", _unfreeze),
    Operation("reject_publishes", "drop what is published, and answer by basic.nack", _reject),
    Operation("take_publishes", "end reject_publishes", _take),
)

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}
