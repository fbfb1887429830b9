"""`python -m gestalt.amq.embedded` runs the broker as a process."""

import sys

from .command import main

sys.exit(main())
