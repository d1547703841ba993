"""Which of a call's arguments are the features, the id and the time, and that the call itself stays as it was."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from monitoring_pipeline.serving import Monitoring, MonitoringMiddleware
from monitoring_pipeline_tests.serving.conftest import logged, samples, value
from monitoring_pipeline_tests.serving.reference import good_row

Make = Callable[..., Monitoring]


def errors(m: Monitoring) -> dict[tuple[str, str], float]:
    found = {k: v for k, v in samples(m.metrics()).items() if k[0] == "model_input_errors_total"}
    return {(dict(k[1])["column"], dict(k[1])["reason"]): v for k, v in found.items()}


def test_an_id_or_time_that_the_callable_declares_it_is_given(make: Make, lake: Path) -> None:
    m = make()

    @m.wrap
    def predict(row: Any, prediction_id: str = "none", *, event_time: Any = None) -> dict[str, Any]:
        return {"score": 0.5, "id": prediction_id, "at": event_time}

    @m.wrap
    async def later(row: Any, prediction_id: str) -> dict[str, Any]:
        return {"score": 0.5, "id": prediction_id}

    assert predict(good_row()) == {"score": 0.5, "id": "none", "at": None}
    assert predict(good_row(), "by position", event_time=60) == {"score": 0.5, "id": "by position", "at": 60}
    assert predict(good_row(), prediction_id="by name")["id"] == "by name"
    assert asyncio.run(later(good_row(), prediction_id="awaited", event_time=60))["id"] == "awaited"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'prediction_id'"):
        asyncio.run(later(good_row()))
    assert errors(m) == {}
    m.close()
    found = logged(lake)
    assert [r["prediction_id"] for r in found[1:]] == ["by position", "by name", "awaited"]
    assert [r["event_time"] for r in found[1::2]] == [datetime(1970, 1, 1, 0, 1, tzinfo=UTC)] * 2


def test_any_method_logs_its_row_and_never_its_instance(make: Make, lake: Path) -> None:
    m = make()

    def outside(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return called

    class Service:
        x0 = 99.0

        @m.wrap
        def renamed(this, row: Any) -> float:
            return 0.5

        @outside
        @m.wrap
        def decorated(this, row: Any) -> float:
            return 0.5

        @classmethod
        @m.wrap
        def of_class(cls, row: Any) -> float:
            return 0.5

        @m.wrap
        @classmethod
        def wrapped_class(cls, row: Any) -> float:
            return 0.5

        @staticmethod
        @m.wrap
        def static(row: Any) -> float:
            return 0.5

        @m.wrap
        @staticmethod
        def wrapped_static(row: Any) -> float:
            return 0.5

        @m.wrap
        async def later(this, row: Any) -> float:
            return 0.5

    class Below(Service):
        pass

    calls = [Service().renamed, Below().renamed, Service().decorated, Service.of_class, Below().of_class,
             Service.wrapped_class, Service().wrapped_class, Service.static, Service().static, Service.wrapped_static,
             m.wrap(Service().renamed), lambda row: Service.renamed(Service(), row=row),
             lambda row: asyncio.run(Below().later(row))]  # fmt: skip
    for i, call in enumerate(calls):
        assert call(good_row(i)) == 0.5
    assert errors(m) == {}
    m.close()
    extra = 1  # a wrapped method that is wrapped again logs twice
    assert sorted(r["x0"] for r in logged(lake)) == sorted([0.25 * i for i in range(len(calls))] + [0.25 * 10] * extra)


def test_features_that_are_not_the_first_argument(make: Make, lake: Path) -> None:
    m = make()

    @functools.partial(m.wrap, features=lambda request, **rest: request["body"]["row"])
    def predict(request: Any, top: int) -> float:
        request["body"]["row"]["x0"] = 99.0
        return 0.5

    by_keyword = m.wrap(lambda **features: 0.5, features=dict)
    assert predict({"body": {"row": good_row(1)}}, top=3) == 0.5
    assert by_keyword(**good_row(2), prediction_id="a") == 0.5
    assert errors(m) == {}
    broken = m.wrap(lambda request: 0.5, features=lambda request: request["no such"])
    assert broken({}) == 0.5, "the prediction does not fail with it"
    assert errors(m)["__row__", "type"] == 1
    m.close()
    found = logged(lake)
    assert [r["x0"] for r in found] == [0.25, 0.5, None]
    assert found[1]["prediction_id"] == "a"


def test_a_call_that_was_cancelled_is_no_error(make: Make) -> None:
    m = make()

    class Never:
        def __await__(self) -> Any:
            yield

    @m.wrap
    async def slow(row: Any) -> float:
        while True:
            await Never()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await slow(good_row())

    async def gone(*_: Any) -> Any:
        return {}

    async def give_up() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        for work in (slow(good_row()), MonitoringMiddleware(application, m)(scope, gone, gone)):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(work, 0.05)

    asyncio.run(give_up())
    slow(good_row()).close()  # a coroutine that is closed before it ran, and one in the middle
    begun = slow(good_row())
    begun.send(None)
    begun.close()
    found = samples(m.metrics())
    assert not [k for k in found if k[0] in ("model_prediction_errors_total", "model_http_errors_total")]
    assert value(m, "model_http_requests_total", method="GET", route="__unmatched__", code="499") == 1
    assert value(m, "model_predictions_in_flight") == value(m, "model_predictions_total") == 0
    with pytest.raises(KeyError):
        m.wrap(lambda row: {}["no such"])(good_row())
    assert value(m, "model_prediction_errors_total", error="KeyError") == 1


def test_a_date_is_its_midnight_in_utc(make: Make, lake: Path) -> None:
    m = make()
    m.wrap(lambda row: 0.5)(good_row(), event_time=date(2024, 3, 1))
    m.wrap(lambda rows: [0.5] * 2)([good_row()] * 2, event_time=[date(2024, 3, 1)] * 2)
    assert errors(m) == {}
    m.close()
    assert [r["event_time"] for r in logged(lake)] == [datetime(2024, 3, 1, tzinfo=UTC)] * 3


@pytest.mark.parametrize("batch", [False, True])
def test_a_feature_under_another_name_is_absent_and_extra(make: Make, batch: bool) -> None:
    m = make(ignore=("trace",))
    row: dict[str, Any] = good_row() | {"trace": "t"}
    row["X1"] = row.pop("x1")
    m.wrap(lambda rows: [0.5, 0.5] if batch else 0.5)([row, good_row()] if batch else row)
    assert errors(m) == {("x1", "absent"): 1, ("__extra__", "extra"): 1}
