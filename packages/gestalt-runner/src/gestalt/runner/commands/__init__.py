"""The commands of `gestalt`: a file each, imported only when it is called.

Each has `main(arguments)`, and `OPTIONS`, the table of its options.
"""

COMMANDS = {
    "run": "run components and async functions until they end or a signal stops them",
    "top": "look into a running application",
    "stacks": "print the stacks of all tasks and threads of a running application",
    "metrics": "print what a running application counts, for Prometheus",
    "health": "tell whether a running application is alive and ready",
    "schema": "write what an application exchanges with others, or compare it with a former one",
    "completion": "print what makes a shell complete the options of these commands",
}
"""The commands, with what they do."""
