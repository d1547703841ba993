"""A layout's id is that of its content, wherever the content has been."""

from __future__ import annotations

import json

from monitoring_pipeline.profiles.layout import ColumnLayout, Layout, OutcomeLayout


def test_a_layout_survives_a_store_that_writes_large_numbers_without_a_point():
    """PostgreSQL's jsonb gives 1.8e19 back as 18000000000000000000, which JSON reads as an integer."""
    hashes = ColumnLayout("hash", "feature", "numerical", edges=(-1e300, 2.0, 1.8446744073709552e19))
    outcome = OutcomeLayout("regression", error_edges=(-1e16, 0.0, 1e16), centre=3e17)
    layout = Layout((hashes,), outcome)
    stored = json.dumps(layout.to_json(), default=str)
    for number in (-1e300, 1.8446744073709552e19, -1e16, 1e16, 3e17):
        stored = stored.replace(json.dumps(number), f"{number:.0f}")
    assert "e+" not in stored
    back = Layout.from_json(json.loads(stored))
    assert back == layout and back.layout_id == layout.layout_id
