"""`hatch run demo`: this host's telemetry, from an agent to a collector, and on to a topic."""

import argparse
import sys

from gestalt.runner import run

from .query import ask, duration
from .statistics import SUBJECTS
from .supervised import Supervised


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="hatch run demo",
        description="An agent samples this host and sends typed messages to a collector, "
        "which shows the last minute and publishes them on a topic; an alerter subscribes to that. "
        "Each runs in a process of its own.",
    )
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="end after N seconds (default: when interrupted)"
    )
    parser.add_argument(
        "--amqp", metavar="URL", help="use this RabbitMQ (default: the embedded broker)"
    )
    parser.add_argument(
        "--transport",
        choices=("tcp", "udp"),
        default="tcp",
        help="how samples reach the collector; over udp what is lost is lost (default: tcp)",
    )
    parser.set_defaults(part=demo)
    parts = parser.add_subparsers(title="one part alone, or a question", metavar="PART")
    part = parts.add_parser("query", help="ask the collector of a running demo")
    part.add_argument("what", choices=SUBJECTS)
    part.add_argument(
        "--last", type=duration, default=30.0, metavar="TIME", help="30s by default; 60s at most"
    )
    part.add_argument(
        "--amqp", metavar="URL", help="its broker (default: that of the demo on this host)"
    )
    part.set_defaults(part=query)
    part = parts.add_parser("agent", help="sample this host")
    part.add_argument("--collector", required=True, metavar="URL", help="where to send to")
    part.add_argument("--interval", type=float, default=0.1, metavar="SECONDS")
    part.set_defaults(part=agent)
    part = parts.add_parser("collector", help="receive samples and show them")
    part.add_argument("--listen", default="tcp://127.0.0.1:9000", metavar="URL")
    part.add_argument("--amqp", metavar="URL", help="the broker to publish to")
    part.set_defaults(part=collector)
    part = parts.add_parser("alerter", help="subscribe to the topic")
    part.add_argument("--amqp", required=True, metavar="URL", help="the broker to subscribe at")
    part.set_defaults(part=alerter)
    part = parts.add_parser("broker", help="the embedded broker")
    part.add_argument("--port", type=int, default=0, help="0 for any that is free")
    part.set_defaults(part=broker)
    arguments = parser.parse_args()
    arguments.part(arguments)


def demo(arguments: argparse.Namespace) -> None:
    from .supervisor import Demo

    whole = Demo(arguments.seconds, arguments.amqp, arguments.transport)
    # Ctrl-C is the usual end; whether it was a good one, the samples tell.
    run(whole.run, reraise_signals=False)
    sys.exit(0 if whole.complete else 1)


def query(arguments: argparse.Namespace) -> None:
    run(ask(arguments.what, arguments.last, arguments.amqp))


def agent(arguments: argparse.Namespace) -> None:
    from .agent import Agent
    from .datagram_agent import DatagramAgent

    over_udp = arguments.collector.startswith("udp:")
    part = (DatagramAgent if over_udp else Agent)(arguments.collector, arguments.interval)
    run(Supervised(part, ready=dict, report=part.summary))


def collector(arguments: argparse.Namespace) -> None:
    from .collector import Collector
    from .table import LiveTable

    part = Collector(arguments.listen, arguments.amqp)
    table = LiveTable(part.window)
    run(Supervised(part, table, ready=lambda: {"url": part.url}, report=part.summary))


def alerter(arguments: argparse.Namespace) -> None:
    from .alerter import Alerter

    part = Alerter(arguments.amqp)
    run(Supervised(part, ready=dict, report=part.summary))


def broker(arguments: argparse.Namespace) -> None:
    from gestalt.amq.embedded import EmbeddedBroker

    part = EmbeddedBroker(port=arguments.port)
    run(Supervised(part, ready=lambda: {"url": part.url, "port": part.port}, report=dict))


main()
