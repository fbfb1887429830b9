"""Runs peers' own test suites against the embedded broker and RabbitMQ; none of them is here."""
