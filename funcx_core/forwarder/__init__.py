"""The forwarder: holds the sessions of endpoints and leases tasks to them. `state` decides, `process` acts."""
