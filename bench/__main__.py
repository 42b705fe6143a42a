"""``make bench``: measures every system by turns, several rounds, and prints medians with ratios.

Only ratios within one run mean anything on another day or machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from bench.processes import MARKER
from bench.report import quote, report, summary

ROOT = Path(__file__).resolve().parent.parent
SYSTEMS = {
    "ours": ROOT / ".venv" / "bin" / "python",
    "pool": ROOT / ".venv" / "bin" / "python",
    "standalone": ROOT / ".venv" / "bin" / "python",
    "parsl_htex": ROOT / ".venv-bench" / "bin" / "python",
}
USUAL = ("ours", "pool", "parsl_htex")
TIMEOUT = 600


def run_once(system: str, *, quick: bool) -> dict[str, Any] | None:
    """Measure one system in a fresh process; None if it failed, with the reason on stderr."""
    command = [str(SYSTEMS[system]), "-m", "bench.measure", system, *(["--quick"] if quick else [])]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FUNCX_")}
    path = f"{SYSTEMS[system].parent}{os.pathsep}{os.environ.get('PATH', '')}"  # as in an activated environment
    environment |= {MARKER: uuid.uuid4().hex, "PYTHONPATH": str(ROOT), "PATH": path}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"{system}: not done after {TIMEOUT} s", file=sys.stderr)
        return None
    for line in done.stdout.splitlines():
        if line.startswith("FIGURES "):
            return json.loads(line.removeprefix("FIGURES "))
    print(f"{system} failed ({done.returncode}):\n{done.stderr[-3000:]}", file=sys.stderr)
    return None


def median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure over the rounds."""
    merged: dict[str, Any] = {}
    for name, example in rounds[0].items():
        values = [figures[name] for figures in rounds]
        if isinstance(example, dict):
            merged[name] = median([{key: value.get(key, 0.0) for key in example} for value in values])
        else:
            merged[name] = statistics.median(values)
    return merged


def main() -> None:
    """Measure, print, and keep the figures in ``bench/results.json``."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one round")
    parser.add_argument("--rounds", type=int, help="rounds of all systems by turns (default 3, or 1 when quick)")
    parser.add_argument("--readme", action="store_true", help="quote the figures in README.md")
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(USUAL), help="measure only these")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    measured: dict[str, list[dict[str, Any]]] = {system: [] for system in arguments.only}
    for number in range(rounds):
        for system in arguments.only:
            start = time.perf_counter()
            figures = run_once(system, quick=arguments.quick)
            print(f"round {number + 1} of {rounds}: {system} {time.perf_counter() - start:.0f} s", file=sys.stderr)
            if figures is not None:
                measured[system].append(figures)
    medians = {system: median(found) for system, found in measured.items() if found}
    machine = {"python": platform.python_version(), "processors": os.cpu_count(), "rounds": rounds}
    print(report(medians, machine))
    if arguments.readme:
        quote(ROOT / "README.md", summary(medians, machine))
    content = {"machine": machine, "medians": medians, "rounds": measured}
    (ROOT / "bench" / "results.json").write_text(json.dumps(content, indent=1))
    sys.exit(0 if len(medians) == len(arguments.only) else 1)


if __name__ == "__main__":
    main()
