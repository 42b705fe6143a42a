"""The HTTP and WebSocket faces: they translate, and call `operations` for everything else."""
