"""Tables of the two benchmarks that print JSON: the instrumentation beside its peers, and the monitor's exporter."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

PEERS = {
    "bare": "the bare callable",
    "ours": "**ours, with the durable log**",
    "ours_power": "ours, each answer on the disk before it is given (`durability=power`)",
    "prometheus_client": "plain prometheus_client and a JSON line a prediction",
    "boxkite": "boxkite, no log",
    "whylogs": "whylogs",
}
BATCHES = {
    "array": "array of numbers",
    "frame": "DataFrame",
    "categorical_frame": "DataFrame with categoricals",
    "dicts": "list of dicts",
}


def _run(module: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def instrumentation(peers: str | None) -> str:
    """Markdown. ``peers`` is an interpreter that has boxkite and whylogs; without one they are left out."""
    found = _run("benchmarks.instrumentation", *(["--peers", peers] if peers else []))
    lines = ["| single row, 25 features | p50 µs | p99 µs |", "|---|---|---|"]
    for key, cost in found["single_row"].items():
        if cost is not None:
            lines.append(f"| {PEERS.get(key, key)} | {cost['p50']:.1f} | {cost['p99']:.1f} |")
    lines += ["", "| batches of 1,000 | µs of CPU a row |", "|---|---|"]
    lines += [f"| {BATCHES.get(k, k)} | {v:.2f} |" for k, v in found["batch_microseconds_a_row"].items()]
    if theirs := found["whylogs_batch_microseconds_a_row"]:
        lines.append(f"| DataFrame, whylogs | {theirs['frame']:.2f} |")
    lines += ["", "| under load, and the page | |", "|---|---|"]
    for key in ("500_a_second_sink_up", "500_a_second_sink_down", "metrics_page"):
        figures = ", ".join(f"{name} {value:g}" for name, value in found[key].items())
        lines.append(f"| {key.replace('_', ' ')} | {figures} |")
    return "\n".join(lines)


def exporter() -> str:
    """Markdown."""
    found = _run("benchmarks.exporter")
    what = f"{found['monitors']} monitors × {found['columns']} columns, {found['samples']:,} samples"
    lines = [f"| {what} | median s | worst s |", "|---|---|---|"]
    for key, label in (
        ("scrape_seconds", "a scrape, uncached; the goal is 0.3"),
        ("statement_seconds", "of it the one statement"),
        ("text_seconds", "of it the text"),
        ("cached_scrape_seconds", "a scrape within the cache's 15 s"),
    ):
        lines.append(f"| {label} | {found[key]['median']:.3f} | {found[key]['worst']:.3f} |")
    return "\n".join(lines)
