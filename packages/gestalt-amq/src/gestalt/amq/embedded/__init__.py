"""An AMQP 0-9-1 broker on loopback, for development, tests and demos; never for production."""
