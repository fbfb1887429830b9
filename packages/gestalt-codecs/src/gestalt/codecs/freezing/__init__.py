"""What makes an application one file, and what it needs to be told. PyInstaller asks for it."""

from pathlib import Path


def hook_folders() -> list[str]:
    """Give the folder of the hooks; the entry point `pyinstaller40` names this function."""
    return [str(Path(__file__).parent)]
