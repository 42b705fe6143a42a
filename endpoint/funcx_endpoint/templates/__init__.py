"""Ready configurations, which `funcx-endpoint configure --template NAME` copies for their owner to edit.

Each module beside this one is a whole `config.py`. What its owner must fill in is written as YOUR_SOMETHING, and an endpoint
does not start before it is.
"""

from __future__ import annotations

import ast
import difflib
from pathlib import Path
from typing import Final

from funcx_core.errors import ConfigError

DEFAULT: Final = "laptop"

_FOLDER: Final = Path(__file__).parent
_GENERAL: Final = ("laptop", "gpu", "slurm", "mpi", "pbs", "kubernetes")
_RETIRED: Final = {
    "theta": "Theta was switched off in 2023, and its scheduler Cobalt with it. Its successor is 'polaris'.",
    "cooley": "Cooley was switched off in 2023, and its scheduler Cobalt with it. Its successor is 'polaris'.",
}


def names() -> list[str]:
    """Return the names of all templates: those for a kind of machine first, then facilities."""
    found = sorted(path.stem for path in _FOLDER.glob("[a-z]*.py"))
    return [*_GENERAL, *(name for name in found if name not in _GENERAL)]


def text(name: str) -> str:
    """Return the template as it is written into a `config.py`.

    Raises:
        ConfigError: there is no such template.
    """
    if name in _RETIRED:
        raise ConfigError(f"There is no template '{name}'. {_RETIRED[name]}")
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(names())}."
        raise ConfigError(f"There is no template '{name[:80]}'. {hint}")
    return (_FOLDER / f"{name}.py").read_text()


def summary(name: str) -> str:
    """Return the first line of what a template says about itself."""
    return (ast.get_docstring(ast.parse(text(name))) or "").partition("\n")[0]
