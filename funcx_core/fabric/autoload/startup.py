"""The startup file of IPython that loads the magics."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final

from funcx_core.errors import ConfigError, MissingPackage

FILE: Final = "50-funcx.py"
_CONTENT: Final = """\
# Written by `funcx jupyter enable`; `funcx jupyter disable` removes it.
try:
    from funcx_jupyter.extension import load_quietly as _load_funcx
except ImportError:
    pass  # The environment of this kernel has no funcX.
else:
    _load_funcx(get_ipython())
    del _load_funcx
"""


def enable(profile: str) -> Path:
    """Write the file, and return where it is.

    Raises:
        MissingPackage: IPython is not installed.
        ConfigError: the file cannot be written.
    """
    path = _path(profile)
    try:
        path.write_text(_CONTENT)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    return path


def disable(profile: str) -> tuple[Path, bool]:
    """Remove the file; return where it was, and whether it was there. Raises as `enable` does."""
    path = _path(profile)
    was_there = path.exists()
    path.unlink(missing_ok=True)
    return path, was_there


def _path(profile: str) -> Path:
    try:
        from IPython.core.profiledir import ProfileDir, ProfileDirError  # noqa: PLC0415 - few commands need it
        from IPython.paths import get_ipython_dir  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise MissingPackage("ipython", "The magics need a kernel, and") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # It would take a folder that is gone tomorrow, with a warning.
            found: Any = ProfileDir.create_profile_dir_by_name(get_ipython_dir(), profile)
    except (ProfileDirError, OSError, UserWarning) as error:
        raise ConfigError(f"There is no profile '{profile}' of IPython, and none can be made: {error}") from None
    return Path(found.startup_dir) / FILE
