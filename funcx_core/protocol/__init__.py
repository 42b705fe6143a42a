"""The shared language: what is said on every hop, as frozen structs in one tagged union per direction.

`task` holds what all hops share; then one module per hop: `client`, `handoff`, `endpoint`, `manager`, `worker`.
No sockets, clocks or files here.
"""
