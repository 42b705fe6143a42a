"""Modules of others that are changed when they are imported."""

from __future__ import annotations

import importlib
import sys
import zipfile

import pytest

from funcx_endpoint.worker.bars.late import Late


@pytest.fixture
def late(monkeypatch, tmp_path):
    changed = []

    def change(module):
        changed.append(module.__name__)
        module.VALUE = module.VALUE + 1

    made = Late({"late_one": change, "late_pack.inner": change})
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    importlib.invalidate_caches()
    return made, changed


def test_what_is_imported_later_is_changed_once(late, tmp_path):
    made, changed = late
    (tmp_path / "late_one.py").write_text("VALUE = 1")
    (tmp_path / "late_other.py").write_text("VALUE = 1")
    (tmp_path / "late_pack").mkdir()
    (tmp_path / "late_pack" / "__init__.py").write_text("from late_pack.inner import VALUE")
    (tmp_path / "late_pack" / "inner.py").write_text("VALUE = 1")
    made.install()
    assert importlib.import_module("late_other").VALUE == 1
    assert importlib.import_module("late_one").VALUE == 2
    assert importlib.import_module("late_one").VALUE == 2
    assert importlib.import_module("late_pack").VALUE == 2
    assert changed == ["late_one", "late_pack.inner"]


def test_what_is_imported_already_is_changed_at_once(late, tmp_path):
    made, changed = late
    (tmp_path / "late_one.py").write_text("VALUE = 1")
    importlib.import_module("late_one")
    made.install()
    assert changed == ["late_one"]


def test_a_version_that_we_do_not_know_stays_as_it_is(late, tmp_path):
    made, changed = late
    (tmp_path / "late_one.py").write_text("OTHER = 1")
    made.install()
    assert importlib.import_module("late_one").OTHER == 1
    assert changed == ["late_one"]


def test_modules_of_one_zip_file(late, tmp_path):
    made, changed = late
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as pack:
        pack.writestr("late_one.py", "VALUE = 1")
        pack.writestr("late_other.py", "VALUE = 1")
    sys.path.insert(0, str(tmp_path / "pack.zip"))
    made.install()
    assert importlib.import_module("late_one").VALUE == 2
    assert importlib.import_module("late_other").VALUE == 1
    assert changed == ["late_one"]


def test_a_module_that_is_not_there(late):
    made, _ = late
    made.install()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("late_one")
