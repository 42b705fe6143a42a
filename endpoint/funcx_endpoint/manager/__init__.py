"""One manager per node: holds leases of the interchange and deals them to its workers. `state` decides, `process` acts."""
