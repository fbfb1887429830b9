"""What need not be noticed is of code that is there, and has a reason."""

from pathlib import Path

from .alike import alike

ROOT = Path(__file__).parents[2]


def test_each_change_that_need_not_be_noticed_is_of_a_line_that_is_there() -> None:
    for file, changes in alike().items():
        (path,) = ROOT.glob(f"packages/*/src/gestalt/{file}")
        lines = "\n".join(line.strip() for line in path.read_text().splitlines())
        for each in changes:
            assert f"\n{each.was}\n" in lines, (file, each.was)
            assert each.was != each.becomes
            assert each.why.endswith(".")
