"""What tests of several areas share, imported by its full name: `tests.support.proxy`."""
