"""PyInstaller's hook: the codecs of third parties, which only entry points name."""

# ruff: noqa: N999 - PyInstaller wants this name
from PyInstaller.utils.hooks import collect_entry_point

datas, hiddenimports = [], []
for group in ("gestalt.codecs.serializers", "gestalt.codecs.compressors"):
    found = collect_entry_point(group)
    datas += found[0]
    hiddenimports += found[1]
