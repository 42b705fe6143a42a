"""Bars of tqdm, rich and our own in a cell on a worker: what is told of them. The worker's code runs in a child process."""

import json
import time

import pytest

from funcx_core.cells.spec import CellSpec
from funcx_core.protocol.progress import BarState, read_progress
from funcx_core.protocol.task import EventKind, TaskOptions
from funcx_jupyter.session.watch import Mailbox
from tests.unit.jupyter.fake_service import LOCAL, FakeConnection


@pytest.fixture(scope="module")
def connection():
    made = FakeConnection()
    yield made
    made.close()


class Ran:
    def __init__(self, connection, source, progress):
        mailbox = Mailbox()
        spec = CellSpec(source=source, filename="<cell>", progress=progress)
        self.future = connection.submit(LOCAL.endpoint_id, spec, TaskOptions(), mailbox)
        self.error = self.future.exception(60)
        self.events = mailbox.take()
        self.told = [read_progress(event.body) for event in self.events if event.kind is EventKind.PROGRESS]
        self.bars = self.told[-1].bars if self.told else []
        self.stdout = self._text(EventKind.STDOUT)
        self.stderr = self._text(EventKind.STDERR)

    def _text(self, kind):
        return b"".join(event.body for event in self.events if event.kind is kind).decode()

    @property
    def ends(self):
        return [(bar.description, bar.n, bar.total, str(bar.state)) for bar in self.bars]


@pytest.fixture
def run(connection):
    return lambda source, progress="auto": Ran(connection, source, progress)


def test_bars_of_tqdm_are_told_and_not_written(run):
    ran = run(
        "import time\nfrom tqdm.auto import tqdm\n"
        "for a in tqdm(range(4), desc='outer'):\n    for b in tqdm(range(3), desc='inner', leave=False): time.sleep(0.02)\n"
        "print('done')"
    )
    assert ran.error is None
    assert (ran.stdout, ran.stderr) == ("done\n", "")
    assert ran.ends == [("outer", 4, 4, "done")]
    assert [bar.description for bar in ran.told[0].bars] == ["outer"]
    assert any([bar.description for bar in told.bars] == ["outer", "inner"] for told in ran.told)
    assert all(told.total == 4 for told in ran.told)
    assert ran.bars[0].elapsed > 0.2
    assert ran.bars[0].rate > 0


def test_they_are_told_ten_times_a_second_at_most(run):
    began = time.monotonic()
    ran = run(
        "import time\nfrom tqdm import tqdm\nbars = [tqdm(total=1000, mininterval=0, desc=str(n)) for n in range(5)]\n"
        "for n in range(500):\n    for bar in bars: bar.update(); bar.set_postfix(n=n)\n    time.sleep(0.001)\n"
        "for bar in bars: bar.update(500)"
    )
    assert len(ran.told) <= 10 * (time.monotonic() - began) + 2
    assert [end[:3] for end in ran.ends] == [(str(n), 1000, 1000) for n in range(5)]
    assert {bar.postfix for bar in ran.bars} == {"n=499"}


@pytest.mark.parametrize(
    "imported",
    [
        "from tqdm import tqdm",
        "from tqdm.std import tqdm",
        "from tqdm.notebook import tqdm",
        "from tqdm.autonotebook import tqdm",
        "from tqdm.asyncio import tqdm",
        "from tqdm import tqdm_notebook as tqdm",
        "from funcx_jupyter import progress as tqdm",
        "from funcx import progress as tqdm",
        "from rich.progress import track\ndef tqdm(it, desc): return track(it, description='[bold]' + desc)",
        "import functools, sys\nimport tqdm as t\ntqdm = functools.partial(t.tqdm, file=sys.stdout)",
    ],
)
def test_all_ways_to_a_bar(run, imported):
    ran = run(
        f"import warnings; warnings.simplefilter('ignore')\n{imported}\nfor n in tqdm(range(5), desc='all'): pass"
    )
    assert ran.error is None
    assert (ran.stdout, ran.stderr) == ("", "")
    assert ran.ends == [("all", 5, 5, "done")]


def test_threads_and_their_bars(run):
    ran = run(
        "from concurrent.futures import ThreadPoolExecutor\nfrom tqdm.auto import tqdm\n"
        "def work(n):\n    for _ in tqdm(range(200), desc=f'thread {n}'): pass\n"
        "with ThreadPoolExecutor(4) as pool: list(pool.map(work, range(4)))"
    )
    assert sorted(ran.ends) == [(f"thread {n}", 200, 200, "done") for n in range(4)]


def test_thread_map_of_tqdm(run):
    ran = run("from tqdm.contrib.concurrent import thread_map\nsum(thread_map(abs, range(50), desc='map'))")
    assert ran.ends == [("map", 50, 50, "done")]


