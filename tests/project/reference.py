"""The pages of the reference that are made of the code: errors and settings.

./dev run python -m tests.project.reference            prints them
./dev run python -m tests.project.reference --write    and writes them to docs/reference
"""

import importlib
import inspect
import operator
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import gestalt.amq
import gestalt.core
import gestalt.net
from gestalt.amq.link.lent_channel import LentChannel
from gestalt.core import GestaltError, Outcome
from gestalt.runner.options import table

FOLDER = Path(__file__).parents[2] / "docs" / "reference"

MODULES = (
    "gestalt.core",
    "gestalt.core.census",
    "gestalt.core.describing",
    "gestalt.core.details",
    "gestalt.core.metrics",
    "gestalt.core.reloading",
    "gestalt.core.testing",
    "gestalt.codecs",
    "gestalt.net",
    "gestalt.net.testing",
    "gestalt.amq",
    "gestalt.amq.embedded",
    "gestalt.amq.testing",
    "gestalt.runner",
    "gestalt.runner.attendants",
    "gestalt.runner.exporters",
    "gestalt.runner.exporters.opentelemetry",
    "gestalt.runner.health",
    "gestalt.runner.systemd",
    "gestalt.runner.watchdog",
)
"""What users import from."""

SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):\n((?:    .*\n|\n)*)", re.MULTILINE)
ENTRY = re.compile(r"^    ([\w*]+(?:, [\w*]+)*): ((?:.*\n)(?:     .*\n)*)", re.MULTILINE)


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The names of a module, and what they name."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in sorted(vars(module).items())
        if name[0] != "_" and len(name) > 1 and _is_of(module, value)
    ]
    for name in names:
        yield name, getattr(module, name)


def _is_of(module: ModuleType, value: object) -> bool:
    """Whether a module made it, or, being a package, hands it on."""
    if hasattr(module, "__path__"):
        return not isinstance(value, ModuleType)
    return getattr(value, "__module__", "") == module.__name__


def sections(of: object) -> dict[str, str]:
    """The sections of a docstring."""
    return dict(SECTION.findall((inspect.getdoc(of) or "") + "\n"))


def entries(of: object, *names: str) -> dict[str, str]:
    """What a docstring says of each name in these sections, in one line."""
    text = sections(of)
    return {
        each: " ".join(said.split())
        for name in names
        for several, said in ENTRY.findall(text.get(name, ""))
        for each in several.split(", ")
    }


def prose(of: object) -> str:
    """A docstring without its sections and programs, in one line."""
    paragraphs = SECTION.sub("", (inspect.getdoc(of) or "") + "\n").split("\n\n")
    text = " ".join(each for each in paragraphs if not each.startswith("    "))
    return " ".join(text.split()).replace("|", "\\|")


# Errors


def errors() -> dict[str, list[type[BaseException]]]:
    """The errors of each distribution."""
    found: dict[str, list[type[BaseException]]] = {}
    for name in MODULES:
        for _, value in public(importlib.import_module(name)):
            if isinstance(value, type) and issubclass(value, GestaltError):
                found.setdefault(name, []).append(value)
    return found


def drawing(root: type[BaseException], known: Iterable[type[BaseException]]) -> Iterator[str]:
    """The tree below an error."""
    below = sorted((each for each in known if root in each.__bases__), key=lambda cls: cls.__name__)
    for each in below:
        last = each is below[-1]
        others = [base.__name__ for base in each.__bases__ if base is not root]
        yield f"{'└── ' if last else '├── '}{each.__name__}{' (' if others else ''}" + (
            f"{', '.join(others)})" if others else ""
        )
        for line in drawing(each, known):
            yield f"{'    ' if last else '│   '}{line}"


def sources() -> Iterator[tuple[str, str]]:
    """What may raise, or is given, errors: its name, and what its docstring says of them."""
    seen = set()
    modules = [importlib.import_module(name) for name in MODULES]
    shared = {value for module in modules for _, value in public(module) if inspect.isclass(value)}
    for module in modules:
        for name, value in public(module):
            if isinstance(value, type) and issubclass(value, BaseException):
                continue
            if callable(value):
                yield f"{name}()", sections(value).get("Raises", "")
            for parameter, said in entries(value, "Args").items():
                if parameter.startswith("on_"):
                    yield f"{name}({parameter}=)", said
            if not isinstance(value, type):
                continue
            for attribute, member in inspect.getmembers(value):
                if attribute[0] == "_" or not (callable(member) or isinstance(member, property)):
                    continue
                shown = f"{owner(value, attribute, shared) or name}.{attribute}"
                if shown not in seen:
                    seen.add(shown)
                    yield shown, sections(member).get("Raises", "")


