"""Where managers reach the interchange."""

from __future__ import annotations

import socket
from typing import Final

from funcx_core.errors import ConfigError

LOOPBACK: Final = "127.0.0.1"


def address_for_managers(configured: str | None, *, is_local: bool) -> str:
    """Return the IP address on which the interchange listens.

    Args:
        configured: an address or a host name; None to find one.
        is_local: whether all managers run on this machine.

    Raises:
        ConfigError: the name stands for no address.
    """
    if configured is None:
        return LOOPBACK if is_local else _own_address()
    try:
        return socket.gethostbyname(configured)
    except OSError as error:
        raise ConfigError(
            f"address is '{configured}', and no machine is found by that name ({error}). Give it an IP address of this machine."
        ) from None


def _own_address() -> str:
    """Return the address by which other machines of this network reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # Nothing is sent: the kernel only chooses the interface.
        except OSError:
            return socket.gethostbyname(socket.gethostname())
        return str(probe.getsockname()[0])
