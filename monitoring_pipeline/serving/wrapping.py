"""Wrapping: a model's callable with the same arguments and answers, whose calls a recorder counts and logs."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

from monitoring_pipeline.serving.output import FORMS, Output, OutputForm
from monitoring_pipeline.serving.recorder import Recorder

Predict = Callable[..., Any]


def wrapped(recorder: Recorder, predict: Predict, output: OutputForm, classes: Sequence[Any] | None) -> Predict:
    """As ``Monitoring.wrap``."""
    calls = Calls(recorder, predict, _output_of(recorder, predict, output, classes))
    awaited = inspect.iscoroutinefunction(predict)
    awaited = awaited or inspect.iscoroutinefunction(getattr(predict, "__call__", None))  # noqa: B004 — an object whose calls are awaited
    return functools.wraps(predict)(_awaited(predict, calls) if awaited else _called(predict, calls))


class Calls:
    """What is recorded of the calls to one callable, before and after each: the same for both kinds of callable."""

    def __init__(self, recorder: Recorder, predict: Predict, reader: Output) -> None:
        self._recorder, self._reader = recorder, reader
        self._before, self._record = recorder.before, recorder.record
        self._active = recorder.active
        self._position, self._name = _first_argument(predict)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What is to be recorded of the features, which the model may change."""
        at = self._position
        rows = args[at] if len(args) > at else kwargs.get(self._name)
        given = rows.copy() if type(rows) is dict else self._before(rows)
        self._active.append(None)
        return given

    def failed(self, error: BaseException) -> None:
        """The call raised."""
        self._active.pop()
        self._recorder.note_error(type(error).__name__)

    def answered(self, given: Any, answer: Any, ids: Any, times: Any, start: float) -> None:
        """The call returned ``answer``; ``start`` is its ``perf_counter``. Raises PredictionLogError."""
        duration = time.perf_counter() - start
        self._active.pop()
        self._record(given, answer, self._reader, ids, times, duration)


def _called(predict: Predict, calls: Calls) -> Predict:
    begin, answered, now = calls.begin, calls.answered, time.perf_counter

    def monitored(*args: Any, prediction_id: Any = None, event_time: Any = None, **kwargs: Any) -> Any:
        given = begin(args, kwargs)
        start = now()
        try:
            answer = predict(*args, **kwargs)
        except BaseException as error:
            calls.failed(error)
            raise
        answered(given, answer, prediction_id, event_time, start)
        return answer

    return monitored


def _awaited(predict: Predict, calls: Calls) -> Predict:
    begin, answered, now = calls.begin, calls.answered, time.perf_counter

    async def monitored(*args: Any, prediction_id: Any = None, event_time: Any = None, **kwargs: Any) -> Any:
        given = begin(args, kwargs)
        start = now()
        try:
            answer = await predict(*args, **kwargs)
        except BaseException as error:
            calls.failed(error)
            raise
        answered(given, answer, prediction_id, event_time, start)
        return answer

    return monitored


def _output_of(recorder: Recorder, predict: Predict, output: OutputForm, classes: Sequence[Any] | None) -> Output:
    """How the answers are read, by the name of a model's method and the model's classes."""
    name = getattr(predict, "__name__", "")
    of_model = getattr(getattr(predict, "__self__", None), "classes_", None)
    if output == "auto" and of_model is not None:
        output = FORMS.get(name, output)
    threshold = 0.0 if name == "decision_function" else 0.5
    layout = recorder.reference.layout
    return Output(layout, recorder.schema, output, of_model if classes is None else classes, threshold)


def _first_argument(predict: Callable[..., Any]) -> tuple[int, str]:
    """Position and name of the argument that holds the features: the first, after ``self`` of a method not bound."""
    try:
        names = list(inspect.signature(predict).parameters)
    except (TypeError, ValueError):  # some that are written in C have none
        names = []
    at = 1 if names[:1] == ["self"] else 0
    return at, names[at] if len(names) > at else ""
