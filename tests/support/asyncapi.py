"""The JSON Schema of AsyncAPI 3.0, as those who write the specification publish it."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "@asyncapi/specs@6.11.1"
"""Licensed under Apache-2.0. It is fetched, and is no part of this repository."""
SHA256 = "01af8744dc33c0c7eb2e908f6a955319ee58b70ecadc9387d1aeb16c0cd28928"
FILE = "package/schemas/3.0.0-without-$id.json"
KEPT = Path(__file__).parents[2] / ".hatch" / "asyncapi"


class NoSchemaError(Exception):
    """The schema cannot be had here; the sentence says why."""


def official_schema() -> dict[str, Any]:
    """The schema, which is fetched once, by npm.

    Raises:
        NoSchemaError: it cannot be fetched.
    """
    archive = next(KEPT.glob("*.tgz"), None) or _fetch()
    if (found := hashlib.sha256(archive.read_bytes()).hexdigest()) != SHA256:
        raise NoSchemaError(f"{archive} is not {PACKAGE}: its SHA-256 is {found}")
    with tarfile.open(archive) as packed:
        file = packed.extractfile(FILE)
        assert file is not None
        schema: dict[str, Any] = json.load(file)
        return schema


def _fetch() -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise NoSchemaError(f"npm, which fetches {PACKAGE}, is not installed")
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        command = [npm, "pack", "--silent", PACKAGE, "--pack-destination", folder]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=50)
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(getattr(error, "stderr", None) or error).strip()
            raise NoSchemaError(f"{PACKAGE} cannot be fetched: {reason}") from error
        (fetched,) = Path(folder).glob("*.tgz")
        # Whole or not at all: others may be about to do the same.
        return fetched.replace(KEPT / fetched.name)
