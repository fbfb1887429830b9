"""`gestalt run --workers N`: the application runs in several processes, which are kept running."""
