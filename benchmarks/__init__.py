"""Gestalt measured beside its peers. README.md says how; `hatch run bench:core --help` what can be asked for."""
