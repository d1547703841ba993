"""The dashboards' files: generated, explained, without overlap, readable on a small screen, linked to what exists."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest

from grafana.expansion import DASHBOARDS, dashboards
from grafana.generate import render
from grafana.kit.page import PAGES as TITLES
from grafana.kit.queries import HERE, Queries
from grafana.pages import PAGES as MODULES

PAGES = dashboards()
EACH = pytest.mark.parametrize("name", sorted(PAGES))
A_COLUMN = 1230 / 24  # pixels of a table's width on a screen of 1,280, per column of the grid


@pytest.mark.parametrize("name", sorted(MODULES))
def test_committed_json_is_what_the_generator_writes(name: str) -> None:
    assert (DASHBOARDS / f"{name}.json").read_text(encoding="utf-8") == render(name), "python -m grafana.generate"


def test_there_is_a_file_for_each_page_and_no_other() -> None:
    assert set(PAGES) == set(MODULES)
    assert {page["uid"]: page["title"] for page in PAGES.values()} == TITLES


@EACH
def test_every_panel_is_explained_and_says_why_it_may_be_empty(name: str) -> None:
    ids = [panel["id"] for panel in PAGES[name]["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in PAGES[name]["panels"]:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert defaults["noValue"], panel["title"]
        assert defaults["unit"], panel["title"]
        if panel["type"] != "stat":
            assert len(defaults["noValue"]) > 20 or defaults["noValue"] == "no tables", (
                "a sentence that names the causes"
            )


@EACH
def test_every_variable_is_explained(name: str) -> None:
    for variable in PAGES[name]["templating"]["list"]:
        assert variable["label"] and variable["description"].endswith(".")
        assert not variable.get("multi") and not variable.get("includeAll"), "queries write '$name'"


@EACH
def test_panels_do_not_overlap_and_fill_their_rows(name: str) -> None:
    places = [panel["gridPos"] for panel in PAGES[name]["panels"]]
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
    for y in {place["y"] for place in places}:
        row = [place for place in places if place["y"] == y]
        assert sum(place["w"] for place in row) == 24 and len({place["h"] for place in row}) == 1


def tables(name: str) -> list[dict[str, Any]]:
    return [panel for panel in PAGES[name]["panels"] if panel["type"] == "table"]


@EACH
def test_tables_fit_a_small_screen(name: str) -> None:
    for panel in tables(name):
        widths = [
            prop["value"]
            for override in panel["fieldConfig"]["overrides"]
            for prop in override["properties"]
            if prop["id"] in ("custom.width", "custom.minWidth")
        ]
        assert sum(widths) <= panel["gridPos"]["w"] * A_COLUMN, panel["title"]


@EACH
def test_links_lead_to_pages_variables_and_fields_that_exist(name: str) -> None:
    page, uids = PAGES[name], {page["uid"]: page for page in PAGES.values()}
    for link in page["links"]:
        assert link["url"].removeprefix("/d/") in uids and link["keepTime"] and link["includeVars"]
    for panel in page["panels"]:
        for override in panel["fieldConfig"]["overrides"]:
            for prop in override["properties"]:
                for link in prop["value"] if prop["id"] == "links" else []:
                    check_link(link["url"], page, panel, uids)


def check_link(url: str, page: Any, panel: Any, uids: Any) -> None:
    sql = " ".join(target["rawSql"] for target in panel["targets"])
    for field in re.findall(r"__data\.fields\.(\w+)", url):
        assert re.search(rf"\b{field}\b", sql), f"{panel['title']}: no field {field}"
    if url.startswith("${dagster}"):
        assert "dagster" in {variable["name"] for variable in page["templating"]["list"]}
        return
    target = uids[re.match(r"/d/([\w-]+)\?", url)[1]]  # type: ignore[index]
    known = {variable["name"] for variable in target["templating"]["list"]}
    assert set(re.findall(r"&var-(\w+)=", url)) <= known
    assert "${__all_variables}" in url and ("${__url_time_range}" in url or "from=" in url)


@EACH
def test_colours_are_those_of_the_kit(name: str) -> None:
    """No green: with red it is what colour-blind eyes confuse; good is the absence of colour."""
    used = set(
        re.findall(r'"(?:color|fixedColor|iconColor|fill)": "([^"]+)"', (DASHBOARDS / f"{name}.json").read_text())
    )
    assert not {color for color in used if "green" in color}
    assert used <= {
        "text", "blue", "purple", "orange", "semi-dark-red", "dash", "#8e8e8e", "#E69F00", "#009E73", "#CC79A7",
        "#56B4E9", "#D55E00", "#B8A72C", "#7A6FBF", "#4C9A8F", "rgba(110, 150, 210, 0.25)",
        "rgba(255,0,255,0.7)",  # of exemplars, which there are none of
    }  # fmt: skip


def test_dashboards_read_views_only() -> None:
    """A reader's role may see nothing else."""
    for name, page in PAGES.items():
        asked = re.findall(r"monitoring\.(\w+)", str(page))
        allowed = re.compile(r"\w+_(current|history)|metric_catalog|stage_status|stale_window|drift_calibration")
        assert [view for view in asked if not allowed.fullmatch(view)] == [], name


def test_every_query_of_a_file_is_used() -> None:
    for path in sorted(HERE.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        used = set(re.findall(r"\{\{(\w+)\}\}", "".join(p.read_text(encoding="utf-8") for p in HERE.glob("*.sql"))))
        code = "".join(p.read_text() for p in HERE.parent.rglob("*.py"))
        for name in re.findall(r"^-- name: (\w+)$", text, re.MULTILINE):
            assert name in used or f'"{name}"' in code, f"{path.name}: {name}"


def test_a_misspelt_fragment_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared.sql").write_text("-- name: a\n1\n")
    (tmp_path / "page.sql").write_text("-- name: q\n-- why\nselect {{a}}, {{version}}, '{{b}}'\n")
    monkeypatch.setattr("grafana.kit.queries.HERE", tmp_path)
    with pytest.raises(KeyError, match=r"sql/page.sql: unknown fragment \{\{b\}\}"):
        Queries("page")["q"]
