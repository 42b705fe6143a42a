"""Modules of the working directory that go with a cell."""

from __future__ import annotations

import importlib
import sys

import pytest

from funcx_core.cells import modules
from funcx_core.protocol.codec import encode
from funcx_jupyter.capture import local_modules
from funcx_jupyter.capture.local_modules import find_local_modules
from funcx_jupyter.errors import CaptureError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with modules; what was loaded of them is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    before = set(sys.modules)
    (tmp_path / "lonely_one.py").write_text("import numpy\nVALUE = 1\n")
    (tmp_path / "lonely_user.py").write_text("def f():\n    import lonely_one\n    return lonely_one.VALUE\n")
    package = tmp_path / "lonely_package"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("from .part import answer\n")
    (package / "part.py").write_text("from lonely_package.deep.below import base\nanswer = base + 1\n")
    (package / "deep" / "below.py").write_text("base = 41\n")
    (package / "data.txt").write_text("no module")
    importlib.invalidate_caches()
    yield tmp_path
    modules.remove()
    for name in set(sys.modules) - before:
        if name.startswith("lonely"):
            del sys.modules[name]


def names(found):
    return [module.name for module in found]


def test_what_is_here_is_found_with_what_it_imports(folder):
    (user, one) = find_local_modules(["lonely_user", "os", "numpy", "nowhere_at_all"], ())
    assert str(user) == "`lonely_user` (./lonely_user.py)"
    assert (one.name, [need.module for need in one.needs]) == ("lonely_one", ["numpy"])
    assert one.needs[0].reason == "`lonely_one` imports it"


def test_a_package_goes_as_a_whole(folder):
    (package,) = find_local_modules(["lonely_package.part"], ())
    assert package.place == "./lonely_package/"
    assert [(source.name, source.is_package) for source in package.sources] == [
        ("lonely_package", True),
        ("lonely_package.deep", True),
        ("lonely_package.deep.below", False),
        ("lonely_package.part", False),
    ]


def test_what_is_installed_or_ours_or_excluded_is_left(folder):
    assert find_local_modules(["numpy", "pytest", "json", "funcx_core", "funcx_jupyter"], ()) == []
    assert names(find_local_modules(["lonely_user"], ["lonely_one"])) == ["lonely_user"]


def test_a_compiled_package_and_a_folder_of_data_are_left(folder):
    (folder / "lonely_package" / "fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")
    (folder / "lonely_data").mkdir()
    (folder / "lonely_data" / "table.csv").write_text("1")
    assert find_local_modules(["lonely_package", "lonely_data"], ()) == []


def test_a_changed_file_has_another_digest(folder):
    (before,) = find_local_modules(["lonely_one"], ())
    (folder / "lonely_one.py").write_text("VALUE = 2\n")
    (after,) = find_local_modules(["lonely_one"], ())
    assert before.digest != after.digest


def test_too_much_is_refused_with_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(local_modules, "MOST_BYTES", 10)
    with pytest.raises(
        CaptureError, match=r"`lonely_one` \(\./lonely_one\.py\) would go .* leave it out with -x lonely_one"
    ):
        find_local_modules(["lonely_one"], ())
    monkeypatch.chdir(folder / "lonely_package")
    assert find_local_modules(["lonely_one"], ()) == []


def sent(names):
    return encode([source for module in find_local_modules(names, ()) for source in module.sources])


def test_modules_are_importable_from_memory_and_gone_afterwards(folder, monkeypatch):
    encoded = sent(["lonely_package", "lonely_user"])
    for path in sorted(folder.rglob("*.py")):
        path.unlink()
    monkeypatch.chdir("/")
    importlib.invalidate_caches()
    modules.install(encoded)
    package = importlib.import_module("lonely_package")
    assert package.answer == 42
    assert importlib.import_module("lonely_user").f() == 1
    assert package.__file__ == str(folder / "lonely_package" / "__init__.py")
    modules.install(encoded)
    assert importlib.import_module("lonely_package") is package  # for the next element of a map
    modules.remove()
    assert not any(name.startswith("lonely") for name in sys.modules)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("lonely_package")


def test_they_take_the_place_of_others_for_a_while(folder):
    encoded = sent(["lonely_one"])
    (folder / "lonely_one.py").write_text("VALUE = 'of the endpoint'\n")
    own = importlib.import_module("lonely_one")
    modules.install(encoded)
    assert importlib.import_module("lonely_one").VALUE == 1
    modules.install(b"")  # a cell that brings none
    assert sys.modules["lonely_one"] is own
    assert importlib.import_module("lonely_one").VALUE == "of the endpoint"


def test_tracebacks_have_the_lines_of_the_file_at_home(folder):
    (folder / "lonely_one.py").write_text("def f():\n    raise ValueError('here')\n")
    modules.install(sent(["lonely_one"]))
    with pytest.raises(ValueError, match="here") as caught:
        importlib.import_module("lonely_one").f()
    frame = caught.traceback[-1]
    assert (str(frame.path), frame.lineno) == (str(folder / "lonely_one.py"), 1)
