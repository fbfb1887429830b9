"""`python -m gestalt.runner`: the same as the `gestalt` command."""

from .command import main

if __name__ == "__main__":  # pragma: no branch - nobody imports it
    main()
