"""`%funcx alias` and `%funcx magic`: names of one's own."""

from __future__ import annotations

import pytest
from msgspec import structs

from funcx_core.errors import ConfigError
from funcx_core.ids import EndpointId, new_endpoint_id
from funcx_jupyter.completion import Completer
from funcx_jupyter.errors import MagicArgumentError, UnknownEndpoint
from tests.unit.jupyter.fake_service import LOCAL

FOREIGN = structs.replace(LOCAL, endpoint_id=EndpointId(new_endpoint_id()), name="tutorial")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def ours(magics, connection):
    yield magics
    magics.own.remove_all()
    connection.shared.clear()


def test_an_endpoint_of_somebody_else_gets_a_name(run, ours, home, connection):
    connection.shared.append(FOREIGN)
    told = repr(run(f"%funcx alias tut {FOREIGN.endpoint_id}").value)
    assert told.startswith(f"tut is tutorial ({FOREIGN.endpoint_id}). In this kernel;")
    assert "tutorial · ✓" in run("%%funcx tut\n1").out
    assert run("%funcx tut -q 6 * 7").value == 42
    assert "tut" in repr(run("%funcx alias").value)
    run("%funcx alias tut --unset")
    assert isinstance(run("%%funcx tut\n1").error, UnknownEndpoint)


def test_an_id_needs_no_alias(run, ours, home, connection):
    connection.shared.append(FOREIGN)
    assert run(f"%%funcx {FOREIGN.endpoint_id} -q\n2").value == 2


def test_an_alias_is_saved(run, ours, home, connection):
    told = repr(run("%funcx alias here local --save user").value)
    assert told.endswith(f"Kept in {home / 'config.toml'}.")
    assert (home / "config.toml").read_text() == f'[aliases]\nhere = "{LOCAL.endpoint_id}"\n'
    ours.session.configuration.aliases_here.clear()
    assert run("%funcx here -q 1").value == 1
    assert isinstance(run("%funcx alias here --unset").error, MagicArgumentError)
    assert repr(run("%funcx alias here --unset --save user").value) == "here is no alias any more."


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("alias local x", MagicArgumentError, "local is the name of an endpoint of yours already"),
        ("alias a nowhere", UnknownEndpoint, "No endpoint named 'nowhere'"),
        ("alias 1! local", MagicArgumentError, "The form is `%funcx alias NAME UUID"),
        ("alias a", MagicArgumentError, "The form is `%funcx alias NAME UUID"),
        ("magic gpu", MagicArgumentError, "The form is `%funcx magic NAME -e ENDPOINT"),
        ("magic time -e local", MagicArgumentError, "`time` is a magic already"),
        ("magic funcx -e local", MagicArgumentError, "`funcx` is a magic already"),
        ("magic g-pu -e local", MagicArgumentError, "`g-pu` cannot be the name of a magic"),
        ("magic gpu -e local --retires 3", MagicArgumentError, "Did you mean `--retries`?"),
        ("magic gpu -e local --save world", ConfigError, "it can be user or project"),
        ("magic gpu -e fxt_abcdefghijkl", ConfigError, "is a secret"),
        ("magic gpu --unset", MagicArgumentError, "There is no magic `%%gpu` of yours"),
    ],
)
@pytest.mark.usefixtures("ours", "home")
def test_what_is_refused(run, line, kind, message):
    error = run(f"%funcx {line}").error
    assert isinstance(error, kind)
    assert message in str(error)


def test_a_magic_of_ones_own(run, ours, home, connection, shell):
    told = repr(run("%funcx magic slow -e local -t 60 --retries 2 -q").value)
    assert told.startswith("%%slow stands for `%%funcx local -t 60 --retries 2 -q`. In this kernel;")
    ran = run("x = 4\ny = %slow x + 1")
    assert (shell.user_ns["y"], ran.out) == (5, "")
    ran = run("%%slow -t 5 -o z\nz = x * 2\nz")
    assert (ran.value, shell.user_ns["z"]) == (8, 8)
    assert (connection.options[-1].walltime, connection.options[-1].retry_on_loss) == (5.0, 2)
    assert isinstance(run("%slow status").error, MagicArgumentError)
    assert "as `%%funcx local -t 60 --retries 2 -q` does" in run("%slow?").out
    assert "%%slow" in repr(run("%funcx magic").value)
    run("%funcx magic slow --unset")
    assert "slow" not in shell.magics_manager.magics["cell"]


def test_lines_of_a_cell_of_ones_own_are_the_visible_ones(run, ours, home):
    run("%funcx magic mine -e local -q")
    ran = run("%%mine\nx = 0\n1 / x")
    assert "Cell In[2], line 3" in ran.out


def test_a_magic_is_saved_and_comes_back(run, ours, home, shell):
    run("%funcx magic slow -e local -t 60 --save user")
    assert (home / "config.toml").read_text() == '[magics]\nslow = "local -t 60"\n'
    saved = ours.session.configuration.magics()
    ours.own.remove_all()
    assert ours.own.add_saved({**saved, "time": "local", "bad": "--retires"}) == [
        "The saved magic `%%time` cannot be used: `time` is a magic already. Choose another name.",
        "The saved magic `%%bad` cannot be used: `--retires` is not an option of %%funcx. Did you mean `--retries`? See `%%funcx?`.",
    ]
    assert ours.own.lines == {"slow": "local -t 60"}


def test_they_are_completed(run, ours, home):
    run("%funcx magic slow -e local -t 60")
    run("%funcx alias here local")
    complete = Completer(ours.session, ours.own.lines).complete
    assert ("--retries", "option") in complete("%%slow --re")
    assert ("local", "endpoint") in complete("%slow lo")
    assert ("here", "alias") in complete("value = %funcx he")
    assert ("local", "endpoint") in complete("%funcx lo")
    assert ("--timeout", "option") in complete("%funcx --ti")
    assert complete("%%time he") == []
    assert complete("%funcx local he") == []
    assert ("user", "value") in complete("%funcx config env warn --save u")
    assert ("env", "setting") in complete("%funcx config e")
    assert complete("%funcx auto o") == [("on", "value"), ("off", "value")]
    assert ("local", "endpoint") in complete("%funcx auto on lo")
    assert ("--retries", "option") in complete("%funcx auto on local --re")
    assert ("warn", "value") in complete("%funcx magic slow --env w")
    assert complete("%funcx magic slow --s")[0] == ("--save", "option")
