"""Changes one thing after another in a file, and tells which changes its tests do not notice.

    ./dev run mutation:run core/backoff.py --tests tests/core/test_backoff.py

The file is changed in a copy. The status is 1 when there were survivors, and 2 when the tests fail
without any change.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

ROOT = Path(__file__).parents[2]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mutation:run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", help="the file to change, below src/gestalt: core/backoff.py")
    parser.add_argument("--tests", nargs="+", required=True, help="what pytest is to run")
    parser.add_argument(
        "--timeout", type=float, default=20.0, help="seconds for the tests of one change (20)"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="for all of it (10)")
    return parser.parse_args()


def run(folder: Path, options: argparse.Namespace) -> int:
    """Run the session in a folder of its own, and return the status."""
    distribution = options.file.partition("/")[0]
    source = ROOT / f"packages/gestalt-{distribution}/src"
    target = folder / "src/gestalt" / options.file
    if not (source / "gestalt" / options.file).is_file():
        sys.exit(f"mutation:run: {options.file} is no file below {source}/gestalt")
    shutil.copytree(source, folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    tests = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *options.tests]
    config, session = folder / "config.toml", folder / "session.sqlite"
    config.write_text(
        f"[cosmic-ray]\nmodule-path = {json.dumps(str(target))}\ntimeout = {options.timeout}\n"
        f"test-command = {json.dumps(' '.join(tests))}\nexcluded-modules = []\n"
        '[cosmic-ray.distributor]\nname = "local"\n'
    )
    # A portion of a namespace package that comes first is the one that counts.
    path = [str(folder / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def tool(*words: object, seconds: float = options.timeout) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / str(words[0])), *map(str, words[1:])]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=seconds)
        finally:
            # Tests that a change made endless are children of it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return subprocess.CompletedProcess(command, process.returncode, output)

    if (baseline := tool("cosmic-ray", "baseline", config)).returncode:
        print(baseline.stdout)
        print("the tests fail without any change")
        return 2
    tool("cosmic-ray", "init", config, session)
    begun = monotonic()
    try:
        tool("cosmic-ray", "exec", config, session, seconds=options.minutes * 60)
    except subprocess.TimeoutExpired:
        print(f"{options.minutes:g} minutes are over: the rest was not tried")
    report = tool("cr-report", "--show-diff", "--surviving-only", session).stdout
    print(report)
    print(f"{monotonic() - begun:.0f} s")
    return int("SURVIVED" in report)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        sys.exit(run(Path(folder), arguments()))
