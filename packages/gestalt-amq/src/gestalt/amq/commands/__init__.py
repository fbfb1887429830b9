"""What `python -m gestalt.amq` does, a file for each subject."""
