"""Every block of code on every page runs, or says why it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages.markdown import PAGES, ROOT, blocks_of, name_of
from tests.support.pages.running import sides_of
from tests.support.pages.server import PageServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    with PageServer() as server:
        yield server


def has_python(page: Path) -> bool:
    blocks = blocks_of(page)
    if any(block.marker == "run by" for block in blocks):
        return False
    return any(block.language == "python" for block in blocks)


LATER = {
    name
    for name in map(name_of, PAGES)
    if name.startswith(("docs/amq/", "docs/runner/", "docs/net/index", "docs/net/udp", "packages/"))
} | {"CONTRIBUTING.md", "README.md", "benchmarks/README.md"}
"""Pages that were there before this test, and wait for what they need."""

RUNS = [
    pytest.param(page, side, id=f"{name_of(page)}{side and '-'}{side}")
    for page in PAGES
    if name_of(page) not in LATER and has_python(page)
    for side in sides_of(page)
]


@pytest.mark.parametrize(("page", "side"), RUNS)
def test_the_programs_of_a_page_run(server: PageServer, page: Path, side: str) -> None:
    if wrong := server.run(page, side):
        pytest.fail(wrong, pytrace=False)


def test_what_does_not_run_is_little_and_says_why() -> None:
    reasons = [
        f"{name_of(page)}:{block.line}: {block.note}"
        for page in PAGES
        for block in blocks_of(page)
        if block.marker == "not run"
    ]
    assert len(reasons) <= 10, reasons
    for reason in reasons:
        assert len(reason.split()) >= 4, reason


def test_what_another_test_runs_is_known_to_it() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            if block.marker == "run by":
                assert page.name in (ROOT / block.text).read_text(), block.text
