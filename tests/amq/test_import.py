import subprocess
import sys


def test_importing_does_not_import_the_client_library() -> None:
    code = (
        "import sys, gestalt.amq\n"
        "print([name for name in ('aiormq', 'aio_pika', 'pamqp', 'yarl', 'opentelemetry',"
        " 'gestalt.amq.embedded') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