def owner(cls: type, attribute: str, among: Collection[type]) -> str | None:
    """The class that has an attribute for others, by its name; None where users do not know it."""
    defining = next(each for each in cls.__mro__ if attribute in vars(each))
    return defining.__name__ if defining in among else None


def raised_by(error: type[BaseException], named: Mapping[str, list[str]]) -> str:
    """Where an error comes from: what is said of it, else of those that it is one of."""
    if issubclass(error, Outcome):
        return "handlers"
    if error.__name__ in named:
        return ", ".join(f"`{source}`" for source in named[error.__name__])
    known = [base for base in error.__bases__ if issubclass(base, GestaltError)]
    bases = [f"`{base.__name__}`" for base in known if base.__name__ in named]
    return f"as {', '.join(bases)}" if bases else ""


def errors_page() -> str:
    named: dict[str, list[str]] = {}
    for source, said in sources():
        for word in dict.fromkeys(re.findall(r"\b[A-Z]\w+\b", said)):
            named.setdefault(word, []).append(source)
    found = errors()
    lines = [
        "# Errors",
        "",
        "Every error of every distribution, with the standard exceptions that it is as well. The",
        "text of an error is for people; programs go by its class, its attributes and its cause.",
        "",
        "```text",
        "GestaltError (Exception)",
        *drawing(GestaltError, [each for several in found.values() for each in several]),
        "```",
        "",
        "What raises an error, or is given it, is what the docstrings of functions say.",
    ]
    for module, several in found.items():
        lines += ["", f"## {module}", "", "| error | means | comes from |", "|---|---|---|"]
        for each in several:
            lines.append(f"| `{each.__name__}` | {prose(each)} | {raised_by(each, named)} |")
    return "\n".join([*lines, ""])


# Settings

SETTINGS: dict[str, dict[str, str]] = {
    "Core": {
        "gestalt.core": "Component Group Supervisor Timer CronTimer Backoff Batch LimitRepeats",
    },
    "Codecs": {"gestalt.codecs": "Codec MessageTypes MessageTypes.add Avro"},
    "Sockets": {
        "gestalt.net": "StreamServer StreamClient Limits Tls DatagramEndpoint DatagramOptions "
        "Delimited LengthPrefix Mti Netstring",
    },
    "RabbitMQ": {
        "gestalt.amq": "connect Bus.publisher Bus.subscribe Bus.requester Requester.request "
        "Requester.stream Requester.gather Bus.respond Bus.channel Retry Queue Exchange Binding "
        "Partitioned Offsets",
        "gestalt.amq.embedded": "Settings ResourceLimits",
    },
    "Running": {
        "gestalt.runner": "run",
        "gestalt.runner.health": "Health",
        "gestalt.runner.watchdog": "Watchdog",
    },
}
"""What has settings, by chapter and module."""

OPTIONS = {
    "Bus.publisher": (gestalt.amq.PublisherOptions, gestalt.amq.Publisher),
    "Bus.subscribe": (gestalt.amq.SubscribeOptions, gestalt.amq.SubscriptionDeclaration),
    "Bus.requester": (gestalt.amq.RequesterOptions, gestalt.amq.Requester),
    "Bus.respond": (gestalt.amq.RespondOptions, gestalt.amq.ResponderDeclaration),
    "Bus.channel": (gestalt.amq.LentChannelOptions, LentChannel),
}
"""What takes its settings as a whole: which they are, and what has their defaults."""


SIZE = re.compile(r"size|buffer|memory|frame|definitions")


