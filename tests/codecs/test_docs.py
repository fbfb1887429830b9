"""The examples of the documentation run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gestalt.codecs.registry import SERIALIZERS, SerializerEntry

DOCS = Path(__file__).parents[2] / "docs" / "codecs"
PAGES = sorted(DOCS.glob("*.md"))
LIBRARIES = {"index": "msgpack", "msgpack": "msgpack", "yaml": "yaml", "compressors": "brotli"}
LIBRARIES |= {"avro": "fastavro", "protobuf": "google.protobuf"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_run(page: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    if page.stem in LIBRARIES:
        pytest.importorskip(LIBRARIES[page.stem])
    if page.stem == "index":
        # What the comments say is checked here; cbor2 is looked up only when it is called.
        blocks.append("""
assert encoded[1:4] == ("application/msgpack", None, 1)
assert codec.decode(encoded.body, type_id=encoded.type_id) == Position(lat=-34.9, lon=138.6)
assert Cbor.content_types == ("application/cbor",)
""")
    script = tmp_path / "example.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, "-W", "error", str(script)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


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
