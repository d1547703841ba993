"""Live figures against ``metrics.drift`` for the same counts: irregular traffic, empty bins, restarts, replicas."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client.utils import floatToGoString
from ruamel.yaml import YAML

from monitoring_pipeline.metrics.drift import measure_drift
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.layout import ColumnLayout

RULES = Path(__file__).resolve().parents[2] / "prometheus" / "rules" / "columns.yml"
STEPS = 240  # an hour of scrapes at 15 s
METHODS = {"psi": "psi", "kl_divergence": "kl", "kolmogorov_smirnov": "ks", "unseen_share": "unseen_share"}

pytestmark = pytest.mark.server


@dataclass(frozen=True)
class Traffic:
    """A column's reference counts and what its bins gain at each scrape, by replica: shape (replicas, STEPS, bins)."""

    layout: ColumnLayout
    reference: NDArray[np.int64]
    gained: NDArray[np.int64]
    before: NDArray[np.int64]  # what the counters stand at when Prometheus starts to look


def profile(layout: ColumnLayout, counts: NDArray[np.int64]) -> ColumnProfile:
    return ColumnProfile(layout, int(counts.sum()), 0, 0, 0, 0, counts)


def numerical(name: str, reference: list[int], shares: list[float], rng: np.random.Generator) -> Traffic:
    layout = ColumnLayout(name, "feature", "numerical", edges=tuple(float(e) / 3 for e in range(len(reference) - 1)))
    return _traffic(layout, reference, shares, rng)


def categorical(name: str, reference: list[int], shares: list[float], rng: np.random.Generator) -> Traffic:
    layout = ColumnLayout(name, "feature", "categorical", categories=tuple(f'c"{i}' for i in range(len(reference) - 1)))
    return _traffic(layout, reference, shares, rng)


def _traffic(layout: ColumnLayout, reference: list[int], shares: list[float], rng: np.random.Generator) -> Traffic:
    rows = rng.integers(1, 400, (2, STEPS))
    gained = rng.multinomial(rows, np.array(shares) / sum(shares))
    before = rng.integers(0, 3, (2, len(reference))) * rng.integers(0, 10_000, (2, len(reference)))
    return Traffic(layout, np.array(reference), gained, before)


def columns() -> list[Traffic]:
    rng = np.random.default_rng(7)
    return [
        numerical("moved", [0, 300, 300, 400, 0], [1, 2, 3, 5, 1], rng),
        numerical("still", [0, 250, 250, 250, 250, 0], [0, 1, 1, 1, 1, 0], rng),  # empty on both sides: no part
        numerical("gap", [0, 500, 0, 500, 0], [0, 1, 1, 0, 0], rng),  # empty here, empty there
        numerical("rare", [0, 1, 99_999, 100_000, 0], [1, 0, 30, 30, 1], rng),  # least share 5e-6: the fill is 5e-12
        categorical("known", [700, 200, 100, 0], [3, 3, 3, 0], rng),
        categorical("unseen", [700, 300, 0, 0], [3, 0, 3, 1], rng),
        categorical("cut", [700, 200, 100], [3, 3, 3], rng),  # the reference has more categories than are kept
    ]


def input_series(traffic: Traffic, restart: int | None = None) -> list[dict[str, str]]:
    """What two replicas export; both start anew at scrape ``restart``."""
    layout, name = traffic.layout, traffic.layout.name
    les = [floatToGoString(e) for e in layout.edges] + ["+Inf"]
    found = []
    for i in range(layout.n_bins):
        n = int(traffic.reference[: i + 1].sum() if layout.edges else traffic.reference[i])
        category = (*layout.categories, "__unseen__")[i] if not layout.edges else ""
        label = f'le="{les[i]}"' if layout.edges else f'category="{_escaped(category)}"'
        chain = f',prev_le="{les[i - 1] if i else "-Inf"}"' if layout.edges else ""
        metric = "model_reference_value_bucket" if layout.edges else "model_reference_category"
        labels = f'monitor="m",model_version="1",column="{name}",{label}'
        found.append({"series": f"{metric}{{{labels}{chain}}}", "values": f"{n}x{STEPS}"})
        for replica in range(2):
            gained, before = traffic.gained[replica], traffic.before[replica]
            if layout.edges:
                gained, before = gained.cumsum(axis=1), before.cumsum()
            values = before[i] + np.concatenate([[0], gained[:, i].cumsum()])
            if restart is not None:
                values[restart:] -= values[restart]
            metric = "model_column_value_bucket" if layout.edges else "model_column_category_total"
            found.append({"series": f'{metric}{{{labels},instance="{replica}"}}', "values": " ".join(map(str, values))})
    return found


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def expected(traffic: Traffic, first: int, last: int) -> dict[str, float]:
    """The pipeline's figures for the rows between two scrapes."""
    counts = traffic.gained[:, first:last].sum(axis=(0, 1))
    drift = measure_drift(
        [profile(traffic.layout, traffic.reference)], [profile(traffic.layout, counts)],
        model_version="1", baseline="training", segment="*", methods=list(METHODS),
    )  # fmt: skip
    values = zip(drift.keys.metrics, drift.value.tolist(), strict=True)
    return {METHODS[method]: value for method, value in values if value == value}


def promtool(
    tmp_path: Path,
    series: list[dict[str, str]],
    cases: list[tuple[str, float]],
    tolerance: float,
    at: str = "1h",
    every: str = "1m",
) -> None:
    """Each expression must have one sample within ``tolerance`` of its figure at that time."""
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": every,
        "group_eval_order": ["model-reference", "model-columns-5m", "model-columns-30m", "model-columns-12h"],
        "tests": [
            {
                "interval": "15s",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": f"count(abs({expr} - {value!r}) <= {tolerance})",
                        "eval_time": at,
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    }
                    for expr, value in cases
                ],
            }
        ],
    }
    path = tmp_path / "live.test.yml"
    with path.open("w") as out:
        YAML().dump(document, out)
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_figures_equal_the_pipelines_for_the_same_rows(tmp_path: Path) -> None:
    cases, series = [], []
    for traffic in columns():
        series += input_series(traffic)
        for window, first in (("5m", STEPS - 20), ("30m", STEPS - 120), ("12h", 0)):
            for figure, value in expected(traffic, first, STEPS).items():
                cases.append((f'model:column_{figure}:{window}{{column="{traffic.layout.name}"}}', float(value)))
    assert len(cases) == 3 * (4 * 3 + 3 * 3)  # numerical: psi, kl, ks; categorical: psi, kl, unseen share
    promtool(tmp_path, series, cases, 1e-9)


def test_nothing_is_lost_between_a_scrape_and_an_evaluation(tmp_path: Path) -> None:
    """Evaluated 10 s after a scrape: 5 minutes are still 20 gains, those since the scrape before the window began."""
    traffic = columns()[0]
    last = 3250 // 15
    cases = [
        (f'model:column_{figure}:5m{{column="{traffic.layout.name}"}}', float(value))
        for figure, value in expected(traffic, last - 20, last).items()
    ]
    promtool(tmp_path, input_series(traffic), cases, 1e-9, at="3250s", every="50s")


def test_a_restart_within_the_window_bends_the_figures_only_a_little(tmp_path: Path) -> None:
    traffic = columns()[0]
    cases = [
        (f'model:column_{figure}:30m{{column="{traffic.layout.name}"}}', float(value))
        for figure, value in expected(traffic, STEPS - 120, STEPS).items()
    ]
    promtool(tmp_path, input_series(traffic, restart=STEPS - 30), cases, 0.02)
