"""The worker's half of a cell's map, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

RUN = """
import sys
from funcx_core.cells.elements import CellOfMap, element_decoder
from funcx_core.cells.spec import CellSpec
from funcx_core.ids import TaskId
from funcx_core.protocol.codec import encode
from funcx_core.serialize import pack_callable, unpack_function
from funcx_endpoint.worker import capture, cell_map

sent = []
worker = capture.Capture(sent.append, max_output=1 << 20, max_event=1 << 20)
worker.install()
worker.begin(TaskId("range-1"))

def cell(source, seconds=None, **fields):
    spec = encode(CellSpec(source=source, filename="<cell>", **fields))
    run = unpack_function(pack_callable(CellOfMap(spec, "n", seconds)))
    return lambda n: element_decoder.decode(run(n))
"""


def check(code):
    done = subprocess.run([sys.executable, "-c", RUN + code], check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_elements_do_not_see_each_other():
    check(
        "import pickle\n"
        "run = cell('seen.append(n)\\nlist(seen)', names=['seen'], values=pickle.dumps([0]))\n"
        "assert [pickle.loads(run(n).value) for n in (1, 2)] == [[0, 1], [0, 2]]\n"
    )


def test_what_an_element_prints_and_shows_goes_home_with_its_outcome():
    check(
        "run = cell('import sys\\nprint(n)\\nprint(\"!\", file=sys.stderr)\\ndisplay(n)')\n"
        "kinds = [(piece.kind.value, piece.body[:3]) for piece in run(7).pieces]\n"
        "assert kinds == [('stdout', b'7\\n'), ('stderr', b'!\\n'), ('display', b'{\"d')], kinds\n"
        "print('after'); sys.stdout.flush()\n"
        "assert [output.body for output in sent] == [b'after\\n'], sent\n"
    )


def test_a_warning_of_an_element_names_the_cell():
    check(
        "run = cell('import warnings\\nwarnings.warn(f\"look {n}\")', places={'<cell>': 'Cell In[3]'})\n"
        "(told,) = run(7).pieces\n"
        "assert told.body.startswith(b'Cell In[3], line 2: UserWarning: look 7\\n'), told\n"
    )


def test_output_has_a_bound_for_the_element_and_for_its_range():
    check(
        "run = cell('print(\"x\" * 99_999)')\n"
        "first = run(1)\n"
        "assert len(first.pieces[0].body) == cell_map.MOST_TEXT and first.hidden == 100_000 - cell_map.MOST_TEXT\n"
        "kept = 1 + sum(bool(run(n).pieces) for n in range(99))\n"
        "assert kept == cell_map.RANGE_TEXT // cell_map.MOST_TEXT\n"
        "worker.end(); worker.begin(TaskId('range-2'))\n"
        "assert run(1).pieces\n"
    )


def test_a_time_limit_ends_the_element_even_if_it_forgives_everything():
    check(
        "run = cell('import time\\nwhile n:\\n  try: time.sleep(n)\\n  except Exception: pass\\nn', 0.2)\n"
        "try:\n    run(60)\n"
        "except TimeoutError as error:\n    assert str(error) == 'Stopped after 0.2 s (-t 0.2).'\n"
        "else:\n    raise SystemExit(1)\n"
        "assert run(0).value\n"
    )


def test_the_exception_tells_what_was_printed():
    check(
        "try:\n    cell('print(\"about to\")\\n1 / n')(0)\n"
        "except ZeroDivisionError as error:\n    assert error.__notes__ == ['It had printed:\\nabout to']\n"
        "else:\n    raise SystemExit(1)\n"
    )


def test_a_value_that_cannot_be_sent_leaves_its_text():
    check(
        "found = cell('(x for x in ())')(1)\n"
        "assert found.value is None and found.left_behind and found.text.startswith('<generator'), found\n"
    )


def test_only_the_first_failures_of_a_range_bring_their_variables():
    check(
        "from funcx_endpoint.worker import circumstances\n"
        "run = cell('own = n\\nown / 0')\n"
        "def facts(n):\n    try:\n        run(n)\n    except ZeroDivisionError as error:\n        return circumstances.of(error)\n"
        "found = [facts(n) for n in range(cell_map.MOST_NOTED + 5)]\n"
        "assert sum('locals' in each for each in found) == cell_map.MOST_NOTED\n"
        "assert found[0]['locals'] == {'own': '0'}, found[0]\n"
        "assert found[-1] == {}\n"
        "worker.end(); worker.begin(TaskId('range-2'))\n"
        "assert facts(1)['locals'] == {'own': '1'}\n"
    )


def test_what_a_failed_element_had_shown_goes_home_with_its_exception():
    check(
        "from funcx_core.cells.elements import read_pieces\n"
        "from funcx_endpoint.worker import circumstances\n"
        "run = cell('print(n)\\ndisplay(n)\\nn / 0')\n"
        "for n in range(cell_map.MOST_NOTED + 1):\n"
        "    try:\n        run(n)\n"
        "    except ZeroDivisionError as error:\n        details = circumstances.of(error)\n"
        "    pieces, hidden = read_pieces(details)\n"
        "    assert [piece.kind.value for piece in pieces] == ['stdout', 'display'] and pieces[0].body == b'%d\\n' % n, n\n"
        "assert 'locals' not in details\n"
    )


def test_what_stays_has_a_name_for_each_element_of_the_task():
    check(
        "import uuid, tempfile\n"
        "from pathlib import Path\n"
        "from funcx_core.errors import ValueNotKept\n"
        "from funcx_endpoint.kept import KeptFolder\n"
        "from funcx_endpoint.worker import place\n"
        "try:\n    cell('x = n', keep=['x'])(1)\n"
        "except ValueNotKept as error:\n    assert 'this endpoint keeps no values' in str(error)\n"
        "else:\n    raise SystemExit(1)\n"
        "folder = KeptFolder(Path(tempfile.mkdtemp()) / 'kept', lifetime=3600, limit=1 << 20)\n"
        "folder.open()\n"
        "task = str(uuid.uuid4())\n"
        "place.install(lambda: place.Place(folder, 'owner', task, 1 << 20))\n"
        "run = cell('x = list(range(n * 1000))', keep=['x'])\n"
        "outcomes = [run(n) for n in (1, 2)]\n"
        "(first,), (second,) = [outcome.kept for outcome in outcomes]\n"
        "assert (first.name, second.name, second.length) == ('x__0', 'x__1', 2000), (first, second)\n"
        "assert len(second.shown.data['text/plain']) <= 201\n"
        "assert folder.size(place.place().key('x__1')) == second.size\n"
    )
