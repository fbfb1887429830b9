"""Typed, bounded and fast serialization and compression of messages."""
