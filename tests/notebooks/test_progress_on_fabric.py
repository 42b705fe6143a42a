"""Progress and output of cells in a real kernel against a real fabric."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.notebooks.kernels import kernel
from tests.support.fabric import eventually

pytestmark = pytest.mark.xdist_group("fabric-kernel")

NESTED = """{magic}
import time
from tqdm.auto import tqdm
print('before')
for a in tqdm(range(4), desc='outer'):
    for b in tqdm(range(10), desc='inner', leave=False):
        time.sleep(0.01)
print('after')"""


@pytest.fixture(scope="module")
def notebook(fabric):
    with kernel(fabric.environment()) as running:
        running.run("%load_ext funcx_jupyter")
        running.run("%%funcx\n1")
        running.run("%%funcx\n1")
        yield running


def bars(cell):
    """Return the text forms of all places with bars."""
    return [
        output.data["text/plain"]
        for output in cell.outputs
        if "funcx-progress" in output.get("data", {}).get("text/html", "")
    ]


def test_bars_of_a_cell_are_native_and_keep_their_place(notebook):
    cell = notebook.run(NESTED.format(magic="%%funcx"))
    assert cell.kinds == ["header", "stdout", "display", "stdout"]
    (shown,) = bars(cell)
    assert shown.startswith("outer: 100%|██████████| 4/4 [00:00<00:00, ")
    assert shown.endswith("it/s] ✓")
    assert 'role="progressbar"' in cell.outputs[2].data["text/html"]


def test_bars_of_an_asynchronous_cell_are_in_its_block(notebook):
    cell = notebook.run(NESTED.format(magic="%%funcx -a -n bars"))
    notebook.run("%funcx wait bars")
    (shown,) = bars(cell)
    lines = shown.splitlines()
    assert lines[0] == "before"
    assert lines[1].startswith("outer: 100%|")
    assert lines[2:] == ["after"]


def test_bars_as_text_and_not_at_all(notebook):
    text = notebook.run(NESTED.format(magic="%%funcx --progress text"))
    assert bars(text) == []
    assert "outer: 100%|" in text.text("stderr")
    off = notebook.run(NESTED.format(magic="%%funcx --progress off"))
    assert set(off.kinds) == {"header", "stdout"}
    assert off.text() == "before\nafter\n"
    name, said = notebook.run("%%funcx --progress fancy\n1").error
    assert name == "MagicArgumentError"
    assert "--progress" in said


def test_an_interrupt_leaves_one_bar_and_no_stray_lines(notebook):
    pid = int(notebook.run("import os\nos.getpid()").result["text/plain"])
    timer = threading.Timer(1.5, os.kill, (pid, signal.SIGINT))
    timer.start()
    cell = notebook.run("%%funcx\nimport time\nfrom tqdm import tqdm\nfor n in tqdm(range(10_000)): time.sleep(0.05)")
    assert cell.kinds == ["header", "display", "error"]
    (shown,) = bars(cell)
    assert shown.endswith("✗")
    assert "/10000 [" in shown


def test_a_task_that_is_attached_to_shows_the_last_state(notebook):
    notebook.run(NESTED.format(magic="%%funcx -n attached"))
    again = notebook.run("%funcx attach attached")
    assert again.kinds == ["header", "stdout", "display", "stdout"]
    assert [shown.count("\n") for shown in bars(again)] == [0]
    kept = notebook.run(
        "s = get_ipython()._funcx_magics.session\n"
        "sum(e['kind'] == 'progress' for e in s.connection.log(s.find_task('attached')).events)"
    )
    assert kept.result["text/plain"] == "2"


def test_capture_has_the_end(notebook):
    cell = notebook.run(NESTED.format(magic="%%capture taken\n%%funcx"))
    assert cell.kinds == []
    shown = notebook.run("[o.data['text/plain'][:12] for o in taken.outputs], taken.stderr").result["text/plain"]
    assert "'outer: 100%|'" in shown
    assert shown.endswith("'')")


def test_bars_beside_forked_processes(notebook):
    cell = notebook.run(
        "%%funcx\nimport multiprocessing as mp, time\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "from tqdm import tqdm\nbar = tqdm(total=40, mininterval=0)\ndef work(n):\n    bar.update()\n"
        "    for _ in tqdm(range(3), desc='child'): pass\n    return n\n"
        "with ProcessPoolExecutor(2, mp_context=mp.get_context('fork')) as pool:\n"
        "    for n in pool.map(work, range(40)): bar.update()\nbar.close()"
    )
    (shown,) = bars(cell)
    assert shown.startswith("100%|██████████| 40/40 [")
    assert "child: 100%|" in cell.text("stderr")


def test_ones_own_bar_in_the_kernel_and_there(notebook):
    source = "for a in progress(range(3), desc='own'):\n    time.sleep(0.05)"
    notebook.run("from funcx_jupyter import progress\nimport time")
    here, there = notebook.run(source), notebook.run(f"%%funcx\n{source}")
    for cell in (here, there):
        (shown,) = bars(cell)
        assert shown.startswith("own: 100%|██████████| 3/3 [00:00<00:00, ")
        assert shown.endswith("✓")


def test_bars_of_functions_that_scripts_send(fabric):
    def work(n):
        from tqdm.auto import tqdm

        return sum(tqdm(range(n), desc="work"))

    with fabric.executor() as executor:
        future = executor.submit(work, 5)
        assert future.result(60) == 10
        events = fabric.client().get_events(future.task_id)["events"]
    told = [event["body"] for event in events if event["kind"] == "progress"]
    assert '"description":"work"' in told[-1]
    assert '"n":5,"total":5' in told[-1]
    assert not [event for event in events if event["kind"] == "stderr"]


def test_displays_are_updated_in_place_while_the_cell_runs(notebook):
    cell = notebook.run(
        "%%funcx\nimport time\nhandle = display('start', display_id=True)\nprint('between')\n"
        "for n in range(5):\n    handle.update(f'step {n}'); time.sleep(0.05)"
    )
    assert cell.kinds == ["header", "display", "stdout"]
    assert cell.outputs[1].data["text/plain"] == "'step 4'"


WATCH = """
class Watch:
    def __init__(self, real): self.real, self.log = real, []
    def publish(self, data, *args, **kwargs):
        kind = 'header' if 'funcx-header' in data.get('text/html', '') else 'image' if 'image/png' in data else 'other'
        self.log.append(('update ' if kwargs.get('update') else '') + kind)
        return self.real.publish(data, *args, **kwargs)
    def clear_output(self, wait=False):
        self.log.append(f'clear {wait}'); return self.real.clear_output(wait)
    def __getattr__(self, name): return getattr(self.real, name)
