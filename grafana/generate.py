"""Writes every dashboard as JSON: ``python -m grafana.generate [DIR]``. The same input always gives the same bytes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana.kit.sdk import JSONEncoder
from grafana.pages import PAGES

DASHBOARDS = Path(__file__).resolve().parent / "dashboards"


def render(name: str) -> str:
    """The JSON of one dashboard."""
    page = json.loads(json.dumps(PAGES[name](), cls=JSONEncoder))
    for part in page.get("annotations", {}).get("list", []) + page.get("links", []):
        part.pop("placement", None)  # the SDK always hides links and annotation switches in a menu
    for variable in page["templating"].get("list", []):
        for key in ("auto", "auto_count", "auto_min"):  # of intervals, which these are not; the SDK writes them on all
            variable.pop(key, None)
    for panel in page["panels"]:
        panel.get("options", {}).pop("footer", None)  # a table's; Grafana's schema has none
    return json.dumps(page, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(folder: Path) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (folder / f"{name}.json").write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DASHBOARDS)
