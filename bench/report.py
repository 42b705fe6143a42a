"""The table that `make bench` prints, as Markdown, so that it can be quoted as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
NAMES = {
    "ours": "ours",
    "pool": "ProcessPoolExecutor",
    "parsl_htex": "Parsl HTEX",
    "standalone": "ours, with no service",
}
OURS = ("ours", "standalone")
"""Which systems are compared with the others: the first one that was measured."""
ROWS = (
    ("tasks_per_s", "no-op, one by one, tasks/s", "{:,.0f}"),
    ("map_calls_per_s", "no-op, map(chunksize=100), calls/s", "{:,.0f}"),
    ("map_of_one_calls_per_s", "no-op, map(), calls/s", "{:,.0f}"),
    ("rtt_p50_ms", "warm round trip p50, ms", "{:.2f}"),
    ("rtt_p95_ms", "warm round trip p95, ms", "{:.2f}"),
    ("rtt_p99_ms", "warm round trip p99, ms", "{:.2f}"),
    ("nap_efficiency", "10 ms sleeps on 2 workers, efficiency", "{:.3f}"),
    ("echo_mb_per_s", "1 MB echo, MB/s", "{:.0f}"),
    ("cold_start_s", "cold start to first result, s", "{:.2f}"),
    ("cpu_us_per_task", "CPU per no-op, all processes, µs", "{:.0f}"),
    ("submit_us", "of it in submit(), wall clock, µs", "{:.1f}"),
    ("memory_mb", "memory of all processes (RSS), MB", "{:.0f}"),
    ("idle_percent", "idle, % of a core", "{:.2f}"),
)


def report(medians: dict[str, dict[str, Any]], machine: dict[str, Any]) -> str:
    """Return all tables."""
    lines = ["", *summary(medians, machine)]
    for title, figure in (
        ("CPU per no-op by process, µs", "cpu_us_by_process"),
        ("Memory by process, MB", "memory_mb_by_process"),
    ):
        lines += ["", title, ""]
        for system, figures in medians.items():
            parts = sorted(figures[figure].items(), key=lambda part: -part[1])
            lines.append(f"- {NAMES[system]}: " + " · ".join(f"{role} {value:,.0f}" for role, value in parts))
    return "\n".join([*lines, *hops(medians)])


def summary(medians: dict[str, dict[str, Any]], machine: dict[str, Any]) -> list[str]:
    """Return one row per figure, one column per system, and ours as a multiple of each peer."""
    subject = next((system for system in OURS if system in medians), "")
    peers = [system for system in medians if subject and system != subject]
    header = ["", *(NAMES[system] for system in medians), *(f"{NAMES[subject]} ÷ {NAMES[peer]}" for peer in peers)]
    lines = [
        f"Medians of {machine['rounds']} rounds by turns, 2 workers each; Python {machine['python']}, {machine['processors']} cores.",
        "",
        f"| {' | '.join(header)} |",
        f"|---|{'---:|' * (len(header) - 1)}",
    ]
    for figure, title, form in ROWS:
        values = [form.format(figures[figure]) for figures in medians.values()]
        ratios = [ratio(medians[subject][figure], medians[peer][figure]) for peer in peers]
        lines.append(f"| {title} | {' | '.join([*values, *ratios])} |")
    return lines


def hops(medians: dict[str, dict[str, Any]]) -> list[str]:
    """Return where the time of a warm round trip of ours goes."""
    found = medians.get("ours", {}).get("hops_us")
    if not found:
        return []
    return [
        "",
        "A warm round trip of ours by hop, median µs",
        "",
        " · ".join(f"{hop} {value:,.0f}" for hop, value in found.items()),
    ]


def quote(readme: Path, lines: list[str]) -> None:
    """Put `lines` between the markers of the README."""
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def ratio(ours: float, theirs: float) -> str:
    """Return ours as a multiple of theirs."""
    return f"{ours / theirs:.2f}" if theirs else "-"
