"""Runs the Python of a page: all blocks in order, in one namespace, as one program."""

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import io
import logging
import re
import signal
import socket
import sys
import threading
import types
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

from gestalt.amq.embedded import Settings, ThreadedBroker

from . import expected
from .markdown import Block, blocks_of
from .terminal import Terminal, appended_to

OUTPUT = "output"
"""The language of a block that shows what the one above it prints."""

AMQP = re.compile(r"amqp://(?:(\w+):(\w+)@)?([\w.-]+)(?::\d+)?(?=[/\"'?]|$)")
PORT = re.compile(
    r"((?:tcp|udp|http)://[\w.-]*|127\.0\.0\.1|0\.0\.0\.0|localhost|(?<=[\"'])):(\d{4,5})\b"
)


class Mismatch(AssertionError):
    """A block does something else than the page says."""


class Terminated(BaseException):
    """A program was ended by a signal, as it is meant to end."""


class Addresses:
    """What the addresses of a page stand for here: free ports, and an embedded broker.

    Args:
        texts: all of the page.
        with_broker: whether there is a broker; a page may start its own by a command.
    """

    def __init__(self, texts: Iterable[str], *, with_broker: bool) -> None:
        text = "\n".join(texts)
        self.broker: ThreadedBroker | None = None
        self.broker_port = _free()
        if "amqp" in text and with_broker:
            users = {"guest": "guest"}
            users |= {user: secret for user, secret, _ in AMQP.findall(text) if user}
            # One that is stopped and started again is where it was.
            self.broker = ThreadedBroker(port=self.broker_port, settings=Settings(users=users))
            self.broker.start()
        self._ports = {port: _free() for _, port in PORT.findall(text)}

    def close(self) -> None:
        """Stop the broker."""
        if self.broker is not None:
            self.broker.stop()

    def replaced(self, text: str) -> str:
        """The text, with what is used here."""
        return AMQP.sub(self._amqp, PORT.sub(self._port, text))

    def _port(self, match: re.Match[str]) -> str:
        return f"{match[1]}:{self._ports[match[2]]}"

    def _amqp(self, match: re.Match[str]) -> str:
        user, secret = match[1] or "guest", match[2] or "guest"
        # What is logged names the host.
        host = "localhost" if match[3] == "localhost" else "127.0.0.1"
        return f"amqp://{user}:{secret}@{host}:{self.broker_port}"


