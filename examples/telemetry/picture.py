"""The picture of `gestalt top` in the README, made from its real screen: `hatch run picture`.

It starts the demo as one application, looks at it as anybody would, and writes what the screen
shows as SVG.
"""

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from textual.pilot import Pilot

from gestalt.runner.errors import InspectionError
from gestalt.runner.inspection.client import connect
from gestalt.runner.top.app import Top

TARGET = "examples.telemetry.application:demo"
ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "runner" / "top.svg"
SIZE = (120, 42)
SETTLED = 12.0
"""How long the demo runs before the picture is taken, in seconds."""

FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with subprocess.Popen(
        [sys.executable, "-m", "gestalt.runner", "run", TARGET],
        cwd=ROOT,
        # That its imports hold up the event loop is not what the picture is about.
        env=os.environ | {"GESTALT_LOG_LEVEL": "error"},
    ) as demo:
        try:
            picture = asyncio.run(take(demo.pid))
        finally:
            demo.terminate()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(picture)
    print(f"{path}: {len(picture) // 1024} KiB")


async def take(pid: int) -> str:
    """Look at a process for a while, and return the screen."""
    view = Top(await socket_of(pid), interval=1.0)
    async with view.run_test(size=SIZE) as pilot:
        await asyncio.sleep(SETTLED)
        await select(pilot, "StreamServer")
        return plain(view.export_screenshot(title="gestalt top"))


async def socket_of(pid: int) -> Path:
    end = time.monotonic() + 30.0
    while True:
        try:
            with connect(str(pid)) as client:
                return client.path
        except InspectionError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)


async def select(pilot: Pilot[str], name: str) -> None:
    """Go down to the component of a name."""
    from gestalt.runner.top.table_view import TableView

    view = pilot.app.query_one(TableView)
    for _ in range(view.row_count):
        if view.selected.name == name:
            break
        await pilot.press("down")
    await pilot.pause(1.5)


def plain(svg: str) -> str:
    """Without fonts from elsewhere, which nobody is to load for a picture."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;]*monospace;", f"font-family: {FONT};", svg)
    # Names of its own for each picture, which would differ each time it is made.
    return re.sub(r"terminal-\d+", "top", svg)


if __name__ == "__main__":
    main()
