"""The private folder: who may read what, and files that are replaced as one step."""

import os
import stat
from pathlib import Path

import pytest

from funcx_core.errors import ConfigError
from funcx_core.home import home, private_dir, read_private, write_private


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_made_for_its_owner_alone_whatever_the_umask(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "new"))
    before = os.umask(0)
    try:
        assert mode(home()) == 0o700
    finally:
        os.umask(before)


def test_a_folder_that_others_may_write_to_is_refused_with_the_command_that_mends_it(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="chmod go-w"):
        private_dir(tmp_path)


def test_a_private_file_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "token", b"secret")
    finally:
        os.umask(before)
    assert mode(tmp_path / "token") == 0o600
    assert read_private(tmp_path / "token") == b"secret"


def test_a_secret_that_others_may_read_is_refused(tmp_path):
    write_private(tmp_path / "token", b"secret")
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_private(tmp_path / "token")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_private(tmp_path / "token", b"old")

    def no_space(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "token", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
    assert (tmp_path / "token").read_bytes() == b"old"


def test_a_file_in_its_place_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"There can be no folder .*/file: It is a file. Set FUNCX_HOME"):
        home()


def test_a_folder_that_cannot_be_made_is_named(monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", "/proc/funcx")
    with pytest.raises(ConfigError, match=r"There can be no folder /proc/funcx: .*FUNCX_HOME"):
        home()


def test_a_folder_that_one_may_not_write_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, how: False)  # root may always
    with pytest.raises(ConfigError, match="You may not write to"):
        private_dir(tmp_path)


def test_without_any_home_it_says_what_to_set(monkeypatch):
    monkeypatch.delenv("FUNCX_HOME")
    monkeypatch.setattr(
        Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home directory."))
    )
    with pytest.raises(ConfigError, match="set HOME, or FUNCX_HOME"):
        home()
