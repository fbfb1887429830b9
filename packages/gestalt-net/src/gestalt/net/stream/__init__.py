"""Streams: servers, clients and their connections, over TCP, TLS and unix sockets."""
