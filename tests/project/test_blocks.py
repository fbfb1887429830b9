"""Every block of code on every page runs, or says why it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.missing import without
from tests.support.pages.commands import WrongCommand, check, commands_of
from tests.support.pages.data import CHECKS, SEEN
from tests.support.pages.markdown import PAGES, ROOT, Block, PageError, blocks_of, name_of
from tests.support.pages.running import missing_for, sides_of
from tests.support.pages.server import Asked, PageServer

# A busy machine is no failure: pages that start processes wait for what those print.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def has_something_to_run(page: Path) -> bool:
    try:
        blocks = blocks_of(page)
    except PageError:
        return True  # it is told when the page is run
    if any(block.marker == "run by" for block in blocks):
        return False
    return any(block.language == "python" or block.marker in ("run", "start") for block in blocks)


RUNS = [
    pytest.param(page, side, id=f"{name_of(page)}{side and '-'}{side}")
    for page in PAGES
    if has_something_to_run(page)
    for side in sides_of(page)
]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[PageServer]:
    wanted: list[Asked] = [
        (item.callspec.params["page"], item.callspec.params["side"])  # type: ignore[misc]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_the_programs_of_a_page_run
    ]
    with PageServer([each for each in wanted if not missing_for(*each)]) as server:
        yield server


@pytest.mark.parametrize(("page", "side"), RUNS)
def test_the_programs_of_a_page_run(
    request: pytest.FixtureRequest, server: PageServer, page: Path, side: str
) -> None:
    if missing := missing_for(page, side):
        without(request.config, f"{', '.join(missing)}, which {name_of(page)} compares")
    if wrong := server.result(page, side):
        pytest.fail(wrong, pytrace=False)


pages = pytest.mark.parametrize("page", PAGES, ids=name_of)


@pages
def test_the_commands_of_a_page_can_be_typed(page: Path) -> None:
    for block in blocks_of(page):
        for command in commands_of(block):
            check(command)


@pages
def test_the_data_of_a_page_can_be_read(page: Path) -> None:
    for block in blocks_of(page):
        if block.language in CHECKS:
            CHECKS[block.language](block.text)
        else:
            assert block.language in SEEN, block.language


@pytest.mark.parametrize(
    "command",
    [
        "gestalt run app:bus --worker 2",
        "gestalt run app:bus --log-format yaml",
        "gestalt start app:bus",
        "gestalt top --port 3",
        "python -m gestalt.amq parked show",
        "python -m gestalt.amq.embedded.control list_tables",
        "python -m gestalt.broker",
        "pip install gestalt-web",
        "pip install 'gestalt-runner[tops]'",
    ],
)
def test_a_command_that_cannot_be_typed_is_found(command: str) -> None:
    [words] = commands_of(Block("sh", command, 1))
    with pytest.raises(WrongCommand):
        check(words)


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
