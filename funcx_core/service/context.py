"""What handlers are given."""

from __future__ import annotations

import msgspec

from funcx_core.service.auth.base import Authenticator
from funcx_core.service.operations import Operations
from funcx_core.service.outcomes import Outcomes


class Context(msgspec.Struct, frozen=True):
    """The parts of the service that handlers call.

    Attributes:
        operations: what can be done for a user.
        authenticator: who a token belongs to.
        outcomes: news of tasks.
        hosts: names that requests may call the service by.
        streams: the streams that are open.
    """

    operations: Operations
    authenticator: Authenticator
    outcomes: Outcomes
    hosts: frozenset[str]
    streams: set[object]
