"""What `run` and the `gestalt` command share without sharing anything else."""

# Kubernetes gives 30 s from SIGTERM to SIGKILL: this, and the grace after it, stay below.
SHUTDOWN_TIMEOUT = 25.0