def test_several_tasks_of_rich(run):
    ran = run(
        "import time\nfrom rich.progress import Progress\nwith Progress() as p:\n"
        "    a = p.add_task('[red]down', total=20); b = p.add_task('up', total=None); c = p.add_task('gone', total=1)\n"
        "    for n in range(20):\n        p.advance(a); p.advance(b, 2); time.sleep(0.02)\n    p.remove_task(c)\n"
        "    p.print('said')"
    )
    assert ran.error is None
    assert ran.ends == [("down", 20, 20, "done"), ("up", 40, None, "done")]
    assert ran.stdout == "said\n"
    assert len(ran.told) >= 3
    transient = run("from rich.progress import track\nfor n in track(range(3), transient=True): pass")
    assert transient.ends == []


def test_an_interrupted_bar_is_left_as_it_was(run):
    ran = run(
        "from tqdm.auto import tqdm\nfor n in tqdm(range(10), mininterval=0):\n    if n == 4: raise ValueError(n)"
    )
    assert isinstance(ran.error, ValueError)
    assert len(ran.bars) == 1
    assert 4 <= ran.bars[0].n < 10
    assert ran.bars[0].state in {BarState.STOPPED, BarState.OPEN}
    assert not ran.stderr


def test_bars_of_an_earlier_task_do_not_come_back(run):
    run("import builtins\nfrom tqdm.auto import tqdm\nbuiltins.kept_bar = tqdm(total=5)")
    ran = run("kept_bar.update(3); kept_bar.refresh()\nfrom tqdm import tqdm\nfor n in tqdm('ab', desc='new'): pass")
    assert ran.ends == [("new", 2, 2, "done")]


def test_units_and_scales(run):
    ran = run(
        "from tqdm import tqdm\nwith tqdm(total=4096, unit='B', unit_scale=True, unit_divisor=1024) as bar: bar.update(1024)\n"
        "with tqdm(total=4, unit_scale=0.5) as bar: bar.update(4)"
    )
    first, second = ran.bars
    assert (first.unit, first.scale, first.n, first.total) == ("B", 1024, 1024, 4096)
    assert first.state is BarState.STOPPED
    assert (second.n, second.total) == (2, 2)


def test_numbers_of_numpy(run):
    ran = run("import numpy as np\nfrom tqdm import tqdm\nwith tqdm(total=np.int64(3)) as bar: bar.update(np.int64(3))")
    assert ran.ends == [("", 3, 3, "done")]


def test_a_file_of_the_users_stays_as_it_is(run):
    ran = run(
        "import io, contextlib\nfrom tqdm import tqdm\nfile = io.StringIO()\nfor n in tqdm(range(3), file=file): pass\n"
        "caught = io.StringIO()\nwith contextlib.redirect_stderr(caught):\n    for n in tqdm(range(3)): pass\n"
        "assert '3/3' in file.getvalue() and '3/3' in caught.getvalue()"
    )
    assert ran.error is None
    assert ran.told == []


def test_disabled_bars_and_those_that_are_over_before_they_are_due_are_not_seen(run):
    ran = run(
        "from tqdm import tqdm\nfor n in tqdm(range(3), disable=True): pass\nfor n in tqdm(range(3), delay=5): pass\n"
        "tqdm.write('line')"
    )
    assert ran.told == []
    assert ran.stdout == "line\n"


@pytest.mark.parametrize("imported", ["from tqdm.notebook import tqdm", "from funcx import progress as tqdm"])
def test_as_text(run, imported):
    ran = run(f"{imported}\nfor n in tqdm(range(3), desc='fit'): pass", "text")
    assert ran.error is None
    assert ran.told == []
    assert "fit: 100%|" in ran.stderr
    assert "3/3" in ran.stderr


def test_as_text_of_rich(run):
    ran = run("from rich.progress import track\nfor n in track(range(3), description='fit'): pass", "text")
    assert ran.told == []
    assert "fit" in ran.stdout
    assert "100%" in ran.stdout


def test_off(run):
    ran = run(
        "from tqdm import tqdm\nfrom rich.progress import track\nfrom funcx import progress\n"
        "for n in tqdm(range(3)): pass\nfor n in track(range(3)): pass\nfor n in progress(range(3)): pass",
        "off",
    )
    assert ran.error is None
    assert (ran.told, ran.stdout, ran.stderr) == ([], "", "")
    assert run("from tqdm import tqdm\nfor n in tqdm(range(3)): pass").ends == [("", 3, 3, "done")]


def test_a_module_that_is_not_there(run):
    ran = run("import sys; sys.modules['tqdm.std'] = None; sys.modules['tqdm'] = None\ntry: import tqdm\nexcept ImportError: print('no')\n"
              "del sys.modules['tqdm'], sys.modules['tqdm.std']")  # fmt: skip
    assert ran.stdout == "no\n"


def test_progress_keeps_its_place_among_what_is_printed(run):
    ran = run("from tqdm import tqdm\nprint('a')\nfor n in tqdm('x'): pass\nprint('b')")
    kinds = [event.kind for event in ran.events]
    assert kinds.index(EventKind.STDOUT) < kinds.index(EventKind.PROGRESS)
    assert ran.events[0].body == b"a\n"
    assert json.loads(
        ran.events[-1].body if kinds[-1] is EventKind.PROGRESS else ran.events[kinds.index(EventKind.PROGRESS)].body
    )
