"""What `funcx lab` starts."""

from funcx_core.fabric.lab import command_line


def test_it_opens_the_quickstart_of_the_folder(tmp_path):
    (tmp_path / "quickstart.ipynb").write_text("{}")
    command = command_line(tmp_path, (), as_root=False)
    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert "--LabApp.default_url=/lab/tree/quickstart.ipynb" in command


def test_a_folder_of_ones_own_is_just_shown(tmp_path):
    command = command_line(tmp_path, (), as_root=False)
    assert command[-1] == f"--ServerApp.root_dir={tmp_path}"


def test_what_the_user_sets_is_set_once(tmp_path):
    (tmp_path / "quickstart.ipynb").write_text("{}")
    mine = ("--ServerApp.root_dir=/x", "--LabApp.default_url=/lab", "--allow-root")
    assert command_line(tmp_path, mine, as_root=True)[3:] == list(mine)


def test_root_in_a_container_is_let_in(tmp_path):
    assert command_line(tmp_path, ("--no-browser",), as_root=True)[-2:] == ["--allow-root", "--no-browser"]
