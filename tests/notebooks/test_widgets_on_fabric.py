"""Widgets in a real kernel against a real fabric."""

from __future__ import annotations

import json
import re
import time

import pytest
from jupyter_core.utils import run_sync

from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def notebook(fabric):
    with kernel(fabric.environment()) as running:
        running.run("%load_ext funcx_jupyter")
        running.run("%%funcx\nprint('from afar')\n6 * 7")
        running.run("%%funcx\nraise KeyError('<b>missing</b>')")
        running.run(
            "import ipywidgets, json, time, funcx_jupyter\nfrom funcx import FuncXExecutor\n"
            "session = get_ipython()._funcx_magics.session\nfirst = next(iter(session.tasks))"
        )
        yield running


def bundle(cell):
    return next(output.data for output in cell.outputs if output.output_type == "display_data")


def until(notebook, condition, *, within=30.0):
    """Let the kernel's loop run, as it does between cells, until `condition` holds in it."""
    give_up = time.monotonic() + within
    while (found := notebook.run(condition).result["text/plain"]) != "True":
        assert time.monotonic() < give_up, f"{condition} is {found}"
        time.sleep(0.1)


def test_a_monitor_from_its_first_answer_to_its_end(notebook):
    shown = bundle(notebook.run("m = get_ipython().run_line_magic('funcx', 'monitor')\nm"))
    assert VIEW in shown
    until(notebook, "m.model.summary() == '1 done · 1 failed' and not m.is_polling")
    text = notebook.run("print(repr(m))").text()
    assert "1 failed by KeyError" in text
    assert "print('from afar')" in text

    # a cell is run again with its inputs
    notebook.run("m.retry(first)")
    until(notebook, "m.model.summary() == '2 done · 1 failed'")
    assert (
        notebook.run("%funcx result {}".format(notebook.run("list(session.tasks)[-1]").result["text/plain"])).result[
            "text/plain"
        ]
        == "42"
    )

    # the log of a task is shown below
    notebook.run("m.logs(first)")
    until(notebook, "'from afar' in m.view._details.value")

    # so is what it returned, or raised
    notebook.run("m.result(first)")
    until(notebook, "'42' in m.view._details.value")
    notebook.run("m.result(list(session.tasks)[1])")
    until(notebook, "'KeyError' in m.view._details.value and 'Traceback' in m.view._details.value")

    # frozen, it is plain HTML in its place
    cell = notebook.run("m")
    notebook.run("m.freeze()")
    frozen = bundle(cell)
    assert VIEW not in frozen
    assert "2 done · 1 failed" in frozen["text/html"]
    assert "&lt;b&gt;missing" in frozen["text/html"]
    assert "<b>missing" not in frozen["text/html"]


def test_a_running_task_can_be_cancelled(notebook):
    notebook.run(
        "def slow():\n    import time\n    time.sleep(60)\n"
        "executor = FuncXExecutor(endpoint_id='local')\nfuture = executor.submit(slow)\n"
        "while future.task_id is None: time.sleep(0.01)\n"
        "w = funcx_jupyter.TaskMonitor([future])\nw"
    )
    until(notebook, "w.model.summary() in {'1 running', '1 waiting'}")
    notebook.run("w.view._rows[0]._cancel.click()")
    until(notebook, "w.model.summary() == '1 stopped' and not w.is_polling")
    notebook.run("executor.shutdown(wait=False)")


def test_one_task_with_its_output(notebook):
    shown = bundle(notebook.run("v = funcx_jupyter.TaskView(first)\nv"))
    assert VIEW in shown
    until(notebook, "'from afar' in v._as_html() and not v.is_polling")
    assert "✓ done" in notebook.run("print(v)").text()


def test_a_picker_shows_the_endpoint_and_lets_cells_run_there(notebook):
    shown = bundle(notebook.run("p = funcx_jupyter.EndpointPicker('local')\np"))
    assert VIEW in shown
    until(notebook, "bool(p.value) and p.endpoint.is_online")
    assert "✓ Python" in notebook.run("print(repr(p))").text()
    notebook.run("p.view._use.click()")
    assert notebook.run("session.used == p.value").result["text/plain"] == "True"
    assert (
        notebook.run("p.view._start.disabled, p.view._start.tooltip").result["text/plain"].startswith("(True, 'local ")
    )
    notebook.run("p.close()")
    assert notebook.run("p.is_polling").result["text/plain"] == "False"


