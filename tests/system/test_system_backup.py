"""A copy that a real service made while it served, put in place of its data folder."""

from __future__ import annotations

import shutil

from tests.support.fabric import eventually

MB = 1_000_000


def made(size):
    import random

    return random.Random(size).randbytes(size)


def test_after_a_restore_results_are_there_and_endpoints_come_back(new_fabric, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text("[retention]\nevery = 0.2\nbackup_every = 1e-6\nbackups = 2\n")
    fabric = new_fabric(service_flags=("--config", str(settings)))
    service = fabric.home / "service"
    with fabric.executor() as executor:
        before = executor.submit(made, 12 * MB)
        before.result(60)

    def copies():
        return sorted(path for path in (service / "backups").iterdir() if not path.suffix)

    last = copies()[-1].name if (service / "backups").exists() else ""
    copy = eventually(
        lambda: [path for path in copies() if path.name > last][1:], "a copy is made after that", timeout=30
    )
    settings.write_text("[retention]\nbackups = 0\n")
    fabric.kill_service()
    copy = copies()[-1]
    assert list((copy / "large").iterdir())
    old = fabric.home / "service-before"
    service.rename(old)
    shutil.copytree(old / "backups" / copy.name, service)
    shutil.rmtree(old)
    fabric.start_service()
    assert fabric.client().get_result(before.task_id) == made(12 * MB)
    eventually(lambda: fabric.is_online("local"), "the endpoint registers again", timeout=30)
    with fabric.executor() as executor:
        assert executor.submit(made, 5).result(60) == made(5)
