"""The narrow interface to a broker, the client library below it, and what keeps a connection up."""