def written(name: str, value: Any) -> str:
    """A default, as people write it."""
    if value is inspect.Parameter.empty:
        return ""
    if isinstance(value, int) and value >= 1000:
        for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
            if SIZE.search(name) and value % size == 0:
                return f"{value // size} {unit}"
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if is_dataclass(value):
        return f"`{type(value).__name__}()`"
    if callable(value):
        return f"`{value.__name__}`"
    return f"`{dict(value) if isinstance(value, Mapping) else value!r}`"


def settings_of(module: ModuleType, path: str) -> Iterator[tuple[str, str, str]]:
    """The settings of a class or function: name, default and meaning."""
    found = operator.attrgetter(path)(module)
    documented, has_defaults = OPTIONS.get(path, (found, found))
    texts = entries(documented, "Args", "Attributes")
    # Where a class has a __new__, for what is made before its __init__, that takes anything.
    signed = has_defaults.__init__ if isinstance(has_defaults, type) else has_defaults
    parameters = inspect.signature(signed).parameters
    made: dict[str, Any] = {}
    if isinstance(has_defaults, type) and is_dataclass(has_defaults):
        factories = {each.name: each.default_factory for each in fields(has_defaults)}
        made = {each: make() for each, make in factories.items() if make is not MISSING}
    for name in documented.__annotations__ if path in OPTIONS else parameters:
        parameter = parameters[name]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or name == "self":
            continue
        meaning = texts.get(name) or entries(has_defaults, "Args", "Attributes").get(name, "")
        yield name, written(name, made.get(name, parameter.default)), meaning.replace("|", "\\|")


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "What can be set, with its default; there is none where it must be given. Times are in",
        "seconds, sizes in bytes.",
        "[Limits](../limits.md) has together what bounds something.",
    ]
    for chapter, modules in SETTINGS.items():
        lines += ["", f"## {chapter}"]
        for name, paths in modules.items():
            for path in paths.split():
                title = path if name.count(".") == 1 else f"{name}.{path}"
                lines += [
                    "",
                    f"### {title}",
                    "",
                    "| setting | default | what it does |",
                    "|---|---|---|",
                ]
                rows = settings_of(importlib.import_module(name), path)
                lines += [f"| `{row[0]}` | {row[1]} | {row[2]} |" for row in rows]
    lines += [
        "",
        "### gestalt run",
        "",
        "On the command line, in the environment, or in `[tool.gestalt]` of pyproject.toml:",
        "[the command](../runner/command.md#where-options-come-from).",
        "",
        "| option | variable | default | |",
        "|---|---|---|---|",
    ]
    for option in table.RUN:
        said = f"`{'`, `'.join(option.flags)}`" if option.flags else f"`{option.metavar}`"
        unset = option.default in ((), "")
        default = option.shown or (
            "" if unset else written(option.name, option.default).replace("'", "")
        )
        text = option.help.replace("|", "\\|")
        lines.append(f"| {said} | `{option.variable}` | {default} | {text} |")
    return "\n".join([*lines, ""])


# Counters

COUNTERS = {
    "Timer.stats": gestalt.core.TimerStats,
    "StreamServer.stats, StreamClient.stats": gestalt.net.StreamStats,
    "DatagramEndpoint.stats": gestalt.net.DatagramStats,
    "Subscription.stats": gestalt.amq.SubscriptionStats,
    "Responder.stats": gestalt.amq.ResponderStats,
}


def counters_page() -> str:
    lines = [
        "# Counters",
        "",
        "What a program reads of one component. They are metrics as well, without anything to do:",
        "[all metrics](../runner/metrics.md#all-of-them), with their kinds and labels.",
    ]
    for where, cls in COUNTERS.items():
        lines += ["", f"## {where}", "", prose(cls), "", "| counter | what it is |", "|---|---|"]
        said = entries(cls, "Args", "Attributes")
        for name, member in inspect.getmembers(cls):
            if isinstance(member, property) and name[0] != "_":
                text = prose(member)
                said[name] = text[0].lower() + text[1:]
        lines += [f"| `{name}` | {text} |" for name, text in said.items()]
    return "\n".join([*lines, ""])


PAGES = {"counters.md": counters_page, "errors.md": errors_page, "settings.md": settings_page}

if __name__ == "__main__":
    for file, page in PAGES.items():
        if sys.argv[1:] == ["--write"]:
            (FOLDER / file).write_text(page(), "utf-8")
        else:
            print(page())
