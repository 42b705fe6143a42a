"""Prints the table of published clients after their tests."""

from __future__ import annotations

import pytest

from tests.conformance.table import TABLE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = TABLE.markdown()
    if lines:
        terminalreporter.section("published clients")
        for line in lines:
            terminalreporter.write_line(line)