ip = get_ipython(); watch = Watch(ip.display_pub); ip.display_pub = watch
try:
    ip.run_cell_magic('funcx', '', '''
import time, matplotlib.pyplot as plt
from IPython.display import clear_output
for n in range(4):
    plt.plot([n, 1]); clear_output(wait=True); time.sleep(0.3); plt.show()
''')
finally:
    ip.display_pub = watch.real
[what for what in watch.log if not what.startswith('update')]
"""


def test_a_live_plot_is_replaced_and_never_gone(notebook):
    cell = notebook.run(WATCH)
    assert eval(cell.result["text/plain"]) == ["header", *["clear True", "header", "image"] * 4]
    assert cell.kinds == ["header", "image", "result"]


def test_what_libraries_show_comes_as_it_is(notebook):
    kinds = {
        "application/vnd.plotly.v1+json": {"data": [{"y": [1, 2]}], "layout": {}},
        "application/vnd.vegalite.v5+json": {"mark": "bar"},
        "text/latex": "$x^2$",
        "image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "text/html": "<audio controls src='data:audio/wav;base64,UklGRg=='></audio>",
        "text/plain": "thing",
    }
    source = (
        f"class Thing:\n    def _repr_mimebundle_(self, **_): return {kinds!r}, {{'text/latex': {{'wide': True}}}}\n"
    )
    shown = notebook.run(f"%%funcx\n{source}display(Thing())")
    assert dict(shown.outputs[1].data) == kinds
    assert shown.outputs[1].metadata == {"text/latex": {"wide": True}}
    assert dict(notebook.run(f"%%funcx\n{source}Thing()").result) == kinds


def test_what_bypasses_python_is_heard_and_streams_stay_apart(notebook):
    cell = notebook.run(
        "%%funcx\nimport ctypes, os, subprocess, sys\nprint('python', flush=True)\n"
        "ctypes.CDLL(None).printf(b'from C\\n')\nos.write(2, b'raw\\n')\n"
        "subprocess.run('echo child; echo oops >&2', shell=True)\nprint('\\x1b[31mred\\x1b[0m\\r', file=sys.stderr, end='')"
    )
    assert sorted(cell.text().splitlines()) == ["child", "from C", "python"]
    assert "raw\n" in cell.text("stderr")
    assert "oops\n" in cell.text("stderr")
    assert "\x1b[31mred\x1b[0m\r" in cell.text("stderr")


def test_records_of_logging_go_to_stderr_once_however_often_the_cell_runs(notebook):
    plain = "%%funcx\nimport logging\nlogging.warning('first'); logging.info('silent')"
    chatty = (
        "%%funcx\nimport logging, sys\nlog = logging.getLogger('mine'); log.setLevel('INFO')\n"
        "log.addHandler(logging.StreamHandler(sys.stdout)); log.propagate = False\nlog.info('said')"
    )
    bare = "%%funcx\nimport logging\nlogging.getLogger('other').warning('bare'); logging.getLogger('mine').info('no')"
    for _ in range(4):  # There are two workers.
        assert notebook.run(plain).text("stderr") == "WARNING:root:first\n"
        assert notebook.run(chatty).text() == "said\n"
        said = notebook.run(bare)
        assert (said.text("stderr"), said.text()) == ("bare\n", "")


def test_text_arrives_soon_after_it_was_flushed(notebook):
    cell = notebook.run(
        "import sys, time\nclass Watch:\n    at = []\n    def write(self, text): self.at.append(time.time())\n"
        "    def flush(self): pass\nreal, sys.stdout = sys.stdout, Watch()\ntry:\n"
        "    get_ipython().run_cell_magic('funcx', '-q -o sent', 'import os, time\\nsent = []\\nfor n in range(6):\\n"
        '    sent.append(time.time())\\n    if n % 2: os.write(1, b"x")\\n    else: print(n, end="", flush=True)\\n'
        "    time.sleep(0.3)')\n"
        "finally:\n    sys.stdout = real\nsorted(a - b for a, b in zip(Watch.at, sent))"
    )
    delays = eval(cell.result["text/plain"])
    assert len(delays) == 6
    assert delays[3] < 0.25, delays


def test_a_log_is_followed_to_its_end_or_until_an_interrupt(notebook, tmp_path):
    go_on = tmp_path / "go-on"
    source = (
        "import time, pathlib\nfor n in range(10):\n    print(n, flush=True)\n    time.sleep(0.05)\n"
        f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.02)\nprint('over')"
    )
    notebook.run(f"%%funcx -a -n noisy\n{source}")
    pid = int(notebook.run("import os\nos.getpid()").result["text/plain"])
    threading.Timer(2.0, os.kill, (pid, signal.SIGINT)).start()
    cell = notebook.run("%funcx logs noisy -f")
    assert cell.text() == "".join(f"{n}\n" for n in range(10))
    assert cell.result["text/plain"].startswith("Stopped following. Task ")
    assert notebook.run("noisy.done()").result["text/plain"] == "False"
    go_on.touch()
    assert notebook.run("%funcx logs noisy -f").text().endswith("9\nover\n")
    assert notebook.run("%funcx wait noisy").result["text/plain"] == "noisy done"


OUTAGE = """
class Watch:
    def __init__(self, real): self.real, self.log = real, []
    def publish(self, data, *args, **kwargs):
        if 'funcx-header' in data.get('text/html', ''): self.log.append(data['text/plain'])
        return self.real.publish(data, *args, **kwargs)
    def __getattr__(self, name): return getattr(self.real, name)
