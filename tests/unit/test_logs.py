"""What the fabric writes to its logs, and what it never writes there."""

import json
import logging
import stat
from pathlib import Path

import pytest

from funcx_core import logs


@pytest.fixture(autouse=True)
def _restored_logging():
    root = logging.getLogger()
    level, handlers, raising = root.level, list(root.handlers), logging.raiseExceptions
    yield
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
    logging.raiseExceptions = raising


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def test_a_record_is_one_json_line_with_its_ids(tmp_path):
    path = tmp_path / "logs" / "service.log"
    logs.configure(path, console=False, process="service")
    logging.getLogger("funcx_core.x").info("leased %d tasks", 3, extra={"endpoint_id": "e1", "count": 3})
    [line] = lines(path)
    assert line["message"] == "leased 3 tasks"
    assert (line["level"], line["logger"], line["process"]) == ("INFO", "funcx_core.x", "service")
    assert (line["endpoint_id"], line["count"]) == ("e1", 3)
    assert line["thread"] == "MainThread"
    assert line["ts"].endswith("+00:00")


def test_every_line_says_to_what_the_process_belongs(tmp_path):
    path = tmp_path / "manager.log"
    logs.configure(path, console=False, process="manager", ids={"block_id": "b0", "manager_id": "m1"})
    logging.getLogger("x").info("hello")
    [line] = lines(path)
    assert (line["block_id"], line["manager_id"]) == ("b0", "m1")


@pytest.mark.parametrize(("level", "lines_of_tasks"), [(logs.Level.TRACE, 2), (logs.Level.DEBUG, 0)])
def test_tasks_are_traced_one_by_one_if_that_is_wanted(tmp_path, level, lines_of_tasks):
    path = tmp_path / "agent.log"
    logs.configure(path, console=False, process="agent", level=level)
    logs.trace_tasks(logging.getLogger("x"), "leased", ["t1", "t2"], manager_id="m1")
    assert [(line["level"], line["message"], line["task_id"], line["manager_id"]) for line in lines(path)] == [
        ("TRACE", "leased", "t1", "m1"),
        ("TRACE", "leased", "t2", "m1"),
    ][:lines_of_tasks]


def test_only_the_owner_may_read_the_file(tmp_path):
    path = tmp_path / "a.log"
    logs.configure(path, console=False, process="service")
    logging.getLogger("x").info("hello")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "\x1b[31mred", "nul\x00", "\x9b2J", "line\u2028separator", "\udcff"]
)
def test_nothing_logged_can_forge_a_line_or_drive_a_terminal(tmp_path, text):
    path = tmp_path / "a.log"
    logs.configure(path, console=False, process="agent")
    logging.getLogger("x").warning("user said %s", text)
    content = path.read_text()
    assert len(content.splitlines()) == 1
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in content.rstrip("\n"))


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer s3cr3t-canary",
        "headers={'authorization': 'bearer s3cr3t-canary'}",
        '{"token": "s3cr3t-canary"}',
        "GET /v2/tasks?access_token=s3cr3t-canary&x=1",
        "password=s3cr3t-canary",
    ],
)
def test_tokens_never_reach_the_file(tmp_path, text):
    path = tmp_path / "a.log"
    logs.configure(path, console=False, process="agent")
    logging.getLogger("x").info("%s", text, extra={"header": text})
    assert "s3cr3t-canary" not in path.read_text()
    assert "***" in path.read_text()


def test_a_traceback_is_a_field_of_the_line(tmp_path):
    path = tmp_path / "a.log"
    logs.configure(path, console=False, process="agent")
    try:
        raise ValueError("Bearer s3cr3t-canary")
    except ValueError:
        logging.getLogger("x").exception("failed")
    [line] = lines(path)
    assert "ValueError" in line["exception"]
    assert "s3cr3t-canary" not in line["exception"]


def test_the_file_rotates(tmp_path):
    path = tmp_path / "a.log"
    logs.configure(path, console=False, process="agent", rotate_at=2000)
    for number in range(100):
        logging.getLogger("x").info("number %d", number)
    assert path.stat().st_size <= 2000
    assert {file.name for file in tmp_path.iterdir()} == {"a.log", "a.log.1", "a.log.2", "a.log.3"}


def test_the_console_gets_short_text_and_a_traceback_only_when_debugging(tmp_path, capsys):
    for debug in (False, True):
        logs.configure(None, console=True, level=logs.Level.DEBUG if debug else logs.Level.INFO, process="service")
        try:
            raise ValueError("inner")
        except ValueError:
            logging.getLogger("x").exception("it failed")
        text = capsys.readouterr().err
        assert "error: it failed" in text
        assert ("Traceback" in text) is debug
        assert "\x1b" not in text, "colour is for terminals"
