"""``python -m funcx_endpoint.manager --settings FILE --block-id ID``: a manager, started by a block of the endpoint."""

from funcx_endpoint.manager.command import main

main()
