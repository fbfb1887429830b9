"""Fuzzes what reads bytes of strangers, guided by coverage, until it finds a fault or time is up.

    ./dev run fuzz:run                         everything, 10 s each
    ./dev run fuzz:run json mti --seconds 600  these, 10 minutes each
    ./dev run fuzz:run json --corpus FOLDER    keeps inputs that were worth keeping there

What it finds is printed with its traceback, and the input is left in a file of the working folder.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["gestalt", "yaml"]):
    from .targets import NAMES, target


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="fuzz:run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", help=f"one or more of {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=int, default=10, help="for each (default: %(default)s)")
    parser.add_argument("--corpus", help="a folder of inputs to begin with, and to add to")
    options = parser.parse_args()
    if unknown := set(options.name) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    names = options.name or NAMES
    if len(names) == 1:
        return _fuzz(target(names[0]), options.seconds, options.corpus)
    # libFuzzer ends the process that it runs in.
    failed = []
    for name in names:
        print(f"==> {name}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(options.seconds)]
        if options.corpus:
            command += ["--corpus", options.corpus]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"{len(names) - len(failed)} passed, {len(failed)} failed")
    for name in failed:
        print(f"FAILED: {name}")
    return bool(failed)


def _fuzz(one: Callable[[bytes], None], seconds: int, corpus: str | None) -> int:
    options = [sys.argv[0], f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-timeout=20"]
    atheris.Setup([*options, *([corpus] if corpus else [])], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
