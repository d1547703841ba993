"""Writes ``grafana/provisioning/alerting/rules.yaml``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from grafana.alerts.rules import provisioned

OUT = Path(__file__).resolve().parents[1] / "provisioning" / "alerting" / "rules.yaml"
HEADER = "# Written by `python -m grafana.alerts`; change grafana/alerts/, not this.\n"


def render() -> str:
    """The file's text: queries in block style, so that a change of one can be read."""
    yaml = YAML()
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(_in_blocks(provisioned()), text)
    return HEADER + text.getvalue()


def _in_blocks(value: Any) -> Any:
    if isinstance(value, str):
        return LiteralScalarString(value) if "\n" in value else value
    if isinstance(value, dict):
        return {key: _in_blocks(one) for key, one in value.items()}
    return [_in_blocks(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    OUT.write_text(render(), encoding="utf-8")
