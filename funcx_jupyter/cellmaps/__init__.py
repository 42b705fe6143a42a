"""Cells that run once for each element: `%%funcx --map v=iterable`."""
