"""Variables: each offers what is there for those before it, and keeps its name on every page so that links carry it."""

from __future__ import annotations

from typing import Any

from grafana.kit.sdk import dashboard, model
from grafana.kit.targets import POSTGRES, PROMETHEUS


def choice(name: str, label: str, why: str, query: str) -> Any:
    """A single-valued variable from SQL: columns ``__text`` and ``__value``, or one; see ``queries.chosen``."""
    return _variable(name, label, why, query.strip(), POSTGRES)


def label_values(
    name: str, label: str, why: str, query: str, *, sort: Any = model.VariableSort.ALPHABETICAL_ASC
) -> Any:
    """A single-valued variable from the labels of Prometheus' series."""
    asked = {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"}
    return _variable(name, label, why, asked, PROMETHEUS).sort(sort)


def listed(name: str, label: str, why: str, options: dict[str, str], default: str) -> Any:
    """A variable with fixed options, text by value."""
    values = ", ".join(f"{text} : {value}" for value, text in options.items())
    made = dashboard.CustomVariable(name).label(label).description(why).values(values).multi(False).include_all(False)
    every = [model.VariableOption(selected=value == default, text=text, value=value) for value, text in options.items()]
    current = model.VariableOption(selected=True, text=options[default], value=default)
    return made.options(every).current(current)


def address(name: str, label: str, why: str, default: str) -> Any:
    """A text that links begin with."""
    return (
        dashboard.TextBoxVariable(name)
        .label(label)
        .description(why)
        .default_value(default)
        .hide(model.VariableHide.HIDE_VARIABLE)
    )


def _variable(name: str, label: str, why: str, query: Any, source: Any) -> Any:
    made = dashboard.QueryVariable(name).label(label).description(why).datasource(source).query(query)
    made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.DISABLED)
    return made.multi(False).include_all(False).allow_custom_value(False)
