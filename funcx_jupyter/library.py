"""What `%%funcx` does, for scripts and libraries: `cell`, `on` and `remote`. Needs no IPython.

>>> from funcx_jupyter import cell, on, remote
>>> with on("theta"):
...     area = cell("estimate(n)")        # source, run with what it uses of the caller's variables
>>> @remote("theta", timeout=60)
... def simulate(seed): ...
>>> simulate(1), simulate.submit(2)       # the value, a future
"""

from __future__ import annotations

import functools
import itertools
import linecache
import math
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, overload

from funcx_core.cells.spec import FigureStyle
from funcx_jupyter.capture.values import Notebook
from funcx_jupyter.cellmaps.script import map_run
from funcx_jupyter.cellmaps.task import CellMapTask
from funcx_jupyter.options.cell import AUTO, CellOptions
from funcx_jupyter.options.rules import fitting
from funcx_jupyter.plain_screen import PlainScreen
from funcx_jupyter.session.asynchronous import BackgroundScreen
from funcx_jupyter.session.cell_task import CellTask
from funcx_jupyter.session.environment import STRICT
from funcx_jupyter.session.following import LineScreen
from funcx_jupyter.session.prepare import CellText, prepare
from funcx_jupyter.session.recall import CellPlace
from funcx_jupyter.session.run import CellRun
from funcx_jupyter.session.state import Session
from funcx_jupyter.widgets.notebook import notebook_session

if TYPE_CHECKING:
    from funcx_core.sdk.executor import FuncXExecutor
    from funcx_core.sdk.futures import FuncXFuture

P = ParamSpec("P")
T = TypeVar("T")

_chosen: ContextVar[str | None] = ContextVar("funcx_endpoint", default=None)
_numbers: Final = itertools.count(1)
_lock: Final = threading.Lock()
_executors: Final[dict[tuple[str, float | None, int], FuncXExecutor]] = {}


@contextmanager
def on(endpoint: str) -> Iterator[None]:
    """Within this, `cell` and `remote` functions that name no endpoint run on this one."""
    token = _chosen.set(endpoint)
    try:
        yield
    finally:
        _chosen.reset(token)


def cell(
    source: str,
    endpoint: str | None = None,
    *,
    inputs: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    outputs: Iterable[str] = (),
    refs: Iterable[str] = (),
    map: Mapping[str, Iterable[Any]] | None = None,  # noqa: A002 - the option is `--map`
    chunk: int | None = None,
    namespace: dict[str, Any] | None = None,
    timeout: float | None = None,
    retries: int = 0,
    env: str = STRICT,
    stream: bool = True,
    progress: str = AUTO,
    quiet: bool = True,
    stage: float = math.inf,
) -> Any:
    """Run source code on an endpoint and return the value of its last expression; what it prints is printed here.

    Args:
        source: the code. It may be indented as a whole.
        endpoint: where; else as in `on`, else the configured one, else the one that is online.
        inputs: variables to send; what the code uses if it is None.
        exclude: variables that are not sent, whatever uses them.
        outputs: variables to bring back when it has succeeded.
        refs: variables to leave there, for later code there; here their names become `RemoteRef`.
        map: run once for each element: ``{"seed": range(200)}`` binds ``seed`` to each. The value and the outputs are lists then.
        chunk: elements that travel as one; measured if it is None.
        namespace: where variables are looked up and outputs are assigned; the caller's globals if it is None.
        timeout: seconds after which it is stopped; with `map`, each element.
        retries: how often it may run again if its worker or endpoint dies.
        env: what to do about modules that the endpoint does not have: ``strict``, ``warn`` or ``off``.
        stream: print while it runs, or at its end.
        progress: how progress bars are shown: ``auto`` in place, ``text`` as the characters that they write, or ``off``.
        quiet: no line about the task at its end.
        stage: seconds that sending large variables may take; what would take longer is `LargeInputError`.

    Raises:
        SyntaxError, CaptureError, EnvironmentMismatch: nothing was sent.
        CellMapFailed: elements of a map failed. It has all of them, and the values of the others.
        BaseException: what the code raised there; nothing is assigned.
    """
    options = CellOptions(
        endpoint=endpoint,
        inputs=None if inputs is None else tuple(inputs),
        exclude=tuple(exclude),
        outputs=tuple(outputs),
        refs=tuple(refs),
        walltime=timeout,
        retries=retries,
        env=env,
        stream=stream,
        quiet=quiet,
        progress=progress,
        chunk=chunk,
        stage=stage,
    )
    variables = sys._getframe(1).f_globals if namespace is None else namespace  # noqa: SLF001 - as `exec` does
    if map is not None:
        mapped = map_run(_session(), _chosen.get(), _text(source), options, variables, given=map)
        return mapped.run(variables, place(), map_screen(quiet=quiet)).value
    fitting(options)
    return run_of(_text(source), options, variables).run(variables, place(), screen(quiet=quiet)).value


