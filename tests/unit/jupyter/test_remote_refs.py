"""Values that stay where their cell ran: `--ref`, what stands for them, and cells that use them."""

from __future__ import annotations

import msgspec
import pytest

from funcx_core.errors import ValueNotKept
from funcx_core.protocol.client import Limits
from funcx_jupyter.completion import Completer
from funcx_jupyter.display.words import short_id
from funcx_jupyter.errors import CaptureError, MagicArgumentError, RemoteValueElsewhere
from funcx_jupyter.magics import FuncxMagics
from funcx_jupyter.session import size_limits
from funcx_jupyter.session.remote_ref import RemoteRef
from funcx_jupyter.session.state import Session
from tests.unit.jupyter.fake_service import LOCAL, FakeConnection

THETA = msgspec.structs.replace(LOCAL, endpoint_id="f" * 36, name="theta")


@pytest.fixture(scope="module")
def connection():
    made = FakeConnection(LOCAL, THETA)
    yield made
    made.close()


@pytest.fixture
def run(shell, connection, capsys):
    shell.reset(new_session=True)
    connection.hold, connection.accepts = False, Limits()
    shell.register_magics(FuncxMagics(shell, Session(lambda: connection)))
    shell.run_line_magic("funcx", "use local")
    capsys.readouterr()

    def run(cell):
        ran = shell.run_cell(cell, store_history=True)
        out, _ = capsys.readouterr()
        return ran.error_in_exec or ran.error_before_exec, ran.result, out

    return run


def value(run, cell):
    error, result, _ = run(cell)
    assert error is None
    return result


MODEL = "%%funcx --ref model\nmodel = {'weights': list(range(1000))}\nlen(model)"


def test_a_value_stays_and_later_cells_use_it_by_its_name(run, connection):
    error, result, out = run(MODEL)
    assert (error, result) == (None, 1)
    assert "out: model " in out
    assert "(on local)" in out
    model = value(run, "model")
    assert isinstance(model, RemoteRef)
    error, result, out = run("%%funcx\nsum(model['weights'])")
    assert (error, result) == (None, 499500)
    assert "in: model (on local)" in out
    assert len(connection.specs[-1].values) < 200
    assert connection.options[-1].after == ()


def test_what_it_is_can_be_asked_without_having_it(run, connection):
    run("%%funcx --ref table,n\nimport pandas as pd\ntable = pd.DataFrame({'a': [1, 2], 'b': [3.0, 4.0]})\nn = 3")
    table, number = value(run, "table"), value(run, "n")
    sent = len(connection.specs)
    assert (table.shape, table.columns, len(table)) == ((2, 2), ["a", "b"], 2)
    assert table.type_name.startswith("pandas.")  # Where the class is defined depends on the version.
    assert repr(table).startswith(f"RemoteRef(table: {table.type_name} (2, 2), ")
    bundle = table._repr_mimebundle_()
    assert "<table" in bundle["text/html"]
    assert "1  3.0" in bundle["text/plain"]
    assert bool(number)
    with pytest.raises(TypeError, match=r"`n` \(int\) on local has no length"):
        len(number)
    with pytest.raises(AttributeError, match=r"`n` \(int\) on local has no shape"):
        _ = number.shape
    assert len(connection.specs) == sent


def test_the_value_and_a_part_of_it_come_when_they_are_asked_for(run):
    run("%%funcx --ref table,row\nimport pandas as pd\ntable = pd.DataFrame({'a': range(9)})\nrow = list(range(9))")
    assert list(value(run, "table.head(2)").a) == [0, 1]
    assert value(run, "row.head(3)") == [0, 1, 2]
    assert list(value(run, "table.get()").a) == list(range(9))
    assert value(run, "row = row.get(); row") == list(range(9))


def test_one_that_is_deleted_is_told_in_one_line(run):
    run(MODEL)
    run("model.pin(); model.unpin(); model.delete()")
    for cell in ("%%funcx\nmodel", "model.get()", "model.head()", "model.pin()"):
        error, _, out = run(cell)
        assert isinstance(error, ValueNotKept)
        assert "`model` of " in str(error)
        assert " is not on local any more (kept 1 h after its last use). `%funcx rerun " in str(error)
        assert out.endswith(f"ValueNotKept: {error}\n")


def test_a_class_of_the_notebook_is_itself_again_when_its_instance_comes_back(run):
    run(
        "class Point:\n    def __init__(self, x): self.x = x\n    def double(self): return twice(self.x)\ndef twice(x): return 2 * x"
    )
    run("%%funcx --ref p\np = Point(4)")
    assert value(run, "%%funcx\np.double()") == 8
    assert value(run, "%%funcx\nisinstance(p, Point), p.double()") == (True, 8)
    assert value(run, "q = p.get()\nisinstance(q, Point), q.double()") == (True, 8)


def test_a_class_of_the_cell_goes_with_its_instance(run):
    run(
        "%%funcx --ref q\nclass Here:\n    k = 3\n    def f(self): return helper() + self.k\ndef helper(): return 39\nq = Here()"
    )
    assert value(run, "%%funcx\nq.f()") == 42


def test_it_may_be_part_of_another_value(run):
    run(MODEL)
    assert value(run, "best = {'m': [model]}") is None
    assert value(run, "%%funcx\nbest['m'][0] is model, len(model)") == (True, 1)


