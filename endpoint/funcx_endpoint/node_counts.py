"""How many nodes a task may have: one sentence that interchange and manager say alike."""

from __future__ import annotations


def too_many_nodes(wanted: int, there: int) -> str | None:
    """Return why a task cannot have so many nodes where a block gives `there` of them; None if it can."""
    if wanted <= there:
        return None
    if there == 1:
        return (
            f"The task asks for {wanted} nodes, and this endpoint gives each task one (in MPI mode it would give more)."
        )
    return f"The task asks for {wanted} nodes, and a block of this endpoint has {there}."