class PageRun:
    """One run of a page.

    Args:
        page: the page.
        side: on pages that compare libraries, the one whose blocks are run: those that begin with
            its name as a comment, and those that begin with none.
    """

    def __init__(self, page: Path, side: str = "") -> None:
        self._page = page
        self._blocks = [*_files_before(page), *blocks_of_side(page, side)]
        brings_broker = any(
            appended_to(block.text, 0) for block in self._blocks if block.marker in ("run", "start")
        )
        self._addresses = Addresses(
            (block.text + block.note for block in self._blocks), with_broker=not brings_broker
        )
        self._terminals: list[Terminal] = []
        # Classes look up the module that they were made in.
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self._names = module.__dict__
        self._names[expected.SHOW] = expected.show
        if self._addresses.broker is not None:
            self._names["amqp_broker"] = self._addresses.broker
            self._names["amqp_url"] = self._addresses.broker.url

    def run(self) -> None:
        """Run the page; raises whatever a block raises, or `Mismatch`."""
        complaints = Complaints()
        logging.getLogger().addHandler(complaints)
        with contextlib.ExitStack() as self._exits:
            self._exits.callback(self._addresses.close)
            self._runner = self._exits.enter_context(asyncio.Runner())
            for block, below in zip(self._blocks, [*self._blocks[1:], None], strict=True):
                if block.marker in ("run", "start"):
                    self._run_command(block)
                elif block.marker == "file":
                    Path(block.note).write_text(self._addresses.replaced(block.text), "utf-8")
                elif block.marker == "not run":
                    continue
                elif block.language == "python" or block.marker == "python":
                    shows = below is not None and below.language == OUTPUT
                    self._run(block, below.text if below and shows else None)
            for terminal in reversed(self._terminals):
                terminal.close()
        if complaints.lines:
            raise Mismatch("This was logged:\n" + "\n".join(complaints.lines))

    def _run(self, block: Block, below: str | None) -> None:
        text = self._addresses.replaced(block.text)
        shown = expected.shown_in(text)
        tree = self._parsed(text, block.line)
        expected.print_values(tree, {block.line - 1 + line for line in shown})
        with redirect_stdout(io.StringIO()) as printed:
            if block.marker == "meanwhile":
                self._execute(tree.body[:-1], self._runner)
                self._execute_beside(tree.body[-1:], block)
            elif block.marker == "python":
                self._execute_unseen(tree.body)
            else:
                self._execute(tree.body, self._runner)
        if below is None and shown:
            below = "\n".join(shown.values())
        if below is not None and (wrong := expected.differ(below, printed.getvalue())):
            raise Mismatch(f"{self._page}:{block.line}\n{wrong}")

    def _run_command(self, block: Block) -> None:
        command = self._addresses.replaced(block.text)
        appended = appended_to(command, self._addresses.broker_port)
        terminal = Terminal(command, Path.cwd(), appended)
        self._exits.callback(terminal.kill)
        self._terminals.append(terminal)
        if block.marker == "run":
            terminal.wait_shown()

    def _parsed(self, text: str, line: int) -> ast.Module:
        # By the file and the line, a traceback shows the page itself.
        return ast.parse("\n" * (line - 1) + text, str(self._page))

    def _compiled(self, body: list[ast.stmt]) -> CodeType:
        tree = ast.Module(body, type_ignores=[])
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code: CodeType = compile(tree, str(self._page), "exec", flags=flags)
        return code

    def _execute(self, body: list[ast.stmt], runner: asyncio.Runner) -> None:
        code = self._compiled(body)
        if code.co_flags & inspect.CO_COROUTINE:
            runner.run(eval(code, self._names))
        else:
            exec(code, self._names)

    def _execute_unseen(self, body: list[ast.stmt]) -> None:
        """Execute a comment's code, for which there is a running event loop in any case."""

        async def execute() -> None:
            code = self._compiled(body)
            running = eval(code, self._names)
            if code.co_flags & inspect.CO_COROUTINE:
                await running

        self._runner.run(execute())

    def _execute_beside(self, body: list[ast.stmt], block: Block) -> None:
        """Execute what ends by a signal, which comes when the code of its comment is done."""
        beside = self._parsed(self._addresses.replaced(block.note), block.note_line).body
        failures: list[BaseException] = []

        def act() -> None:
            try:
                with asyncio.Runner() as runner:
                    self._execute(beside, runner)
            except BaseException as error:
                failures.append(error)
            finally:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

        previous = signal.signal(signal.SIGTERM, _end)
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        try:
            self._execute(body, self._runner)
        except Terminated:
            thread.join()
        else:
            raise Mismatch(f"{self._page}:{block.line}: the program ended by itself")
        finally:
            signal.signal(signal.SIGTERM, previous)
        if failures:
            raise failures[0]


def _end(*_: Any) -> NoReturn:
    raise Terminated


class Complaints(logging.Handler):
    """What components had to say about a page."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        if not record.name.startswith(("gestalt.", "asyncio")):
            return
        self.lines.append(logging.Formatter("%(levelname)s %(name)s: %(message)s").format(record))


def _files_before(page: Path) -> list[Block]:
    """The files that earlier pages of a tutorial have left; its pages are `1-first.md` and on."""
    if not page.name[0].isdigit():
        return []
    before = sorted(each for each in page.parent.glob("[0-9]*.md") if each.name < page.name)
    return [block for each in before for block in blocks_of(each) if block.marker == "file"]


def sides_of(page: Path) -> list[str]:
    """The libraries that a page compares, or that there is one side alone."""
    if not page.name.startswith("coming-from-"):
        return [""]
    return sorted({side for block in blocks_of(page) if (side := _side(block))})


def _side(block: Block) -> str:
    match = re.match(r"# ([\w. -]+)\n", block.text)
    return match[1] if match and "python" in (block.language, block.marker) else ""


def blocks_of_side(page: Path, side: str) -> list[Block]:
    """The blocks of a page that one library runs, or all where there is one side alone."""
    return [block for block in blocks_of(page) if _is_of(block, side)]


def missing_for(page: Path, side: str) -> list[str]:
    """The modules that a side of a page needs, and that are not installed."""
    needed = {
        name
        for block in blocks_of_side(page, side)
        if block.marker == "with"
        for name in block.note.split()
    }
    return sorted(name for name in needed if importlib.util.find_spec(name) is None)


def _is_of(block: Block, side: str) -> bool:
    return not side or _side(block) in ("", side)


def _free() -> int:
    """A port that nobody uses, for streams and for datagrams."""
    while True:
        with socket.socket() as streams, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            streams.bind(("127.0.0.1", 0))
            port: int = streams.getsockname()[1]
            try:
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
