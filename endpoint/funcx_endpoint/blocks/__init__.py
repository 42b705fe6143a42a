"""Blocks: allocations of a provider, each with managers in it. `state` decides how many, `process` asks for them."""
