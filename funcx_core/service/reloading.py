"""What of new settings a service takes while it runs, and what waits for its next start. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.service.config import ServiceConfig

_SECTIONS: Final = ("limits", "rate", "retention", "logs", "auth")
"""All of these are taken at once."""
_KEYS: Final = {"listen": ("allowed_hosts",), "metrics": ("from_loopback",)}
"""And these of other sections."""
_CERTIFICATE: Final = ("certificate", "key")
"""Files may be exchanged for others, but a service that speaks HTTP does not begin to speak HTTPS."""


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of new settings.

    Attributes:
        config: what counts from now on.
        taken: keys that were changed, such as ``limits.max_batch``.
        at_restart: keys whose new value counts from the next start on.
    """

    config: ServiceConfig
    taken: list[str]
    at_restart: list[str]


def reloaded(old: ServiceConfig, new: ServiceConfig) -> Reloaded:
    """Return what a service with the settings `old` makes of `new`."""
    config = msgspec.structs.replace(old, **{name: getattr(new, name) for name in _SECTIONS})
    for section, keys in _KEYS.items():
        config = _with(config, new, section, keys)
    if old.listen.certificate is not None and new.listen.certificate is not None:
        config = _with(config, new, "listen", _CERTIFICATE)
    if old.limits.max_blob == 0:  # The store for large values was not opened.
        config = msgspec.structs.replace(config, limits=msgspec.structs.replace(new.limits, max_blob=0))
    return Reloaded(config=config, taken=differences(old, config), at_restart=differences(config, new))


def differences(one: msgspec.Struct, other: msgspec.Struct, prefix: str = "") -> list[str]:
    """Return the keys that differ, as people write them; a section that only one of them has, as one."""
    found: list[str] = []
    for name in one.__struct_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, msgspec.Struct) and isinstance(theirs, msgspec.Struct):
            found += differences(mine, theirs, f"{prefix}{name}.")
        elif mine != theirs:
            found.append(f"{prefix}{name}")
    return found


def _with(config: ServiceConfig, new: ServiceConfig, section: str, keys: tuple[str, ...]) -> ServiceConfig:
    values: dict[str, Any] = {key: getattr(getattr(new, section), key) for key in keys}
    changed = msgspec.structs.replace(getattr(config, section), **values)
    return msgspec.structs.replace(config, **{section: changed})
