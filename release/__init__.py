"""What is to be published, and whether it may be: `python -m release`."""
