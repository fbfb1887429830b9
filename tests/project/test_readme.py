"""What the README shows works when it is pasted."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
DEADLINE = 20.0


def connect(port: int) -> socket.socket:
    end = time.monotonic() + DEADLINE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def test_the_example_serves_typed_messages_and_ends_by_a_signal(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 20
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = tmp_path / "example.py"
    script.write_text(example.replace("9000", str(port)))
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    try:
        with connect(port) as sock:
            body = b'{"lat":-34.5,"lon":138.5}'
            sock.sendall(len(body).to_bytes(4, "big") + (1).to_bytes(4, "big") + body)
            answer = sock.recv(1024)
            assert answer[4:] == (1).to_bytes(4, "big") + b'{"lat":34.5,"lon":-138.5}'
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(DEADLINE) == -signal.SIGTERM
        assert process.communicate()[1] == ""
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
