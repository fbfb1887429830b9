"""Run an asyncio application: event loop, signals, errors, graceful shutdown."""
