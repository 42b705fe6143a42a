"""What a notebook cell is made of when it travels: its specification, its outcome, and code that goes by value.

Both ends use this package: the notebook front end sends a `CellSpec`, the worker answers with a `CellOutcome`.
"""
