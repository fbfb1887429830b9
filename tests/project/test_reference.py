"""The reference says what the code says."""

import importlib
import pydoc
import re
from typing import Any

import pytest

from tests.project import reference


@pytest.mark.parametrize("page", reference.PAGES)
def test_a_page_is_what_the_code_says(page: str) -> None:
    written = (reference.FOLDER / page).read_text("utf-8")
    assert written == reference.PAGES[page](), (
        "run ./dev run python -m tests.project.reference --write"
    )


def test_it_is_known_of_every_error_where_it_comes_from() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", reference.errors_page(), re.MULTILINE)
    unknown = {name for name, means, source in rows if not source and "`" not in means}
    assert unknown == {"GestaltError", "NetError", "AmqError", "PublishError"}


@pytest.mark.parametrize("name", ["core", "codecs", "net", "amq"])
def test_help_begins_with_every_name_by_subject(name: str) -> None:
    module = importlib.import_module(f"gestalt.{name}")
    told = re.findall(r"`(\w+)`", module.__doc__ or "")
    assert len(told) == len(set(told))
    errors = {
        each for each in module.__all__ if is_error(getattr(module, each)) and each not in told
    }
    assert {*told} | errors == {*module.__all__}
    screen = pydoc.plain(pydoc.render_doc(module)).splitlines()[:45]
    assert all(any(f"`{each}`" in line for line in screen) for each in told)


def is_error(named: Any) -> bool:
    return isinstance(named, type) and issubclass(named, BaseException)


@pytest.mark.parametrize("chapter", reference.SETTINGS)
def test_every_setting_is_explained(chapter: str) -> None:
    for name, paths in reference.SETTINGS[chapter].items():
        module: Any = importlib.import_module(name)
        for path in paths.split():
            for setting, _, meaning in reference.settings_of(module, path):
                assert meaning, f"{path}: {setting}"


def test_every_module_that_users_import_from_has_a_page() -> None:
    pages = "".join(page.read_text() for page in reference.FOLDER.glob("*.rst"))
    for name in reference.MODULES:
        assert f".. automodule:: {name}\n" in pages, name
