"""What `run` and the `gestalt` command share without sharing anything else."""

# Kubernetes gives 30 s from SIGTERM to SIGKILL: this, and the grace after it, stay below.
SHUTDOWN_TIMEOUT = 25.0

BEYOND = 3.5
"""How long an application may take beyond its deadline, in seconds: up to 3. Then it hangs."""
