"""What an application needs at the broker: shown, compared with what is there, or declared."""

import argparse
import importlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

from gestalt.amq.applying import Topology
from gestalt.amq.bus import Bus
from gestalt.amq.connect import connect
from gestalt.amq.plan import Permissions, Plan, PlannedQueue, plan_record
from gestalt.amq.topology import Exchange
from gestalt.core import Component, Group

from . import arguments
from .text import plain


def add(subjects: Any) -> None:
    """Add the subject to the command."""
    topology = subjects.add_parser("topology", help="what an application needs at the broker")
    actions = topology.add_subparsers(dest="action", required=True)
    for name, text, run in (
        ("plan", "show all that it needs, and the permissions of its user", _plan),
        (
            "verify",
            "compare it with what is there, and exit with 1 where that differs",
            _verify,
        ),
        ("apply", "declare it, so that the application may run by connect(declare=False)", _apply),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(run=run, refuse=action.error)
        action.add_argument(
            "application",
            metavar="MODULE:BUS",
            help="its bus, a Group that holds it, or a function that returns either",
        )
        action.add_argument("--json", action="store_true", help="one JSON object")
        if name == "apply":
            action.add_argument(
                "--exact",
                action="store_true",
                help="unbind queues from what earlier versions named, and this one does not",
            )
        if name != "plan":
            action.add_argument(
                "--url", type=arguments.url, help="the broker (that of the application)"
            )


async def _plan(options: argparse.Namespace) -> list[str]:
    bus = _load(options.application, options.refuse)
    plan = bus.topology.plan()
    contradictions = plan.contradictions()
    options.status = 1 if contradictions else 0
    if options.json:
        return [json.dumps(_as_json(bus, plan), default=str)]
    told = [f"{each} is named with different properties" for each in contradictions]
    return [plain(line) for line in _as_text(bus, plan) + told]


async def _verify(options: argparse.Namespace) -> list[str]:
    bus = _load(options.application, options.refuse)
    plan = bus.topology.plan()
    drift = await _at(options, bus).verify(plan)
    options.status = 1 if drift else 0
    if options.json:
        return [json.dumps({"drift": [asdict(each) for each in drift]}, default=str)]
    lines = [str(each) for each in drift]
    if not drift:
        lines.append(f"all is as {options.application} needs it")
    bindings = plan.permanent().bindings
    if bindings:
        lines.append(f"bindings cannot be asked for by AMQP: {len(bindings)} were not compared")
    return [plain(line) for line in lines]


async def _apply(options: argparse.Namespace) -> list[str]:
    bus = _load(options.application, options.refuse)
    plan = bus.topology.plan()
    stale = [str(each) for each in await _at(options, bus).apply(plan, exact=options.exact)]
    done = plan.permanent()
    counts = {
        "exchanges": sum(each.declare and not each.predeclared for each in done.exchanges),
        "queues": sum(each.declares != "never" for each in done.queues),
        "bindings": sum(each.declare for each in done.bindings),
    }
    if options.json:
        return [json.dumps({"declared": counts, "stale": stale, "unbound": options.exact})]
    lines = [f"declared {', '.join(f'{count} {what}' for what, count in counts.items())}"]
    told = "unbound" if options.exact else "bound, and not named any more"
    return [plain(line) for line in [*lines, *(f"{told}: {each}" for each in stale)]]


def _at(options: argparse.Namespace, bus: Bus) -> Topology:
    """The topology at the broker in question."""
    if options.url is None:
        return bus.topology
    return connect(options.url, name="gestalt.amq topology", start_timeout=5.0).topology


def _load(target: str, refuse: Callable[[str], NoReturn]) -> Bus:
    """The bus that is named, or that a function of that name returns, alone or in a group.

    Args:
        target: as it was given; what it leads to is never shown, which may hold passwords.
        refuse: ends the command.
    """
    module_name, _, path = target.partition(":")
    names = path.split(".")
    if not all(name.isidentifier() for name in (*module_name.split("."), *names)):
        refuse(f"{target!r} is not of the form module:bus, as in 'app:bus' for bus in app.py")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # An import that fails inside the module is the module's error, with its traceback.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        refuse(f"{target!r}: there is no module {error.name!r} here")
    for name in names:
        if not hasattr(found, name):
            refuse(f"{target!r}: there is no {name!r}")
        found = getattr(found, name)
    if not isinstance(found, Component) and _takes_nothing(found):
        found = found()
    buses = list(_buses(found))
    if len(buses) > 1:
        called = ", ".join(repr(bus.name) for bus in buses)
        refuse(f"{target!r} holds several buses, {called}: name a function that returns one")
    if not buses:
        kind = type(found).__qualname__
        refuse(
            f"{target!r} is no Bus, no Group with one, and no plain function that returns either; "
            f"it is a {kind}"
        )
    return buses[0]


def _buses(found: object) -> Iterator[Bus]:
    if isinstance(found, Bus):
        yield found
    elif isinstance(found, Group):
        for part in found.parts:
            yield from _buses(part)


def _takes_nothing(found: Any) -> bool:
    if not callable(found) or inspect.iscoroutinefunction(found):
        return False
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return True


def _as_text(bus: Bus, plan: Plan) -> list[str]:
    lines = ["exchanges"]
    lines += [f"    {each.name}: {_exchange(each)}" for each in plan.exchanges if each.name]
    lines.append("queues")
    lines += [f"    {each.name}: {_queue(each)}" for each in plan.queues]
    if plan.private:
        lines.append("    amq.gen-...: private ones, which the broker names")
    lines.append("bindings")
    lines += [f"    {each}{_when(each.passing)}" for each in plan.bindings]
    lines += [f"    recorded in queue {plan_record(each).name!r}" for each in plan.recorded()]
    for title, permissions in _permissions(bus, plan).items():
        lines.append(title)
        lines += [f"    {what}: {pattern}" for what, pattern in asdict(permissions).items()]
    return lines


def _permissions(bus: Bus, plan: Plan) -> dict[str, Permissions]:
    return {
        "permissions of the application": (plan if bus.declares else plan.checked()).permissions(),
        "permissions to apply": plan.permanent().permissions(),
    }


def _exchange(exchange: Exchange) -> str:
    if not exchange.declare or exchange.predeclared:
        return "must exist"
    told = [exchange.type]
    told += ["durable"] if exchange.durable else []
    told += ["auto-delete"] if exchange.auto_delete else []
    return ", ".join([*told, *_arguments(exchange.arguments.items())])


def _queue(queue: PlannedQueue) -> str:
    if queue.declares == "never":
        return "must exist"
    told = ["durable"] if queue.durable else []
    told += ["auto-delete"] if queue.auto_delete else []
    told += ["where there is none"] if queue.declares == "missing" else []
    return ", ".join([*told, *_arguments(queue.arguments.items())]) + _when(queue.passing)


def _arguments(items: Sequence[tuple[str, Any]] | Any) -> list[str]:
    return [f"{name}={value!r}" for name, value in items]


def _when(passing: bool) -> str:
    return "; while instances serve" if passing else ""


def _as_json(bus: Bus, plan: Plan) -> dict[str, Any]:
    permissions = _permissions(bus, plan)
    return {
        **asdict(plan),
        "contradictions": plan.contradictions(),
        "permissions": {
            what: asdict(each)
            for what, each in zip(("application", "apply"), permissions.values(), strict=True)
        },
    }
