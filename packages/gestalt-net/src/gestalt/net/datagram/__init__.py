"""Datagrams: one message each, over UDP."""
