"""`hatch run demo`: this host's telemetry, from an agent to a collector, and on to a topic."""

import signal

# Where no application runs, Ctrl-C ends the process as it ends any other.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import sys
from collections.abc import Callable
from typing import Any

from gestalt.core import Component
from gestalt.runner import run

from . import arguments as check
from .screen import print_lines
from .statistics import SUBJECTS
from .supervised import Person, Supervised, Supervisor


def main() -> int:
    arguments = parser().parse_args()
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # A terminal that is closed ends the demo in order; nohup keeps it alive.
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    status: int = arguments.run(arguments)
    return status


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hatch run demo",
        description="An agent samples this host and sends typed messages to a collector, "
        "which shows the last minute and publishes them on a topic; an alerter subscribes to that. "
        "Each runs in a process of its own.",
    )
    parser.add_argument(
        "--seconds",
        type=check.duration,
        metavar="N",
        help="end after N seconds (default: when interrupted)",
    )
    parser.add_argument(
        "--amqp",
        type=check.broker,
        metavar="URL",
        help="use this RabbitMQ (default: the embedded broker)",
    )
    parser.add_argument(
        "--transport",
        choices=("tcp", "udp"),
        default="tcp",
        help="how samples reach the collector; over udp what is lost is lost (default: tcp)",
    )
    parser.set_defaults(run=demo)
    parts = parser.add_subparsers(title="one part alone, or a question", metavar="PART")

    part = parts.add_parser("query", help="ask the collector of a running demo")
    part.add_argument("what", choices=SUBJECTS)
    part.add_argument(
        "--last",
        type=check.duration,
        default=30.0,
        metavar="TIME",
        help="30s by default; 60s at most",
    )
    part.add_argument(
        "--amqp",
        type=check.broker,
        metavar="URL",
        help="its broker (default: that of the demo on this host)",
    )
    part.set_defaults(run=query)

    part = parts.add_parser("agent", help="sample this host")
    part.add_argument(
        "--collector", type=check.address, required=True, metavar="URL", help="where to send to"
    )
    part.add_argument("--interval", type=check.duration, default=0.1, metavar="SECONDS")
    part.set_defaults(run=agent)

    part = parts.add_parser("collector", help="receive samples and show them")
    part.add_argument("--listen", type=check.address, default="tcp://127.0.0.1:9000", metavar="URL")
    part.add_argument("--amqp", type=check.broker, metavar="URL", help="the broker to publish to")
    part.set_defaults(run=collector)

    part = parts.add_parser("alerter", help="subscribe to the topic")
    part.add_argument(
        "--amqp",
        type=check.broker,
        required=True,
        metavar="URL",
        help="the broker to subscribe at",
    )
    part.set_defaults(run=alerter)

    part = parts.add_parser("broker", help="the embedded broker")
    part.add_argument("--port", type=check.port, default=0, help="0 for any that is free")
    part.set_defaults(run=broker)

    for name in ("agent", "collector", "alerter", "broker"):
        parts.choices[name].add_argument("--supervisor", type=int, help=argparse.SUPPRESS)
    return parser


def demo(arguments: argparse.Namespace) -> int:
    from .supervisor import SHUTDOWN_TIMEOUT, Demo

    whole = Demo(arguments.seconds, arguments.amqp, arguments.transport)
    # Ctrl-C is the usual end; whether it was a good one, the samples tell.
    run(whole.run, reraise_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT)
    return 0 if whole.summarize() else 1


def query(arguments: argparse.Namespace) -> int:
    from .query import Question

    question = Question(arguments.what, arguments.last, arguments.amqp)
    run(question.ask)
    return print_lines(question.answer)


def agent(arguments: argparse.Namespace) -> int:
    from .agent import Agent
    from .datagram_agent import DatagramAgent

    over_udp = arguments.collector.startswith("udp:")
    part = (DatagramAgent if over_udp else Agent)(arguments.collector, arguments.interval)
    return serve(arguments, "agent", part, report=part.summary)


def collector(arguments: argparse.Namespace) -> int:
    from .collector import Collector
    from .rendezvous import Announced
    from .table import rows

    part = Collector(arguments.listen, arguments.amqp)
    announced = [Announced(arguments.amqp)] if arguments.amqp else []
    return serve(
        arguments,
        "collector",
        part,
        *announced,
        ready=lambda: {"url": part.url},
        report=part.summary,
        rows=lambda: rows(part.window),
    )


def alerter(arguments: argparse.Namespace) -> int:
    from .alerter import Alerter

    part = Alerter(arguments.amqp)
    return serve(arguments, "alerter", part.bus, report=part.summary)


def broker(arguments: argparse.Namespace) -> int:
    from gestalt.amq.embedded import EmbeddedBroker

    part = EmbeddedBroker(port=arguments.port)
    return serve(arguments, "broker", part, ready=lambda: {"url": part.url, "port": part.port})


def serve(
    arguments: argparse.Namespace, name: str, *parts: Component, **told: Callable[[], Any]
) -> int:
    """Run parts until they are interrupted; say how they fare to whoever has started them."""
    descriptor = arguments.supervisor
    listener = Person(name) if descriptor is None else Supervisor(descriptor)
    run(Supervised(name, *parts, listener=listener, **told), reraise_signals=False)
    return 0


sys.exit(main())
