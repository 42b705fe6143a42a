"""When housekeeping has what to do."""

from __future__ import annotations

from funcx_core.service.config import RetentionConfig
from funcx_core.service.retention import (
    DAY,
    Backup,
    Chore,
    DeleteTasks,
    DeleteTokens,
    DeleteUnusedCode,
    ExpireOthers,
    ExpireTasks,
    Optimize,
    Planner,
)

NOW = 100 * DAY


def all_done(planner: Planner, now: float) -> list[Chore]:
    due = planner.due(now=now)
    for chore in due:
        planner.done(chore, now=now)
    return due


def test_at_the_start_everything_is_due() -> None:
    config = RetentionConfig(results=14, tokens=30, task_expiry=7, backups=2)
    assert Planner(config).due(now=NOW) == [
        ExpireTasks(NOW - 7 * DAY),
        DeleteTasks(NOW - 14 * DAY),
        DeleteTokens(NOW - 30 * DAY),
        ExpireOthers(NOW),
        DeleteUnusedCode(),
        Optimize(),
        Backup(2),
    ]


def test_what_was_done_is_due_again_after_its_period() -> None:
    planner = Planner(RetentionConfig(every=300))
    all_done(planner, NOW)
    assert planner.due(now=NOW + 299) == []
    assert {type(each) for each in all_done(planner, NOW + 300)} == {
        ExpireTasks,
        DeleteTasks,
        DeleteTokens,
        ExpireOthers,
    }
    assert {Backup, Optimize, DeleteUnusedCode} <= {type(each) for each in planner.due(now=NOW + DAY)}


def test_what_failed_is_due_in_the_next_round() -> None:
    planner = Planner(RetentionConfig())
    (first, *others) = planner.due(now=NOW)
    for chore in others:
        planner.done(chore, now=NOW)
    assert planner.due(now=NOW) == [first]


def test_zero_keeps_for_ever() -> None:
    due = Planner(RetentionConfig(results=0, tokens=0, task_expiry=0, backups=0)).due(now=NOW)
    assert {type(each) for each in due} == {ExpireOthers, DeleteUnusedCode, Optimize}


def test_a_restart_does_not_make_a_copy_before_its_time() -> None:
    planner = Planner(RetentionConfig(backup_every=1), last_backup=NOW - DAY / 2)
    assert Backup(3) not in planner.due(now=NOW)
    assert Backup(3) in planner.due(now=NOW + DAY / 2)


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    planner = Planner(RetentionConfig())
    all_done(planner, NOW)
    assert planner.due(now=NOW - DAY)
