"""The broker as a process: `python -m gestalt.amq.embedded`."""

import argparse
import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gestalt.core.arguments import Parser

from .control import ControlSocket, default_path, make_folder
from .model import DEFAULT_VERSION, VERSIONS, Policy, read_policies
from .server import EmbeddedBroker, Settings
from .server.settings import MIB

logger = logging.getLogger("gestalt.amq")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a broker until SIGINT or SIGTERM.

    Args:
        arguments: the command's arguments; those of the process by default.

    Returns:
        The exit status: 0 after a clean end, 1 when the broker could not start or failed, or a
        file of policies is not good, 130 when it was interrupted before it had started.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        policies = _policies(options.policies or (), options.vhost or ["/"])
    except (OSError, ValueError) as error:
        logger.error("%s", error)  # noqa: TRY400 - the file is at fault, the traceback tells nothing
        return 1
    settings = Settings(
        policies=policies,
        users=dict(options.user or [("guest", "guest")]),
        virtual_hosts=tuple(options.vhost or ["/"]),
        heartbeat=options.heartbeat,
        memory_limit=options.memory_limit * MIB,
    )
    try:
        broker = EmbeddedBroker(options.host, options.port, settings, compatible=options.compatible)
        asyncio.run(_serve(broker, options.control, controlled=not options.no_control))
    except OSError as error:
        logger.error("%s", error.strerror or error)  # noqa: TRY400 - the address is at fault, the traceback tells nothing
        return 1
    except KeyboardInterrupt:  # pragma: no cover - a signal before it serves
        return 128 + signal.SIGINT
    return 0


def _policies(paths: Sequence[str], virtual_hosts: Sequence[str]) -> list[Policy]:
    policies = [policy for path in paths for policy in read_policies(path)]
    strange = sorted({policy.virtual_host for policy in policies}.difference(virtual_hosts))
    if strange:
        raise ValueError(
            f"there are policies for virtual hosts that are not: {', '.join(strange)}; add them by"
            " --vhost"
        )
    return policies


async def _serve(broker: EmbeddedBroker, path: Path | None, *, controlled: bool) -> None:
    loop = asyncio.get_running_loop()
    async with broker:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, broker, number)
        logger.info("listening on %s; not for production", broker.url)
        async with _control(broker, path, wanted=controlled):
            await broker.wait_stopped()
    logger.info("stopped")


@asynccontextmanager
async def _control(
    broker: EmbeddedBroker, path: Path | None, *, wanted: bool
) -> AsyncIterator[None]:
    """Let the broker be controlled, if that can be; it has to where the user has named the path."""
    if not wanted or (path is None and not hasattr(socket, "AF_UNIX")):
        yield
        return
    control = ControlSocket(broker, path if path is not None else default_path(broker.port))
    try:
        if path is None:
            make_folder(control.path)
        await control.open()
    except OSError as error:
        if path is not None:
            raise
        logger.warning("it cannot be controlled from outside: %s", error)
    else:
        logger.info("controlled by %s", control.path)
    try:
        yield
    finally:
        await control.close()


def _stop(broker: EmbeddedBroker, number: signal.Signals) -> None:
    logger.info("%s: closing %d connections", number.name, broker.connection_count())
    broker.request_stop()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m gestalt.amq.embedded",
        description="An AMQP 0-9-1 broker with the semantics of RabbitMQ, for development, tests"
        " and demos. It keeps everything in memory; in production, use RabbitMQ.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port",
        type=_whole("a port", 0, 65535),
        default=5672,
        help="port, 0 for any that is free (%(default)s)",
    )
    parser.add_argument(
        "--compatible",
        choices=list(VERSIONS),
        default=DEFAULT_VERSION,
        help="the version of RabbitMQ that it is like (%(default)s)",
    )
    parser.add_argument(
        "--user",
        action="append",
        type=_login,
        metavar="NAME:PASSWORD",
        help="a user, may be repeated (guest:guest)",
    )
    parser.add_argument(
        "--vhost",
        action="append",
        type=_virtual_host,
        metavar="NAME",
        help="a virtual host, may be repeated (/)",
    )
    parser.add_argument(
        "--policies",
        action="append",
        metavar="FILE",
        help="policies, as `rabbitmqctl export_definitions` writes them in JSON; may be repeated",
    )
    parser.add_argument(
        "--heartbeat",
        type=_whole("a heartbeat", 0, 65535),
        default=60,
        metavar="SECONDS",
        help="interval that is proposed to clients, 0 for none (%(default)s)",
    )
    parser.add_argument(
        "--memory-limit",
        type=_whole("a memory limit", 1, 1 << 40),
        default=512,
        metavar="MIB",
        help="memory for messages, above which publishers are blocked (%(default)s)",
    )
    control = parser.add_mutually_exclusive_group()
    control.add_argument(
        "--control",
        type=Path,
        metavar="PATH",
        help="the control socket, if it is not to be the usual one of the port; see"
        " python -m gestalt.amq.embedded.control --help",
    )
    control.add_argument("--no-control", action="store_true", help="have no control socket")
    parser.add_argument(
        "--log-level",
        default="info",
        choices=["debug", "info", "warning", "error"],
        help="(%(default)s)",
    )
    return parser


def _whole(what: str, least: int, most: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{what} is a whole number from {least} to {most}, not {text!r}"
            )
        return number

    return check


def _virtual_host(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("a virtual host has a name, such as /")
    return text


def _login(text: str) -> tuple[str, str]:
    name, colon, password = text.partition(":")
    if not colon or not name:
        # What was given may be a password.
        raise argparse.ArgumentTypeError("a user is NAME:PASSWORD")
    return name, password