def start(
    source: str,
    endpoint: str | None = None,
    *,
    outputs: Iterable[str] = (),
    refs: Iterable[str] = (),
    map: Mapping[str, Iterable[Any]] | None = None,  # noqa: A002 - the option is `--map`
    namespace: dict[str, Any] | None = None,
    timeout: float | None = None,
) -> CellTask | CellMapTask:
    """Send source code and return its task at once; `result()` returns what `cell` would. See there for the arguments."""
    options = CellOptions(
        endpoint=endpoint, outputs=tuple(outputs), refs=tuple(refs), walltime=timeout, is_async=True, stage=math.inf
    )
    variables = sys._getframe(1).f_globals if namespace is None else namespace  # noqa: SLF001 - as `exec` does
    if map is not None:
        mapped = map_run(_session(), _chosen.get(), _text(source), options, variables, given=map)
        return mapped.start(variables, place(), PlainScreen())
    return run_of(_text(source), options, variables).start(variables, place(), PlainScreen())


def _text(source: str) -> CellText:
    text = textwrap.dedent(source).strip("\n")
    filename = f"<funcx cell {next(_numbers)}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    return CellText(visible=text, body=text, first_line=1, filename=filename, numbers=numbers_here())


def run_of(text: CellText, options: CellOptions, variables: dict[str, Any]) -> CellRun:
    """Return the run of a cell of a script, with what it uses of `variables`. Raises as `prepare` does."""
    session = _session()
    prepared = prepare(text, options, Notebook(variables), FigureStyle())
    return CellRun(session, session.endpoint(options.endpoint or _chosen.get()), prepared, options)


def place() -> CellPlace:
    """Return where a cell of this script is said to be."""
    script = Path(sys.argv[0]).resolve() if sys.argv and sys.argv[0] else Path.cwd()
    return CellPlace(notebook=str(script))


def screen(*, quiet: bool) -> LineScreen:
    """Return where the output of a cell goes: in a notebook with the extension, where that of `%%funcx` goes."""
    if notebook_session() is None:
        return PlainScreen(quiet=quiet)
    from IPython import get_ipython  # noqa: PLC0415 - the extension is loaded, so it is there

    from funcx_jupyter.screens import running_screen  # noqa: PLC0415 - as above

    return running_screen(get_ipython(), quiet=quiet)


def numbers_here() -> dict[str, int]:
    """Return N of ``In[N]`` of each cell by the name of its file; nothing outside of a notebook with the extension."""
    if notebook_session() is None:
        return {}
    from IPython import get_ipython  # noqa: PLC0415 - the extension is loaded, so it is there

    from funcx_jupyter.shell import numbers_of_cells  # noqa: PLC0415 - as above

    return numbers_of_cells(get_ipython())


def map_screen(*, quiet: bool) -> BackgroundScreen:
    """Return where the output of a cell's map goes: in a notebook with the extension, where that of `%%funcx` goes."""
    if notebook_session() is None:
        return PlainScreen(quiet=quiet)
    from IPython import get_ipython  # noqa: PLC0415 - the extension is loaded, so it is there

    from funcx_jupyter.screens import BackgroundShellScreen  # noqa: PLC0415 - as above

    return BackgroundShellScreen(get_ipython(), quiet=quiet)


@functools.cache
def _own_session() -> Session:
    return Session()


def _session() -> Session:
    return notebook_session() or _own_session()


class RemoteFunction(Generic[P, T]):
    """A function whose calls run on an endpoint. Made by `remote`.

    Attributes:
        local: the function itself.
    """

    def __init__(self, local: Callable[P, T], endpoint: str | None, timeout: float | None, retries: int) -> None:
        functools.update_wrapper(self, local)
        self.local = local
        self._endpoint = endpoint
        self._timeout = timeout
        self._retries = retries

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it there and return its value. An interrupt stops it there, too."""
        future = self.submit(*args, **kwargs)
        try:
            value: T = future.result()
        except KeyboardInterrupt:
            future.best_effort_cancel()
            raise
        return value

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> FuncXFuture:
        """Run it there and return its future at once."""
        endpoint = _session().endpoint(self._endpoint or _chosen.get()).endpoint_id
        return _executor(endpoint, self._timeout, self._retries).submit(self.local, *args, **kwargs)

    def __repr__(self) -> str:
        where = self._endpoint or "the chosen endpoint"
        return f"<{getattr(self.local, '__qualname__', self.local)}() on {where}>"


@overload
def remote(endpoint: Callable[P, T], /) -> RemoteFunction[P, T]: ...
@overload
def remote(
    endpoint: str | None = None, /, *, timeout: float | None = None, retries: int = 0
) -> Callable[[Callable[P, T]], RemoteFunction[P, T]]: ...
def remote(
    endpoint: Callable[..., Any] | str | None = None, /, *, timeout: float | None = None, retries: int = 0
) -> Any:
    """Let the calls of a function run on an endpoint: ``@remote``, ``@remote("theta", timeout=60)``.

    Args:
        endpoint: where; else as in `on`, else the configured one, else the one that is online, at the time of each call.
        timeout: seconds after which a call is stopped.
        retries: how often a call may run again if its worker or endpoint dies.
    """
    if callable(endpoint):
        return RemoteFunction(endpoint, None, None, 0)
    return lambda function: RemoteFunction(function, endpoint, timeout, retries)


def _executor(endpoint_id: str, timeout: float | None, retries: int) -> FuncXExecutor:
    from funcx_core.sdk.executor import FuncXExecutor  # noqa: PLC0415 - cells need none

    with _lock:
        known = _executors.get((endpoint_id, timeout, retries))
        if known is None:
            known = FuncXExecutor(endpoint_id, walltime=timeout, retry_on_loss=retries)
            _executors[endpoint_id, timeout, retries] = known
        return known
