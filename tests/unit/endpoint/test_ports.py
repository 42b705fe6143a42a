"""Ports that a firewall lets through."""

from __future__ import annotations

from typing import Any

import pytest

from funcx_core.errors import ConfigError
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.interchange.addresses import address_for_managers
from funcx_endpoint.ports import ANY, in_range, listen_in


def busy(*ports: int) -> Any:
    def listen(port: int) -> int:
        if port in ports:
            raise ConfigError(f"Port {port} is in use.")
        return port

    return listen


def test_the_first_free_port_of_the_range_is_taken() -> None:
    assert listen_in(in_range((5, 8)), "r", busy(5, 6)) == 7


def test_the_end_of_a_range_is_not_in_it() -> None:
    with pytest.raises(ConfigError, match=r"No port of r .* Port 7 is in use. Give it more"):
        listen_in(in_range((5, 8)), "r", busy(5, 6, 7))


def test_without_a_range_the_kernel_chooses_and_its_error_stays_as_it_is() -> None:
    assert in_range(None) == ANY == (0,)
    with pytest.raises(ConfigError, match=r"^Port 0 is in use\.$"):
        listen_in(in_range(None), "r", busy(0))


@pytest.mark.parametrize("value", [(54000,), (2, 1), (0, 10), (1, 70000), "ab", 7, (1.5, 3), (True, 3)])
@pytest.mark.parametrize("name", ["worker_port_range", "interchange_port_range"])
def test_what_is_no_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        HighThroughputExecutor(**{name: value})


@pytest.mark.parametrize("value", [(), 54321, "54321", (0,), (99999,)])
def test_what_are_no_ports_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="worker_ports"):
        HighThroughputExecutor(worker_ports=value)


def test_a_host_name_is_looked_up_and_an_unknown_one_told() -> None:
    assert address_for_managers("localhost", is_local=False) == "127.0.0.1"
    assert address_for_managers("127.0.0.9", is_local=True) == "127.0.0.9"
    assert address_for_managers(None, is_local=True) == "127.0.0.1"
    with pytest.raises(ConfigError, match=r"address is 'no such\.invalid'"):
        address_for_managers("no such.invalid", is_local=False)