ip = get_ipython(); watch = Watch(ip.display_pub); ip.display_pub = watch
try:
    ip.run_cell_magic('funcx', '', '''
import time, pathlib
n = 0
while not pathlib.Path({go_on!r}).exists():
    print(n, flush=True); n += 1; time.sleep(0.02)
print('last', n)
''')
finally:
    ip.display_pub = watch.real
any('reconnecting (' in line for line in watch.log), watch.log[-1]
"""


def test_nothing_is_lost_or_told_twice_when_the_service_dies_and_comes_back(fresh_fabric, tmp_path):
    go_on = tmp_path / "go-on"

    def interfere():
        time.sleep(1.5)
        fresh_fabric.kill_service()
        time.sleep(2)
        fresh_fabric.start_service()
        eventually(lambda: fresh_fabric.is_online("local"), "the endpoint is back", timeout=30)
        time.sleep(1)
        go_on.touch()

    with kernel(fresh_fabric.environment()) as book:
        book.run("%load_ext funcx_jupyter")
        book.run("%%funcx\n1")
        thread = threading.Thread(target=interfere)
        thread.start()
        cell = book.run(OUTAGE.format(go_on=str(go_on)))
        thread.join()
    *lines, last = cell.text().splitlines()
    assert last == f"last {len(lines)}"
    assert lines == [str(n) for n in range(len(lines))]
    told, header = eval(cell.result["text/plain"])
    assert told
    assert "✓" in header
