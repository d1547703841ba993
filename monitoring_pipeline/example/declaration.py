"""The monitor of the live service: that of the demo's model, over what the service logs."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from monitoring_pipeline.example.place import MODEL, NAME, Place
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.loading import load_monitor


def write_monitor(place: Place, shipped: Path, first: date, last: date) -> Monitor:
    """Writes ``<home>/monitors/late15_live.yaml`` after the shipped ``late15.yaml``: other sources, these days."""
    yaml = YAML()
    declared: dict[str, Any] = yaml.load(shipped.read_text())
    declared["name"] = NAME
    declared["description"] = "The example service's own log: its predictions during the live demo."
    declared["predictions"] = {"path": f"{place.landed}/{NAME}/predictions/*.parquet"}
    declared["ground_truth"] = {
        "path": f"{place.landed}/{NAME}/ground_truth/*.parquet",
        "outcome": MODEL,
        "label_time": "label_time",
    }
    declared["start"], declared["end"] = first, last + timedelta(days=1)
    place.monitor_file.parent.mkdir(parents=True, exist_ok=True)
    with place.monitor_file.open("w") as out:
        yaml.dump(declared, out)
    return load_monitor(place.monitor_file)
