"""Questions to a service: `info` and `ping`."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from gestalt.amq.connect import connect

from . import arguments
from .text import plain, point_in_time


def add(subjects: Any) -> None:
    """Add the subjects to the command."""
    for name, text, run in (
        ("info", "who serves a service, and what they have done", _info),
        ("ping", "how fast a service answers", _ping),
    ):
        question = subjects.add_parser(name, help=text, description=text)
        question.set_defaults(run=run)
        question.add_argument("service", type=arguments.name, help="its name")
        arguments.add_url(question)
        question.add_argument(
            "--timeout",
            type=arguments.seconds,
            default=1.0,
            metavar="SECONDS",
            help="how long to wait for answers (%(default)s)",
        )
    subjects.choices["info"].add_argument(
        "--json", action="store_true", help="one JSON object for each instance"
    )


async def _info(options: argparse.Namespace) -> list[str]:
    lines = []
    async with connect(options.url, name="gestalt.amq info", start_timeout=5.0) as bus:
        for info in await bus.requester(options.service, timeout=options.timeout).info():
            if options.json:
                lines.append(json.dumps(asdict(info)))
                continue
            counts = ", ".join(f"{count} {what}" for what, count in asdict(info.stats).items())
            started = point_in_time(info.started)
            since = f"{started:%Y-%m-%d %H:%M:%S}Z" if started else "an unknown time"
            lines.append(
                plain(
                    f"{info.instance}  {info.service} {info.version or '(no version)'}  "
                    f"since {since}  {info.running} running, {counts}"
                )
            )
            lines.append(plain(f"    {', '.join(info.handlers)}"))
            if info.description:
                lines.append(plain(f"    {info.description}"))
    return lines


async def _ping(options: argparse.Namespace) -> list[str]:
    async with connect(options.url, name="gestalt.amq ping", start_timeout=5.0) as bus:
        seconds = await bus.requester(options.service, timeout=options.timeout).ping()
        return [f"{options.service} answered in {seconds * 1000:.1f} ms"]
