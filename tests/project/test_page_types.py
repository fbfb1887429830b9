"""What of a page is a program for type checkers."""

from pathlib import Path

from tests.project.page_types import programs_of

PAGE = """\
<!-- python
hidden = 1
-->

```python
class Store:
    size: int = hidden


with open(__file__) as file:
    ...
```

```python
print(Store.size)
```

```python
@print
class Store:
    articles: list[int]
```
"""


def test_what_a_page_defines_anew_begins_another_program(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    first, second = programs_of(page)
    lines = PAGE.splitlines()
    # Errors are told where the page has them, and none of what nobody sees.
    assert first.lines == {6, 7, 8, 9, 10, 11, 15}
    assert second.lines == {19, 20, 21}
    for number, line in enumerate(first.text.splitlines(), 1):
        assert line in ("", lines[number - 1])
    assert first.text.splitlines()[14] == "print(Store.size)"
    assert second.text.count("class Store") == 1
    assert "articles" in second.text
    assert "hidden = 1" in second.text
