"""Judges an installed wheel: what is in it, what a bare install can import, and that nothing heavy comes with it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile

PACKAGES = {"funcx", "funcx_core", "funcx_endpoint", "funcx_jupyter"}
HEAVY = ("parsl", "IPython", "sqlalchemy", "uvloop", "psutil", "numpy", "pandas", "jupyter_server", "ipywidgets")


def main(wheel: str) -> None:
    """Exit with a message if the wheel is not as it should be."""
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name and ".data/" not in name}
    expect(top == PACKAGES, f"the wheel holds {sorted(top)}, not {sorted(PACKAGES)}")
    for package in PACKAGES:
        expect(f"{package}/py.typed" in names, f"{package} has no py.typed")

    import funcx

    expect("site-packages" in funcx.__file__, f"funcx was imported from {funcx.__file__}")
    from funcx import FuncXClient, FuncXExecutor  # noqa: F401

    loaded = [name for name in HEAVY if name in sys.modules]
    expect(not loaded, f"import funcx pulls {loaded}")
    installed = [name for name in HEAVY if importlib.util.find_spec(name)]
    expect(not installed, f"a bare install brings {installed}")
    for program in ("funcx", "funcx-endpoint", "funcx-service"):
        command = [f"{sys.prefix}/bin/{program}", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        expect("Traceback" not in done.stderr, f"{program} --help of a bare install: {done.stderr}")
    print("The wheel installs bare, imports, and brings nothing heavy.")


def expect(condition: object, otherwise: str) -> None:
    """Exit with `otherwise` unless `condition` holds."""
    if not condition:
        sys.exit(otherwise)


if __name__ == "__main__":
    main(sys.argv[1])
