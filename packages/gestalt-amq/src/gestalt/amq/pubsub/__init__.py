"""Publishing with confirmation, subscriptions, and what becomes of messages that fail."""
