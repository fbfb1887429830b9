"""The page of the demo's contract is what the demo is."""

from tests.project.contract_page import PAGE, page


def test_the_page_is_what_the_command_writes() -> None:
    assert PAGE.read_text() == page()
