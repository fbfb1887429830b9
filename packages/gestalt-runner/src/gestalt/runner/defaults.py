"""What `run` and the `gestalt` command share without sharing anything else."""

# Kubernetes gives 30 s from SIGTERM to SIGKILL: this, and the grace after it, stay below.
SHUTDOWN_TIMEOUT = 25.0

GRACE = 1.0
"""After the deadline of the stop, the parts have this long, in seconds, to release what they hold;
then the finalizers have it, and at last what the event loop itself has to close."""

BLOCKED_AFTER = 1.0
"""After how many seconds an event loop that does not come round is told of."""

CHECK_TIMEOUT = 1.0
"""How long a check of an application's health may take, in seconds: as long as Kubernetes waits for
a probe."""

CLEAN_UP = 0.5
"""How long the interpreter's own clean-up may take before a death by a signal, in seconds."""

BEYOND = 4.0
"""How long an application may take beyond its deadline, in seconds: up to 3.5. Then it hangs."""
