import subprocess
import sys


def test_importing_the_core_imports_nothing_outside_the_standard_library() -> None:
    script = (
        "import sys, gestalt.core;"
        "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    # What editable installs and coverage put into every interpreter is not ours.
    left = {name for name in done.stdout.split() if not name.startswith(("_", "__editable__"))}
    bare = subprocess.run(
        [sys.executable, "-c", script.replace(", gestalt.core", "")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert left - set(bare.stdout.split()) == {"gestalt"}
