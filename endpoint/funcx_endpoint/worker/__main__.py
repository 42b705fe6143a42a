"""``python -m funcx_endpoint.worker SETTINGS``: a worker, started by its manager."""

from funcx_endpoint.worker.process import main

main()
