"""Where cells and pages lead; the time range and all variables go along."""

from __future__ import annotations

from grafana.kit.overrides import Property, prop

DAGSTER = "dagster"
"""Variable that holds the address of Dagster's web server."""


def link(title: str, uid: str, span: tuple[str, str] | None = None, **variables: str) -> Property:
    """To a page: ``variable=field`` sets a variable to the raw value of a field of the row, percent-encoded.

    ``span``: fields with the ends of another time range, in milliseconds.
    """
    pairs = "".join(f"&var-{name}=${{__data.fields.{field}:percentencode}}" for name, field in variables.items())
    when = (
        "${__url_time_range}" if span is None else f"from=${{__data.fields.{span[0]}}}&to=${{__data.fields.{span[1]}}}"
    )
    return prop("links", [{"title": title, "url": f"/d/{uid}?{when}&${{__all_variables}}{pairs}"}])


def run_link(field: str = "run_id") -> Property:
    """To a run in Dagster."""
    url = f"${{{DAGSTER}}}/runs/${{__data.fields.{field}}}"
    return prop("links", [{"title": "Open the run in Dagster", "url": url, "targetBlank": True}])
