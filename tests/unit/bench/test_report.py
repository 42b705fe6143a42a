"""The table of the benchmarks, and what it is made of."""

import os
import subprocess
import sys

import pytest

from bench import processes
from bench.__main__ import median
from bench.report import ROWS, quote, report, summary

FIGURES = {
    **{name: 2.0 for name, _, _ in ROWS},
    "cpu_us_by_process": {"client": 1.0},
    "memory_mb_by_process": {"client": 3.0},
}
MACHINE = {"rounds": 3, "python": "3.11.0", "processors": 2}


def test_ours_is_shown_as_a_multiple_of_each_peer():
    medians = {"ours": {**FIGURES, "rtt_p50_ms": 1.0, "hops_us": {"a → b": 5.0}}, "pool": FIGURES}
    text = report(medians, MACHINE)
    assert "| warm round trip p50, ms | 1.00 | 2.00 | 0.50 |" in text
    assert "a → b 5" in text


def test_a_peer_that_failed_is_left_out():
    assert "Parsl" not in "\n".join(summary({"ours": FIGURES, "pool": FIGURES}, MACHINE))


def test_the_median_is_taken_of_every_figure():
    rounds = [{"a": 1.0, "by": {"x": 1.0}}, {"a": 9.0, "by": {"x": 3.0}}, {"a": 2.0, "by": {}}]
    assert median(rounds) == {"a": 2.0, "by": {"x": 1.0}}


def test_the_readme_is_changed_between_the_markers_only(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
    quote(readme, ["new"])
    assert readme.read_text() == "before\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nafter\n"


def test_processor_time_of_marked_processes_and_their_children_is_counted():
    work = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint('done', flush=True)\ninput()"
    environment = {**os.environ, processes.MARKER: "some-run"}
    with subprocess.Popen(
        [sys.executable, "-c", work], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        used = processes.usage("some-run")
        child.communicate(b"\n")
    assert used["other"].cpu_seconds >= 0.25
    assert used["other"].memory_bytes > 1_000_000
    assert "client" in used


@pytest.mark.parametrize("before", [{}, {"client": processes.Usage(1.0, 5)}])
def test_only_what_was_used_in_between_counts(before):
    after = {"client": processes.Usage(3.0, 5)}
    assert processes.cpu_between(before, after) == {"client": 3.0 - (1.0 if before else 0.0)}
