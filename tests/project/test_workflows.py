"""What the workflows of GitHub run is what was reviewed."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_actions_are_pinned_by_commit_and_alike_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for workflow in sorted((ROOT / ".github/workflows").glob("*.yml")):
        for used in re.findall(r"^\s*(?:- )?uses:(.*)$", workflow.read_text(), re.MULTILINE):
            found = re.fullmatch(r" ([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", used)
            assert found, f"{workflow.name}:{used}"
            pins.setdefault(found[1], set()).add(f"{found[2]} {found[3]}")
    assert len(pins) > 3
    assert {action for action, pinned in pins.items() if len(pinned) > 1} == set()
