"""Each format has a page, which names what it has to."""

import re
from pathlib import Path

import pytest

from gestalt.codecs.registry import SERIALIZERS, SerializerEntry

DOCS = Path(__file__).parents[2] / "docs" / "codecs"
PAGES = sorted(DOCS.glob("*.md"))


def test_each_format_has_a_page_that_the_index_links_to() -> None:
    index = (DOCS / "index.md").read_text()
    linked = re.findall(r"\]\(([a-z]+\.md)\)", index)
    assert {f"{entry.name}.md" for entry in SERIALIZERS} <= set(linked)
    assert {page.name for page in PAGES} == {*linked, "index.md"}


@pytest.mark.parametrize("entry", SERIALIZERS, ids=lambda entry: entry.name)
def test_each_page_names_every_mime_type(entry: SerializerEntry) -> None:
    text = (DOCS / f"{entry.name}.md").read_text()
    for content_type in entry.content_types:
        assert f"`{content_type}`" in text
