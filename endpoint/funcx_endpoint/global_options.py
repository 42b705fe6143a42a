"""``~/.funcx/config.py``: what all endpoints of a user share, as early versions had it.

::

    from parsl.addresses import address_by_hostname

    global_options = {
        "broker_address": "127.0.0.1",
        "broker_port": 50005,
        "broker_test": True,
        "endpoint_address": address_by_hostname(),
    }

An endpoint's own file counts more.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any, Final

from funcx_core.errors import ConfigError
from funcx_endpoint.config import Config
from funcx_endpoint.settings import given_settings, refuse_unknown

NAMES: Final = (
    "username",
    "email",
    "broker_address",
    "broker_port",
    "broker_test",
    "endpoint_address",
    "funcx_service_address",
    "redis_host",
)

TEMPLATE: Final = '''\
"""What all endpoints of this user share. An endpoint's own file counts more.

`endpoint_address` is where nodes reach this machine, `funcx_service_address` the service; `broker_address`, `broker_port`
and `broker_test` lead to a `forwarder-service`; `username` and `email` are shown to whom the endpoints are shown.
"""

global_options = {}
'''

_EXAMPLE: Final = "USER@USERDOMAIN.COM"
"""What documents of early versions left to be filled in."""

_log = logging.getLogger(__name__)


def apply(config: Config, path: Path) -> Config:
    """Return `config` with what it leaves open taken from the file at `path`, if there is one.

    Raises:
        ConfigError: something is wrong with the file.
    """
    if not path.is_file():
        return config
    from funcx_endpoint.config_file import run_python  # noqa: PLC0415 - which calls this module

    options = run_python(path).get("global_options")
    if not isinstance(options, dict):
        raise ConfigError(f"{path} must set `global_options = {{...}}`.")
    try:
        refuse_unknown("global_options", options, list(NAMES))
        return _completed(config, options)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _completed(config: Config, options: dict[str, Any]) -> Config:
    if "redis_host" in options:
        _log.warning("global_options: redis_host has no effect in this version")
    port = options.get("broker_port")
    if port is not None and (isinstance(port, bool) or not isinstance(port, int)):
        raise ConfigError(f"broker_port is {port!r}; a whole number is needed.")
    if port is not None and "broker_address" not in options:
        raise ConfigError("broker_port needs broker_address, such as '127.0.0.1'.")
    changes: dict[str, Any] = {
        name: options[name]
        for name in ("broker_test", "funcx_service_address")
        if name in options and name not in given_settings(config)
    }
    if "broker_address" in options and "broker_address" not in given_settings(config):
        changes["broker_address"] = _broker(options)
    owner = {name: options[name] for name in ("username", "email") if options.get(name, _EXAMPLE) != _EXAMPLE}
    if owner:
        changes["meta"] = {**owner, **config.meta}
    executor = config.executor
    if "endpoint_address" in options and "address" not in given_settings(executor):
        changes["executors"] = [dataclasses.replace(executor, address=options["endpoint_address"])]
    return dataclasses.replace(config, **changes) if changes else config


def _broker(options: dict[str, Any]) -> str:
    """Return where the `forwarder-service` is; early versions had its port apart."""
    address, port = str(options["broker_address"]), options.get("broker_port")
    url = address if "//" in address else f"http://{address}"
    has_port = ":" in url.partition("//")[2]
    return url if has_port or port is None else f"{url}:{port}"
