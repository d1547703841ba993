"""The full pass over a window - profile, quality, drift by six methods, performance - beside Evidently and a bare scan.

    python -m benchmarks.full_pass [--rows 1000000] [--large 10000000] [--without-evidently]

Each side has the same rows of the same Parquet file and a process of its own; CPU is counted from after the imports.
Reading the file is part of it. Evidently gets the reference's rows too, as it needs them; ours reads a profile of them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import duckdb

from benchmarks.data import BOOLEAN, CATEGORICAL, MONITOR, NUMERICAL, relation, write
from benchmarks.measuring import Cost, in_child, report
from benchmarks.profiles import COLUMNS, OUTCOMES
from monitoring_pipeline.profiles.parts import PARTS

REFERENCE_ROWS = 200_000
BASIC = COLUMNS | OUTCOMES
METHODS = ("psi", "jensen_shannon", "kl_divergence", "hellinger", "kolmogorov_smirnov", "wasserstein")
NUMBERS = (*NUMERICAL, "__score")
TEXTS = (*CATEGORICAL, *BOOLEAN, "__prediction", "__outcome")


def measure(rows: int, large: int, evidently: bool) -> dict[str, Cost]:
    """Costs by name of the work; the files live as long as this call."""
    costs = {}
    with tempfile.TemporaryDirectory() as directory:
        reference, current = Path(directory) / "reference.parquet", Path(directory) / "current.parquet"
        write(reference, REFERENCE_ROWS, seed=1)
        write(current, rows, seed=2, shift=0.3)
        names = ["scan", "ours", "all_parts", "two_passes", "duckdb_histogram", *(["evidently"] if evidently else [])]
        for name in names:
            costs[name] = in_child("benchmarks.full_pass", "--only", name, str(reference), str(current))
        costs["layout"] = in_child("benchmarks.full_pass", "--only", "layout", str(reference), str(current))
        if large:
            write(current, large, seed=3, shift=0.3)
            for name in ("scan", "ours", "all_parts"):
                key = f"{name}_large"
                costs[key] = in_child("benchmarks.full_pass", "--only", name, str(reference), str(current))
    return costs


def table(costs: dict[str, Cost], rows: int, large: int) -> str:
    """Markdown."""
    titles = {
        "scan": f"bare DuckDB scan, {rows:,} rows",
        "ours": f"full pass, {rows:,} rows",
        "all_parts": f"full pass with prediction bins and comoments, {rows:,} rows",
        "two_passes": f"full pass, labels later (rows read twice), {rows:,} rows",
        "duckdb_histogram": f"counts alone by DuckDB's `histogram`, {rows:,} rows",
        "evidently": f"Evidently: drift + data summary + classification, {rows:,} rows",
        "layout": f"layout of a reference of {REFERENCE_ROWS:,} rows (once per model version)",
        "scan_large": f"bare DuckDB scan, {large:,} rows",
        "ours_large": f"full pass, {large:,} rows",
        "all_parts_large": f"full pass with prediction bins and comoments, {large:,} rows",
    }
    lines = ["| work | CPU s | wall s | peak MB | CPU / scan | CPU / Evidently |", "|---|---|---|---|---|---|"]
    for name, cost in costs.items():
        scan = costs["scan_large" if name.endswith("large") else "scan"].cpu
        against = costs.get("evidently")
        share = f"1/{against.cpu / cost.cpu:.0f}" if against and not name.endswith("large") else ""
        lines.append(
            f"| {titles[name]} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.peak_mb:.0f} "
            f"| {cost.cpu / scan:.1f} | {share} |"
        )
    return "\n".join(lines)


# -- the work, each in a process of its own ----------------------------------------------------------------------------


def scan(_: Path, current: Path) -> None:
    """Every value of every column is decoded and looked at, once."""
    connection = _connection()
    looks = ", ".join([*(f'sum("{c}")' for c in NUMBERS), *(f'max("{c}")' for c in TEXTS)])
    sql = f"SELECT {looks} FROM ({relation(current).sql})"  # noqa: S608
    report(lambda: len(connection.execute(sql).fetchall()[0]), 3)


def duckdb_histogram(reference: Path, current: Path) -> None:
    """What one DuckDB statement would take for the counts of the profile alone."""
    from benchmarks.profiles import Profiles

    connection = _connection()
    layout = Profiles(connection).build_layout(relation(reference), MONITOR)
    looks = []
    for name in NUMBERS:
        edges = list(layout.column(name.replace("__", "")).edges)
        looks.append(f'count("{name}"), min("{name}"), max("{name}"), avg("{name}"), var_pop("{name}")')
        looks.append(f'histogram("{name}", {edges}::DOUBLE[])')
    looks += [f'histogram("{name}")' for name in TEXTS]
    sql = f"SELECT {', '.join(looks)} FROM ({relation(current).sql})"  # noqa: S608
    report(lambda: len(connection.execute(sql).fetchall()[0]), 3)


def layout(reference: Path, _: Path) -> None:
    from benchmarks.profiles import Profiles

    engine = Profiles(_connection())
    report(lambda: len(engine.build_layout(relation(reference), MONITOR).columns), 3)


def ours(reference: Path, current: Path) -> None:
    _full_pass(reference, current, passes=1)


def all_parts(reference: Path, current: Path) -> None:
    """The full pass with every part that a profile can have: prediction bins and comoments too."""
    _full_pass(reference, current, passes=1, parts=frozenset(PARTS))


def two_passes(reference: Path, current: Path) -> None:
    _full_pass(reference, current, passes=2)


def _full_pass(reference: Path, current: Path, passes: int, parts: frozenset[str] = BASIC) -> None:
    from benchmarks.profiles import Profiles
    from monitoring_pipeline.alerting import judge_drift, judge_performance, judge_quality
    from monitoring_pipeline.metrics.drift import measure_drift
    from monitoring_pipeline.metrics.performance import measure_performance
    from monitoring_pipeline.metrics.quality import WindowFacts, measure_quality

    engine, thresholds = Profiles(_connection()), MONITOR.thresholds
    layouts = {"1": engine.build_layout(relation(reference), MONITOR)}
    [before], [labelled_before] = engine.profile_both(relation(reference), layouts, (), 0, "day")

    def work() -> int:
        rows = relation(current)
        if passes == 1:
            [now], [labelled] = engine.profile_both(rows, layouts, (), 1, "day", parts)
        else:
            [now] = engine.profile(rows, layouts, (), "day")
            [labelled] = engine.profile_outcomes(rows, layouts, (), 1, "day")
        drift = measure_drift(
            before.columns, now.columns, model_version="1", baseline="training", segment="*", methods=METHODS
        )
        quality = measure_quality(now, before, WindowFacts(n_rows=now.n_rows))
        performance = measure_performance(labelled, labelled_before)
        verdicts = (
            judge_drift(drift, thresholds),
            judge_quality(quality, thresholds, mature=True),
            judge_performance(performance, thresholds, mature=True),
        )
        return sum(verdict.flagged.size for verdict in verdicts)

    report(work, 3)


def evidently(reference: Path, current: Path) -> None:
    """Its presets as documented, on data frames read from the same files."""
    os.environ["DO_NOT_TRACK"] = "1"
    import pandas
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationPreset, DataDriftPreset, DataSummaryPreset

    columns = [*NUMERICAL, *CATEGORICAL, *BOOLEAN]
    kind = BinaryClassification(target="__outcome", prediction_labels="__prediction", pos_label="1")
    definition = DataDefinition(
        numerical_columns=list(NUMERICAL), categorical_columns=[*CATEGORICAL, *BOOLEAN], classification=[kind]
    )

    def work() -> int:
        frames = [pandas.read_parquet(p, columns=[*columns, "__prediction", "__outcome"]) for p in (current, reference)]
        datasets = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
        presets = Report([DataDriftPreset(), DataSummaryPreset(), ClassificationPreset()])
        return len(presets.run(*datasets).dict()["metrics"])

    report(work, 1)


def _connection() -> duckdb.DuckDBPyConnection:
    """With the settings of ``lake.duck``, for the bare scan too."""
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "600MB", "preserve_insertion_order": False})
    connection.execute("SET disable_parquet_prefetching = true")
    return connection


WORK = {f.__name__: f for f in (scan, ours, all_parts, two_passes, duckdb_histogram, layout, evidently)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=10_000_000, help="0: leave it out")
    parser.add_argument("--without-evidently", action="store_true")
    parser.add_argument("--only", nargs=3, metavar=("WORK", "REFERENCE", "CURRENT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        name, reference, current = arguments.only
        WORK[name](Path(reference), Path(current))
        return
    costs = measure(arguments.rows, arguments.large, not arguments.without_evidently)
    print(table(costs, arguments.rows, arguments.large))


if __name__ == "__main__":
    main()
