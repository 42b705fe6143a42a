"""`%%funcx` and `%funcx` in a shell of this process; the cells run in a child process by the worker's own code."""

from __future__ import annotations

import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from funcx_core.protocol.client import Limits
from funcx_jupyter.magics import FuncxMagics
from funcx_jupyter.session.state import Session
from tests.unit.jupyter.fake_service import FakeConnection


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        main = sys.modules["__main__"]
        made = InteractiveShell.instance(config=config)
        yield made
        InteractiveShell.clear_instance()
        sys.modules["__main__"] = main


@pytest.fixture(scope="module")
def connection():
    made = FakeConnection()
    yield made
    made.close()


@pytest.fixture
def magics(shell, connection):
    shell.reset(new_session=True)
    connection.hold, connection.accepts, connection.reported = False, Limits(), []
    made = FuncxMagics(shell, Session(lambda: connection))
    shell.register_magics(made)
    return made


class Run:
    def __init__(self, shell, capsys, result):
        self.result = result
        self.error = result.error_in_exec or result.error_before_exec
        self.out, self.err = capsys.readouterr()
        self.value = result.result


@pytest.fixture
def run(shell, magics, capsys):
    return lambda cell: Run(shell, capsys, shell.run_cell(cell, store_history=True))
