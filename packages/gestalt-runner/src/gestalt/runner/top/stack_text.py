"""Stacks as text."""

import traceback
from typing import Any


def describe_stacks(stacks: dict[str, Any]) -> str:
    """All tasks and threads, with their stacks; what runs comes first."""
    application = stacks["application"]
    tasks, total = stacks["tasks"], stacks["tasks_total"]
    listed = f"{total} tasks" if total == len(tasks) else f"{len(tasks)} of {total} tasks"
    lines = [f"{application['command']} (process {application['pid']}): {listed}"]
    if holder := stacks["loop"]["holder"]:
        lines.append(f"The event loop is held by {holder}.")
    for task in tasks:
        waits = f", for {task['waits_for']}" if task["waits_for"] else ""
        lines += ["", f"Task {task['name']} ({task['state']}{waits})"]
        lines.append(describe_stack(task["stack"]))
    for thread in stacks["threads"]:
        loop = ", of the event loop" if thread["loop"] else ""
        lines += ["", f"Thread {thread['name']}{loop}"]
        lines.append(describe_stack(thread["stack"]))
    return "\n".join(lines)


def describe_stack(frames: list[dict[str, Any]]) -> str:
    """A stack as Python prints it, with lines of the files where they are at hand."""
    entries = [
        traceback.FrameSummary(each["file"], each["line"], each["function"]) for each in frames
    ]
    text = "".join(traceback.StackSummary.from_list(entries).format()).rstrip("\n")
    return text or "  (no frames: it has not begun)"