def test_on_another_endpoint_it_is_refused_before_anything_is_sent(run, connection):
    run(MODEL)
    sent = len(connection.specs)
    error, _, out = run("%%funcx theta\nmodel")
    assert isinstance(error, RemoteValueElsewhere)
    told = (
        "`model` is on local, and this cell runs on theta. Type `model = model.get()` first, or run the cell on local."
    )
    assert out == f"RemoteValueElsewhere: {told}\n"
    error, _, _ = run("%%funcx theta --explain\nmodel")
    assert isinstance(error, RemoteValueElsewhere)
    assert len(connection.specs) == sent


def test_names_are_completed(run, shell):
    run("%%funcx --ref model\nmodel = 1")
    task = value(run, "model.task_id")
    completer = Completer(shell.find_line_magic("funcx").__self__.session)
    completer.install(shell)
    try:
        assert (f"{short_id(task)}.model", "variable") in completer.complete("%funcx fetch ")
        assert (f"{short_id(task)}._", "variable") in completer.complete("%funcx fetch ")
        assert ("model", "variable") in completer.complete("%%funcx --ref mo")
    finally:
        completer.uninstall(shell)


def test_outside_of_cells_it_cannot_be_pickled(run):
    run(MODEL)
    error, _, _ = run("import pickle\npickle.dumps(model)")
    assert "model is a reference to a value on local, not the value itself. `model.get()` is the value." in str(error)


def test_the_name_of_an_asynchronous_cell_is_bound_at_once_and_waited_for(run, connection):
    connection.hold = True
    run("%%funcx -a -n big --ref model\nmodel = 1")
    assert value(run, "repr(model)").startswith("RemoteRef(model: sent on local, task ")
    error, _, _ = run("%%funcx -a\nmodel + 1")
    big = value(run, "big").task_id
    assert error is None
    assert connection.options[-1].after == (big,)
    _, text, _ = run("%%funcx --explain\nmodel + 1")
    assert "in:      model (on local)" in repr(text)
    assert "after:   big (" in repr(text)


def test_a_task_stands_for_its_value(run, connection):
    run("%%funcx -a -n sim\n[1, 2, 3]")
    assert value(run, "sim.result()") == [1, 2, 3]
    assert value(run, "%%funcx\nsum(sim)") == 6
    assert connection.options[-1].after == ()
    error, _, _ = run("%%funcx theta\nsim")
    assert str(error) == (
        "`sim` is on local, and this cell runs on theta. Type `sim = sim.result()` first, or run the cell on local."
    )


def test_what_is_too_large_to_come_back_is_kept(run, connection, monkeypatch):
    monkeypatch.setattr(size_limits, "UNASKED", 100_000)
    error, result, out = run("%%funcx -o y,z\ny = bytes(300_000)\nz = 5\nbytes(2_000_000)")
    assert error is None
    assert value(run, "z") == 5
    y = value(run, "y")
    short = words_of(out, "y = %funcx fetch ")
    assert f"y is 300 kB (limit 100 kB). Kept on local for 1 h: `y = %funcx fetch {short}`" in out
    assert isinstance(y, RemoteRef)
    assert isinstance(result, RemoteRef)
    task = short.partition(".")[0]
    assert value(run, f"y = %funcx fetch {short}\nlen(y)") == 300_000
    assert value(run, f"w = %funcx fetch {task}._\nlen(w)") == 2_000_000
    assert value(run, f"%funcx fetch {task}.z") == 5
    error, _, _ = run(f"%funcx fetch {task}.q")
    assert str(error) == f"{task} has left no `q`; its variables are: `z`, `y`."


def words_of(out, before):
    return out.partition(before)[2].partition("`")[0]


@pytest.mark.parametrize(
    ("cell", "kind", "told"),
    [
        ("%%funcx --ref x -o x\nx = 1", MagicArgumentError, "`x` is named with -o and with --ref"),
        ("%%funcx --ref '*'\nx = 1", MagicArgumentError, "name the variables one by one"),
        ("%%funcx --ref y\nx = 1", CaptureError, "`y` is named with --ref, but the cell does not assign it."),
        ("%funcx fetch nothing", MagicArgumentError, "nor the name of a reference here"),
        ("%funcx fetch a.b.1", MagicArgumentError, "is not TASK.VARIABLE"),
    ],
)
def test_mistakes_are_told(run, cell, kind, told):
    error, _, _ = run(cell)
    assert isinstance(error, kind)
    assert told in str(error)


def test_a_cell_that_fails_leaves_nothing(run):
    error, _, _ = run("%%funcx --ref a,b\na = 1\nb = (n for n in [1])")
    assert "`b` (generator) cannot be kept" in str(error)
    assert run("a")[0] is not None


def test_what_waits_for_a_task_of_an_asynchronous_cell_learns_of_its_value(run):
    run("%%funcx -a -n big --ref model\nmodel = [1, 2]")
    ref = value(run, "model")
    assert len(ref) == 2
    value(run, "big.result()")
    assert value(run, "model") is ref


def test_a_cell_is_not_run_again_where_its_references_are_not(run, connection):
    run(MODEL)
    run("%%funcx -n total\nsum(model['weights'])")
    sent = len(connection.specs)
    error, _, out = run("%funcx rerun total -e theta")
    assert isinstance(error, RemoteValueElsewhere)
    assert "`model` is on local, and the inputs of " in str(error)
    again = str(error).partition("`%funcx")[2].partition("`")[0]
    assert "type `model = model.get()` and run the cell itself there" in str(error)
    assert out.endswith(f"RemoteValueElsewhere: {error}\n")
    assert len(connection.specs) == sent, "nothing was sent"
    assert value(run, f"%funcx{again}") == 499500
