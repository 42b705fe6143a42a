"""The verbs of `%funcx` about where cells can run: the service, endpoints, and what is installed there."""

from __future__ import annotations

import os
from typing import Final

from funcx_core.errors import ServiceUnavailable
from funcx_core.sdk.settings import normal_address
from funcx_jupyter.display.tables import Text
from funcx_jupyter.errors import shown_in_one_line
from funcx_jupyter.local_fabric import has_service, up
from funcx_jupyter.session.endpoints import LOCAL
from funcx_jupyter.session.service_connection import NOT_SUBMITTED
from funcx_jupyter.verbs.desk import Desk
from funcx_jupyter.verbs.lists import state_of

_ADDRESS: Final = "FUNCX_SERVICE_ADDRESS"


def use(desk: Desk, name: str) -> Text:
    """Run the cells that name no endpoint there from now on."""
    chosen = desk.session.find_endpoint(name)  # It may be offline now, and online when a cell runs.
    desk.session.used = name
    return Text(f"Cells run on {chosen.name} from now on ({state_of(chosen)}).")


def start(_: Desk, name: str) -> Text:
    """Start an endpoint of this machine; `local` also starts a service if none is known. Takes some seconds."""
    if name == LOCAL and not has_service():
        up()
        return Text("The service and the endpoint local are running. `funcx down` in a terminal stops them.")
    from funcx_jupyter.widgets.local_endpoints import LocalEndpoints  # noqa: PLC0415 - the magics load faster without it

    LocalEndpoints().start(name)
    return Text(f"{name} is online.")


def stop(_: Desk, name: str) -> Text:
    """Stop an endpoint of this machine; what runs there is stopped."""
    from funcx_jupyter.widgets.local_endpoints import LocalEndpoints  # noqa: PLC0415 - see `start`

    LocalEndpoints().stop(name)
    return Text(f"{name} is stopped.")


def restart(desk: Desk, name: str) -> Text:
    """Stop an endpoint of this machine and start it again."""
    stop(desk, name)
    return start(desk, name)


def connect(desk: Desk, address: str) -> Text:
    """Use the service at this address from now on, in this kernel."""
    before = os.environ.get(_ADDRESS)
    os.environ[_ADDRESS] = normal_address(address)
    desk.session.close()
    try:
        names = ", ".join(row.name for row in desk.session.connection.endpoints() if row.is_online)
    except KeyboardInterrupt:
        _go_back(desk, before)
        raise
    except ServiceUnavailable as error:
        _go_back(desk, before)
        cause = str(error).removesuffix(NOT_SUBMITTED).rstrip()
        raise shown_in_one_line(
            ServiceUnavailable(f"{cause} This kernel uses the service that it used before.")
        ) from None
    return Text(f"Connected to {desk.session.connection.address.removesuffix('/v2')}. Online: {names or 'nothing'}.")


def _go_back(desk: Desk, address: str | None) -> None:
    os.environ.pop(_ADDRESS)
    if address is not None:
        os.environ[_ADDRESS] = address
    desk.session.close()
