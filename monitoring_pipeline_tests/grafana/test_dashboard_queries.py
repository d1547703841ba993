"""Every query of every dashboard on a real Postgres, as Grafana would send it, also where names are awkward."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from grafana.expansion import (
    Range,
    asked_of_prometheus,
    dashboards,
    expanded,
    of_postgres,
    targets,
)
from monitoring_pipeline_tests.grafana.world import N_COLUMNS, RENAMED, SEGMENT, VERSION
from monitoring_pipeline_tests.toy import START

PAGES = dashboards()
ROOT = Path(__file__).resolve().parents[2]
FIRST = datetime(START.year, START.month, START.day, tzinfo=UTC)
SPAN = Range(FIRST, FIRST + timedelta(days=13))
TEXTS, BOOLEAN, TIMES, NUMBERS = {25, 1043}, 16, {1184}, {20, 21, 23, 700, 701, 1700}
# No failure, nothing stale, results by the clock rather than of the data, importance not known.
MAY_BE_EMPTY = {
    ("column", "Importance", "A"),
    ("system", "Failed stages", "A"),
    ("system", "Stale stages", "A"),
    ("system", "Stages completed", "A"),
}


class Reader:
    """Asks as Grafana does: one statement, nothing but reading, as the role that may read the public views only."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url.replace("+psycopg2", ""))
        self._connection.set_session(readonly=True, autocommit=True)
        with self._connection.cursor() as cursor:
            cursor.execute("set role grafana_reader")

    def ask(self, sql: str) -> tuple[list[tuple[str, int]], list[tuple[Any, ...]]]:
        """(name, type) of the columns, and the rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return [(column.name, column.type_code) for column in cursor.description], cursor.fetchall()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def reader(world: str) -> Iterator[Reader]:
    opened = Reader(world)
    yield opened
    opened.close()


def offered(reader: Reader, variable: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
    """Values that a variable offers, given those before it."""
    if variable["type"] == "custom":
        return [option["value"] for option in variable["options"]]
    if variable["type"] == "textbox":
        return [variable["query"]]
    if not of_postgres(variable):
        return []
    columns, rows = reader.ask(expanded(variable["query"], values, SPAN))
    names = [name for name, _ in columns]
    at = names.index("__value") if "__value" in names else 0
    assert names in (["__text", "__value"], names[:1])
    return [str(row[at]) for row in rows]


def chosen(reader: Reader, page: Mapping[str, Any], asked: Mapping[str, str]) -> dict[str, str]:
    """The value of each variable: the one asked for, else the first offered, else nothing."""
    values: dict[str, str] = {}
    for variable in page["templating"]["list"]:
        found = offered(reader, variable, values)
        values[variable["name"]] = asked.get(variable["name"], found[0] if found else "")
    return values


def check_panels(reader: Reader, name: str, values: Mapping[str, str], span: Range = SPAN) -> set[tuple[str, str, str]]:
    """Every panel and annotation answers, in the shape that it draws. Those without rows."""
    page, empty = PAGES[name], set()
    for panel, target in targets(page):
        if of_postgres(target):
            columns, rows = reader.ask(expanded(target["rawSql"], values, span))
            check_shape(panel, target, columns, rows)
            if not rows or all(value is None for row in rows for value in row):
                empty.add((name, panel["title"], target["refId"]))
    for event in page["annotations"]["list"]:
        if of_postgres(event):
            columns, rows = reader.ask(expanded(event["target"]["rawSql"], values, span))
            assert {"time", "text", "tags"} <= {column for column, _ in columns}
            assert all(row[0] is not None for row in rows)
    return empty


def check_shape(panel: Any, target: Any, columns: list[tuple[str, int]], rows: list[tuple[Any, ...]]) -> None:
    """A series has a column time, is sorted by it, has numbers and at most a label ``metric``, no boolean."""
    where, kinds = panel["title"], dict(columns)
    assert BOOLEAN not in kinds.values(), f"{where}: a boolean becomes a label"
    if target["format"] != "time_series":
        return
    assert kinds.pop("time") in TIMES, where
    times = [row[[name for name, _ in columns].index("time")] for row in rows]
    assert times == sorted(times) and None not in times, where
    labels = {name for name, kind in kinds.items() if kind in TEXTS}
    assert labels <= {"metric", "monitor"} and len(labels) <= 1, where
    assert kinds.keys() - labels and all(kinds[name] in NUMBERS for name in kinds.keys() - labels), (where, kinds)


def names_of(name: str) -> list[str]:
    return [variable["name"] for variable in PAGES[name]["templating"]["list"]]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_no_panel_is_empty_on_a_monitor_that_has_everything(name: str, reader: Reader) -> None:
    empty = check_panels(reader, name, chosen(reader, PAGES[name], {"monitor": "toy", "version": "v1"}))
    assert empty <= MAY_BE_EMPTY


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_value_that_a_variable_offers_can_be_chosen(name: str, reader: Reader) -> None:
    start = chosen(reader, PAGES[name], {"monitor": "toy"})
    seen: dict[str, str] = {}
    for variable in PAGES[name]["templating"]["list"]:
        for value in offered(reader, variable, seen):
            if value != start[variable["name"]]:
                check_panels(reader, name, chosen(reader, PAGES[name], seen | {variable["name"]: value}))
        seen[variable["name"]] = start[variable["name"]]


def test_awkward_names_are_offered_and_find_their_rows(reader: Reader) -> None:
    page = PAGES["column"]
    values = chosen(reader, page, {"monitor": "toy", "version": VERSION.replace("$", "＄")})
    of = {v["name"]: v for v in page["templating"]["list"]}
    assert VERSION.replace("$", "＄") in offered(reader, of["version"], values)
    assert {n.replace("$", "＄") for n in RENAMED.values()} <= set(offered(reader, of["column"], values))
    segment = f"region={SEGMENT['north']}".replace("$", "＄")
    assert segment in offered(reader, of["segment"], values)
    for column in RENAMED.values():
        every = values | {"column": column.replace("$", "＄"), "segment": segment}
        empty = check_panels(reader, "column", every)
        # a number has no unseen categories and a category no mean
        assert {title for _, title, _ in empty} <= {"Mean and spread", "Importance"}


@pytest.mark.parametrize("monitor", ["unlabelled", "bare", "retired", "toy"])
def test_nothing_fails_where_data_is_missing(monitor: str, reader: Reader) -> None:
    later = Range(SPAN.end + timedelta(days=300), SPAN.end + timedelta(days=330))
    for name in PAGES:
        values = chosen(reader, PAGES[name], {"monitor": monitor})
        check_panels(reader, name, values)
        check_panels(reader, name, values, later)


def test_nothing_fails_on_an_empty_database(nothing: str) -> None:
    reader = Reader(nothing)
    for name in PAGES:
        check_panels(reader, name, chosen(reader, PAGES[name], {}))
    reader.close()


def test_a_monitor_of_400_columns_is_shown_up_to_the_limits_that_panels_name(wide_world: str) -> None:
    reader = Reader(wide_world)
    for name in PAGES:
        check_panels(reader, name, chosen(reader, PAGES[name], {"monitor": "wide"}))
    page = PAGES["model"]
    values = chosen(reader, page, {"monitor": "wide"})
    heat = next(panel for panel in page["panels"] if panel["title"].startswith("Verdicts by column"))
    columns, rows = reader.ask(expanded(heat["targets"][0]["rawSql"], values, SPAN))
    at = [name for name, _ in columns].index("metric")
    assert 0 < len({row[at] for row in rows}) <= 50
    of_column = next(v for v in PAGES["column"]["templating"]["list"] if v["name"] == "column")
    offers = offered(reader, of_column, chosen(reader, PAGES["column"], {"monitor": "wide"}))
    assert {f"f{n:03d}" for n in range(N_COLUMNS)} <= set(offers), "every column can be chosen"
    reader.close()


def test_fleet_says_how_each_monitor_stands(reader: Reader) -> None:
    table = next(
        panel for panel in PAGES["fleet"]["panels"] if panel["title"] == "Monitors" and panel["type"] == "table"
    )
    columns, rows = reader.ask(expanded(table["targets"][0]["rawSql"], {}, SPAN))
    found = {row[1]: dict(zip([name for name, _ in columns], row, strict=True)) for row in rows}
    assert set(found) == {"toy", "unlabelled", "bare", "retired"}
    assert found["retired"]["lag"] == 0, "no window is missing of a monitor that has ended"
    (newest,) = reader.ask(
        "select value, coverage from monitoring.window_summary_current"
        " where monitor = 'toy' and mature and value is not null order by window_start desc, n_predictions desc limit 1"
    )[1]
    assert found["toy"]["value"] == newest[0] and found["toy"]["metric"] == "roc_auc"
    assert found["bare"]["health"] == 2 and found["bare"]["lag"] == 0, "no data is a state of its own"
    assert found["unlabelled"]["value"] is None and found["unlabelled"]["coverage"] is None
    assert found["toy"]["champion"] == VERSION and found["toy"]["drifted"] > 0
    ends = {row[1]: row[0] for row in rows}
    assert list(ends.values()) == sorted(ends.values(), reverse=True), "the worst first"


def test_distributions_are_shares_of_what_was_counted(reader: Reader) -> None:
    panel = next(p for p in PAGES["column"]["panels"] if p["title"].startswith("Distribution"))
    values = chosen(reader, PAGES["column"], {"monitor": "toy", "version": "v1", "column": "x"})
    columns, rows = reader.ask(expanded(panel["targets"][0]["rawSql"], values, SPAN))
    shares = {name: [row[i] for row in rows] for i, (name, _) in enumerate(columns)}
    for name in ("reference", "seen", "recent"):
        assert sum(float(share or 0) for share in shares[name]) == pytest.approx(1)
    labels = shares["bin"]
    assert labels[-1].startswith("> ") and len(set(labels)) == len(labels)


@pytest.mark.parametrize(("name", "title"), [("column", "Distribution"), ("model", "Scores")])
def test_the_last_days_of_a_version_are_shown_long_after_them(name: str, title: str, reader: Reader) -> None:
    """As of a version that another one has replaced: it has no rows at the end of the time range."""
    panel = next(p for p in PAGES[name]["panels"] if p["title"].startswith(title))
    values = chosen(reader, PAGES[name], {"monitor": "toy", "version": "v1"})
    found = [
        reader.ask(expanded(panel["targets"][0]["rawSql"], values, Range(SPAN.start, SPAN.end + timedelta(days=after))))
        for after in (0, 60)
    ]
    at = [column for column, _ in found[0][0]].index("recent")
    assert sum(float(row[at]) for row in found[0][1]) == pytest.approx(1) and found[0] == found[1]


def test_stages_completed_are_all_shown_within_the_time_range(reader: Reader) -> None:
    """Whatever its length: a run that began after the range did is not drawn before it."""
    panel = next(p for p in PAGES["system"]["panels"] if p["title"] == "Stages completed")
    done = "select min(completed_at), count(completed_at) from monitoring.stage_status where monitor = 'toy'"
    ((first, expected),) = reader.ask(done)[1]
    for before in (timedelta(seconds=20), timedelta(days=300)):
        span = Range(first - before, first + timedelta(minutes=50))
        _, rows = reader.ask(expanded(panel["targets"][0]["rawSql"], {"monitor": "toy"}, span))
        assert sum(row[2] for row in rows) == expected
        assert all(span.start - timedelta(seconds=1) <= row[0] <= span.end for row in rows)


OF_A_METRIC = {
    ("model", "$metric of $monitor"): {"fine", "degraded", "provisional", "merged", "reference", "threshold"},
    ("segments", "Segments"): {"newest", "merged"}, ("segments", "$metric by segment"): {"value"},
    ("retraining", "Headline metric by version"): {"value"},
}  # fmt: skip
"""Fields of panels that hold values of a performance metric."""


def drawn(reader: Reader, monitor: str) -> dict[tuple[str, str, str], set[float]]:
    """The values of ``OF_A_METRIC`` by page, panel and field."""
    found: dict[tuple[str, str, str], set[float]] = {}
    for name, title in OF_A_METRIC:
        values = chosen(reader, PAGES[name], {"monitor": monitor, "version": "v1", "metric": "roc_auc"})
        for panel, target in targets(PAGES[name]):
            if panel["title"] == title and panel["type"] in ("timeseries", "table"):
                columns, rows = reader.ask(expanded(target["rawSql"], values, SPAN))
                for i, (field, _) in enumerate(columns):
                    if field in OF_A_METRIC[name, title]:
                        found[name, title, field] = {float(row[i]) for row in rows if row[i] is not None}
    return found


@pytest.mark.parametrize("monitor", ["toy", "retired"])
def test_no_panel_draws_a_mean_of_a_metric_that_does_not_add_up(monitor: str, reader: Reader) -> None:
    """The AUC of windows is that of their rows together: what is drawn was measured, on a window or on merged ones."""
    of = f"where monitor = '{monitor}' and metric = 'roc_auc'"
    window, merged, usual = (
        {float(row[0]) for row in reader.ask(f"select {field} from monitoring.{view} {of}")[1] if row[0] is not None}
        for field, view in (("value", "performance_current"), ("value", "rollup_performance_current"),
                            ("reference_value", "performance_current"))
    )  # fmt: skip
    found = drawn(reader, monitor)
    for place, values in found.items():
        assert values <= window | merged | usual, place
    rollups_only = {("model", "$metric of $monitor", "merged"), ("segments", "Segments", "merged")}
    lines = [
        found["segments", "$metric by segment", "value"],
        found["retraining", "Headline metric by version", "value"],
    ]
    assert all(lines) and all(values <= (merged or window) for values in lines)
    assert all(bool(found[place]) == bool(merged) and found[place] <= merged for place in rollups_only)


def test_steps_of_merged_windows_last_as_long_as_these(reader: Reader) -> None:
    """March 2024 begins on a Friday: the first week is three days of the range, and nothing is drawn after the last."""
    panel = next(p for p in PAGES["model"]["panels"] if p["title"] == "$metric of $monitor")
    values = chosen(reader, PAGES["model"], {"monitor": "toy", "version": "v1", "metric": "roc_auc"})
    _, rows = reader.ask(expanded(panel["targets"][2]["rawSql"], values, SPAN))
    times = [row[0] for row in rows]
    assert times[:2] == [FIRST, FIRST + timedelta(days=3)] and times[-1] == SPAN.end
    assert rows[-1][1] is None and rows[-2][1] is not None and None not in [row[1] for row in rows[:-1]]


# -- Prometheus ----------------------------------------------------------------------------------------------------


def expressions() -> list[str]:
    return [asked_of_prometheus(t["expr"]) for page in PAGES.values() for _, t in targets(page) if "expr" in t]


@pytest.mark.server
def test_promql_is_valid(tmp_path: Path) -> None:
    rules = "".join(f"  - record: a:b{i}\n    expr: {expr!r}\n" for i, expr in enumerate(expressions()))
    (tmp_path / "rules.yml").write_text(f"groups:\n- name: all\n  rules:\n{rules}")
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(expressions())} rules found" in done.stdout


@pytest.mark.server
def test_live_drift_ranks_the_columns_by_their_largest_value(tmp_path: Path) -> None:
    """Each target asks for one column: what was largest at any time of the range, which need not be the last."""
    panel = next(p for p in PAGES["service"]["panels"] if p["title"] == "Live PSI")
    found = {"a": "0.5x9 0.1", "b": "0.3x9 0.3", "c": "0.9 0.2x9"}
    name = {column: f'model:column_psi:30m{{monitor="m",model_version="v",column="{column}"}}' for column in found}
    newest = {"a": 0.1, "b": 0.3, "c": 0.2}
    wanted = [[column] for column in ("c", "a", "b")] + [[]] * 3
    asked = [t for t in panel["targets"] if "topk" in t["expr"]]
    tests = [
        {"expr": asked_of_prometheus(target["expr"]), "eval_time": "10m",
         "exp_samples": [{"labels": name[column], "value": newest[column]} for column in columns]}
        for target, columns in zip(asked, wanted, strict=True)
    ]  # fmt: skip
    series = [{"series": name[column], "values": values} for column, values in found.items()]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": [], "tests": [case]}))
    done = subprocess.run(["promtool", "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [t["legendFormat"][:1] for t in asked] == list("①②③④⑤⑥"), "colours go by rank"


def test_every_series_that_is_asked_for_is_exported_or_recorded() -> None:
    sources = "".join(
        path.read_text()
        for folder, ending in (("monitoring_pipeline", "*.py"), ("prometheus", "*.yml"))
        for path in (ROOT / folder).rglob(ending)
    )
    asked = {
        n for expr in expressions() for n in re.findall(r"\b(?:model|monitoring|collector)[_:][\w:]+(?=[{\[)]| )", expr)
    }
    assert len(asked) > 25
    health = {n for n in asked if n.startswith("monitoring_") and f'"{n.removeprefix("monitoring_")}"' in sources}
    missing = [n for n in asked - health if re.sub(r"_(total|bucket|count)$", "", n) not in sources]
    assert missing == []