def test_no_secret_is_in_the_widgets(notebook):
    notebook.run(
        "from funcx_core.sdk.settings import load_settings\n"
        "shown = [funcx_jupyter.TaskMonitor(), funcx_jupyter.EndpointPicker('local')]\n"
        "for each in shown: display(each)\n"
        "state = json.dumps(ipywidgets.Widget.get_manager_state(), default=str)"
    )
    assert notebook.run("len(state) > 1000 and load_settings().token not in state").result["text/plain"] == "True"
    assert json.loads(json.dumps(notebook.client.widget_state, default=str))


def test_closed_widgets_leave_nothing_behind(notebook):
    notebook.run(
        "before = len(ipywidgets.Widget.widgets) if hasattr(ipywidgets.Widget, 'widgets') else 0\n"
        "from ipywidgets.widgets.widget import _instances\nbefore = len(_instances)\nn = funcx_jupyter.TaskMonitor()\nn"
    )
    notebook.run("n.close()")
    assert notebook.run("len(_instances) - before").result["text/plain"] == "0"


def test_a_timeline_has_a_row_for_each_worker_while_tasks_run(notebook):
    notebook.run(
        "def nap():\n    import time\n    time.sleep(60)\n"
        "naps = FuncXExecutor(endpoint_id='local')\nfuture = naps.submit(nap)\n"
        "while future.task_id is None: time.sleep(0.01)\n"
        "t = funcx_jupyter.Timeline([future])\nt"
    )
    until(notebook, "bool(t.view.root.data['rows'])")
    where = notebook.run("t.view.root.data['rows'][0]").result["text/plain"]
    assert re.fullmatch(r"'local · .+ · worker \d+'", where)
    notebook.run("future.best_effort_cancel()")
    until(notebook, "t.view.root.data['states'] == ['cancelled'] and not t.is_polling")
    assert notebook.run("t.view.root.data['rows'][0]").result["text/plain"] == where
    assert notebook.run("naps.shutdown(wait=False)").outputs == []


def test_at_the_end_of_the_kernel_widgets_become_html(fabric):
    with kernel(fabric.environment()) as book:
        book.run("%load_ext funcx_jupyter")
        book.run("import funcx_jupyter")
        shown = book.run("p = funcx_jupyter.EndpointPicker()\np")
        assert VIEW in bundle(shown)
        until(book, "bool(p.options)")
        book.client.kc.shutdown()
        replaced = None
        while replaced is None or VIEW in replaced["data"]:
            message = run_sync(book.client.kc.get_iopub_msg)(timeout=30)
            if message["msg_type"] == "update_display_data":
                replaced = message["content"]
        assert "● online" in replaced["data"]["text/html"]


def test_a_monitor_outlives_an_outage_of_the_service(fresh_fabric):
    with kernel(fresh_fabric.environment()) as book:
        book.run("%load_ext funcx_jupyter")
        book.run("import funcx_jupyter\nfrom funcx import FuncXExecutor")
        book.run("def work():\n    import time\n    time.sleep(8)\n    return 'worked'")
        book.run(
            "executor = FuncXExecutor(endpoint_id='local')\nfuture = executor.submit(work)\n"
            "m = funcx_jupyter.TaskMonitor([future.task_id])\nm"
        )
        until(book, "m.model.summary() == '1 running'")
        fresh_fabric.stop_service()
        until(book, "'Showing what was last known.' in m.view._head.value and m.view._again.layout.display is None")
        assert "1 running" in book.run("print(m)").text()
        fresh_fabric.start_service()
        until(book, "m.model.summary() == '1 done' and not m.is_polling", within=90)
        assert book.run("m.view._again.layout.display").result["text/plain"] == "'none'"
        book.run("m.result(future.task_id)")
        until(book, "'worked' in m.view._details.value")
        book.run("executor.shutdown(wait=False)")
