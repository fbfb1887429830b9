"""`python -m benchmarks SUITE`, which `hatch run bench:SUITE` calls."""

import signal

from benchmarks.harness.cli import main

# However it is asked to end, it ends what it has started, and keeps what it has measured.
for number in (signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_DFL:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))

raise SystemExit(main())
