"""What handlers are given."""

from __future__ import annotations

import msgspec

from funcx_core.service.auth.base import Authenticator
from funcx_core.service.auth.config import AuthConfig
from funcx_core.service.auth.local import LocalTokens
from funcx_core.service.device_codes import DeviceCodes
from funcx_core.service.http_log import HttpLog
from funcx_core.service.known_answers import KnownAnswers
from funcx_core.service.login_codes import LoginCodes
from funcx_core.service.metrics import Metrics
from funcx_core.service.operations import Operations
from funcx_core.service.operations.tokens import Tokens
from funcx_core.service.outcomes import Outcomes
from funcx_core.service.overviews import Overviews
from funcx_core.service.rates import Rates


class Context(msgspec.Struct):
    """The parts of the service that handlers call. `auth`, `hosts` and `metrics_from_loopback` change when settings are read again.

    Attributes:
        operations: what can be done for a user.
        authenticator: who a token belongs to.
        token_operations: what users can do with tokens and clients.
        auth: how users may sign in.
        outcomes: news of tasks.
        answers: what has been told of tasks, and is still good.
        hosts: names that requests may call the service by.
        streams: the streams that are open.
        rates: how fast requests may come.
        http: counts and logs requests.
        overviews: what the status page shows.
        codes: one-time codes that open the status page.
        device_codes: sign-ins that wait for somebody who types a short code.
        tokens: makes tokens.
        metrics: numbers for Prometheus, if they are wanted.
        metrics_from_loopback: whether this machine reads them without a token.
    """

    operations: Operations
    authenticator: Authenticator
    token_operations: Tokens
    auth: AuthConfig
    outcomes: Outcomes
    answers: KnownAnswers
    hosts: frozenset[str]
    streams: set[object]
    rates: Rates
    http: HttpLog
    overviews: Overviews
    codes: LoginCodes
    device_codes: DeviceCodes
    tokens: LocalTokens
    metrics: Metrics | None
    metrics_from_loopback: bool
