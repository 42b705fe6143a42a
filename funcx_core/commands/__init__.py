"""Shell commands as functions: what `ShellFunction` and `MPIFunction` are, and how a worker runs them.

Clients send these objects by reference to this package, so it is what a worker must have as well.
"""
