"""The reference says what the code says."""

import importlib
import operator
import pkgutil
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


@pytest.mark.parametrize("name", ["core", "codecs", "net", "amq", "runner"])
def test_help_tells_every_name_by_subject_and_of_no_class_everything(name: str) -> None:
    module = importlib.import_module(f"gestalt.{name}")
    text = module.__doc__ or ""
    tree = importlib.import_module(f"gestalt.{name}.errors").__doc__ or ""
    told = re.findall(r"`(\w+)`", text)
    assert len(told) == len(set(told))
    for each, value in reference.public(module):
        assert each in told or (is_error(value) and re.search(rf"\b{each}\b", tree)), each
    for path in re.findall(r"\bgestalt(?:\.\w+)+", text):
        assert pkgutil.resolve_name(path), path
    for path in [*told, *re.findall(r"`([A-Z]\w+\.\w+)`", text)]:
        assert operator.attrgetter(path)(module), path
    assert len(pydoc.render_doc(module).splitlines()) < 100


def is_error(named: Any) -> bool:
    return isinstance(named, type) and issubclass(named, BaseException)


UNION_OR_TABLE = {"Around", "Call", "CODING_TAGS", "Event", "Frame", "Handler"}


@pytest.mark.parametrize("name", ["core", "codecs", "net", "amq", "runner"])
def test_every_public_name_says_what_it_is(name: str) -> None:
    for each, value in reference.public(importlib.import_module(f"gestalt.{name}")):
        assert each in UNION_OR_TABLE or value.__doc__, each


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
