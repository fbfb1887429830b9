"""`hatch run demo`: this host's telemetry, sent from an agent to a collector."""

import argparse
import sys

from gestalt.runner import run

from .supervised import Supervised


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="hatch run demo",
        description="An agent samples this host and sends typed messages to a collector over TCP; "
        "each runs in a process of its own. The collector shows the last minute.",
    )
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="end after N seconds (default: when interrupted)"
    )
    parser.set_defaults(part=demo)
    parts = parser.add_subparsers(title="one part alone", metavar="PART")
    part = parts.add_parser("agent", help="sample this host")
    part.add_argument("--collector", required=True, metavar="URL", help="where to send to")
    part.add_argument("--interval", type=float, default=0.1, metavar="SECONDS")
    part.set_defaults(part=agent)
    part = parts.add_parser("collector", help="receive samples and show them")
    part.add_argument("--listen", default="tcp://127.0.0.1:9000", metavar="URL")
    part.set_defaults(part=collector)
    arguments = parser.parse_args()
    arguments.part(arguments)


def demo(arguments: argparse.Namespace) -> None:
    from .supervisor import Demo

    whole = Demo(arguments.seconds)
    # Ctrl-C is the usual end; whether it was a good one, the samples tell.
    run(whole.run, reraise_signals=False)
    sys.exit(0 if whole.complete else 1)


def agent(arguments: argparse.Namespace) -> None:
    from .agent import Agent

    part = Agent(arguments.collector, arguments.interval)
    run(Supervised(part, ready=dict, report=part.summary))


def collector(arguments: argparse.Namespace) -> None:
    from .collector import Collector
    from .table import LiveTable

    part = Collector(arguments.listen)
    table = LiveTable(part.window)
    run(Supervised(part, table, ready=lambda: {"url": part.url}, report=part.summary))


main()
