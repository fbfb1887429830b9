"""docs/runner/metrics.md has every metric, and no other."""

from tests.project.metric_table import PAGE, ROWS, families, rows


async def test_the_table_has_what_components_give() -> None:
    found = [family for family in await families() if family.subsystem]
    (written,) = ROWS.findall(PAGE.read_text())
    assert written.splitlines(keepends=True) == list(rows(found))


async def test_every_metric_says_what_it_is() -> None:
    for family in await families():
        assert family.help.endswith("."), family.name
