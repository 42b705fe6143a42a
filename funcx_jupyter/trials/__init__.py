"""Cells that are tried: run here as they would run there, or at both ends and compared."""
