"""How a worker process ended, as far as it can be known."""

from __future__ import annotations

from typing import Any

import msgspec

from funcx_endpoint.manager.workers.limits import Excess


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker process ended.

    Attributes:
        started: the number in its page.
        signal: which ended it.
        exitcode: with which it ended by itself.
        oom: whether the kernel killed it for lack of memory.
        stderr: the end of what it wrote there.
        excess: what it used too much of, if the manager killed it for that.
        has_hung_loading: whether it ended because a function took too long to load.
    """

    started: int
    signal: int | None = None
    exitcode: int | None = None
    oom: bool = False
    stderr: str = ""
    excess: Excess | None = None
    has_hung_loading: bool = False

    def details(self) -> dict[str, Any]:
        """Return the facts for the error of the task that was lost with it."""
        oom = self.oom or (self.excess is not None and self.excess.what == "memory")
        facts = {"signal": self.signal, "exitcode": self.exitcode, "oom": oom}
        if self.excess is not None:
            facts.update(self.excess.details())
        return {**facts, "stderr": self.stderr} if self.stderr else facts
