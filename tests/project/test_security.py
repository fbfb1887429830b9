"""The defaults that docs/security.md and docs/limits.md tell are those of the code."""

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import gestalt.amq
import gestalt.amq.embedded
import gestalt.codecs
import gestalt.core
import gestalt.net
import gestalt.runner
from tests.project.costs import MEASUREMENTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
LIMITS = (ROOT / "docs" / "limits.md").read_text()
ROW = re.compile(r"^\| `([\w/]+: \w+|[\w.]+)` \| ([^|]+) \|", re.MULTILINE)
ROWS = sorted({*ROW.findall(PAGE), *ROW.findall(LIMITS)})
PACKAGES = (
    gestalt.net,
    gestalt.core,
    gestalt.codecs,
    gestalt.amq,
    gestalt.amq.embedded,
    gestalt.runner,
)
# What has the defaults of a method that takes its options as a whole.
MAKES = {
    "Bus.subscribe": gestalt.amq.SubscriptionDeclaration,
    "Bus.respond": gestalt.amq.ResponderDeclaration,
    "Bus.publisher": gestalt.amq.Publisher,
    "Bus.requester": gestalt.amq.Requester,
}
UNITS = {"KiB": 1024, "MiB": 1024**2, "s": 1, "ms": 0.001}


def default(name: str) -> Any:
    """The default of a parameter, as in `Bus.publisher.timeout`, or a constant of a folder."""
    folder, _, constant = name.partition(": ")
    if constant:
        return constant_of(folder, constant)
    *path, parameter = name.split(".")
    (found,) = {getattr(package, path[0]) for package in PACKAGES if hasattr(package, path[0])}
    for part in path[1:]:
        found = getattr(found, part)
    found = MAKES.get(".".join(path), found)
    value = inspect.signature(found).parameters[parameter].default
    # A default that is made for each instance is looked at in one.
    return value if isinstance(value, int | float | None) else getattr(found(), parameter)


def constant_of(folder: str, name: str) -> Any:
    package = folder.partition("/")[0]
    source = ROOT / f"packages/gestalt-{package}/src/gestalt" / folder
    pattern = rf"^{name}(?:: Final)? = ([\d_. *]+)$"
    values = [
        eval(value)
        for file in sorted(source.rglob("*.py"))
        for value in re.findall(pattern, file.read_text(), re.MULTILINE)
    ]
    assert len(values) == 1, f"{name} is there {len(values)} times in {folder}"
    return values[0]


def number(text: str) -> float | None:
    if text == "None":
        return None
    value, _, unit = text.partition(" ")
    return float(value.replace(",", "")) * UNITS.get(unit, 1)


@pytest.mark.parametrize("page", [PAGE, LIMITS], ids=["security", "limits"])
def test_a_page_has_each_default_once(page: str) -> None:
    rows = ROW.findall(page)
    assert len(rows) > 40
    assert len(dict(rows)) == len(rows)


@pytest.mark.parametrize(("name", "told"), ROWS, ids=[name for name, _ in ROWS])
def test_a_default_is_what_the_page_says(
    name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "Limits.max_peers" and sys.platform != "win32":
        # By default it follows the process's limit of descriptors.
        monkeypatch.setattr("resource.getrlimit", lambda _: (1_000_000, 1_000_000))
    assert default(name) == number(told)


def test_every_measurement_of_the_page_can_be_made() -> None:
    named = re.findall(r"`costs\.py ([\w-]+)`", PAGE)
    assert sorted(named) == sorted(MEASUREMENTS)
