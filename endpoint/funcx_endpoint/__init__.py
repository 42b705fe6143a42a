"""The endpoint: agent, interchange, blocks, managers and workers on the machine where functions run."""
