"""What this system has, of what not all of them have."""

import sys

INHERITS_PIPES = sys.platform != "win32"
"""Whether a process can be given a pipe of its parent's; else its stop is a kill."""

HAS_WORKERS = INHERITS_PIPES
"""Whether several processes can be kept running: by pipes, signals and ports that they share."""
