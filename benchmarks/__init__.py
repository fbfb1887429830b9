"""Gestalt measured beside its peers. README.md says how."""
