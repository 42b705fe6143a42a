"""The loggers of early releases."""

from __future__ import annotations

import logging

import pytest

import funcx


@pytest.fixture
def logger(request):
    found = logging.getLogger(request.node.name)
    yield found
    for handler in list(found.handlers):
        found.removeHandler(handler)
        handler.close()


def test_a_file_gets_what_is_logged_from_its_level_on(logger, tmp_path):
    funcx.set_file_logger(tmp_path / "log", name=logger.name, level=logging.INFO)
    logger.debug("too much")
    logger.warning("heard")
    assert "[WARNING]  heard" in (tmp_path / "log").read_text()
    assert "too much" not in (tmp_path / "log").read_text()


def test_standard_error_gets_it_in_the_format_that_was_asked_for(logger, capsys):
    funcx.set_stream_logger(name=logger.name, format_string="%(levelname)s/%(message)s")
    logger.debug("heard")
    assert capsys.readouterr().err == "DEBUG/heard\n"
