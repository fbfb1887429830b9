"""The vocabulary of Gestalt: components, timers, backoff, messages and handlers for asyncio."""
