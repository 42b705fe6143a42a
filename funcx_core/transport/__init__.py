"""Sockets, and nothing that knows what is said on them: `zmq` between the long-running processes, `retry` for waiting."""
