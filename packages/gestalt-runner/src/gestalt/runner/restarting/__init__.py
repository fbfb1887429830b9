"""`gestalt run --reload`: the application runs in a child, which is restarted when files change."""
