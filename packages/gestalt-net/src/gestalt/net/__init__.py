"""TCP, TLS, unix and UDP endpoints that exchange typed messages."""
