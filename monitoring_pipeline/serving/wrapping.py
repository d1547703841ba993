"""Wrapping: a model's callable with the same arguments and answers, whose calls a recorder counts and logs."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from monitoring_pipeline.serving.output import FORMS, Output, OutputForm
from monitoring_pipeline.serving.recorder import Recorder

logger = logging.getLogger(__name__)
Predict = Callable[..., Any]
Features = Callable[..., Any]
CANCELLED = ("CancelledError", "Cancelled", "GeneratorExit")  # asyncio's, trio's, that of a coroutine that is closed


def wrapped(
    recorder: Recorder,
    predict: Predict,
    output: OutputForm = "auto",
    classes: Sequence[Any] | None = None,
    features: Features | None = None,
) -> Predict:
    """As ``Monitoring.wrap``."""
    if isinstance(predict, staticmethod | classmethod):
        kind, at = type(predict), int(isinstance(predict, classmethod))
        calls = Calls(recorder, predict.__func__, _output_of(recorder, predict, output, classes), features, at)
        found: Predict = kind(_wrapped(predict.__func__, calls))
        return found
    return _wrapped(predict, Calls(recorder, predict, _output_of(recorder, predict, output, classes), features))


def _wrapped(predict: Predict, calls: Calls) -> Predict:
    awaited = inspect.iscoroutinefunction(predict)
    awaited = awaited or inspect.iscoroutinefunction(getattr(predict, "__call__", None))  # noqa: B004 — an object whose calls are awaited
    ways = (_awaited, _called) if calls.names.are_plain else (_awaited_by_names, _called_by_names)
    return functools.wraps(predict)(ways[0 if awaited else 1](predict, calls))


def was_cancelled(error: BaseException) -> bool:
    """Whether the caller gave up waiting, which is no failure of the model."""
    return not isinstance(error, Exception) and type(error).__name__ in CANCELLED


class Names:
    """Where the arguments of one callable stand: the features, and what it declares of ``wrap``'s own two."""

    def __init__(self, predict: Predict, features: Features | None, at: int | None) -> None:
        """``features`` takes them from the arguments; ``at``: their position, where it is known."""
        try:
            parameters = list(inspect.signature(predict).parameters.values())
        except (TypeError, ValueError):  # some that are written in C have none
            parameters = []
        names = [p.name for p in parameters]
        self._class = _class_of(predict) if at is None and names[:1] != ["self"] else None
        self.position = at if at is not None else int(names[:1] == ["self"])
        self._names = names
        self._features = features
        by_name = {p.name: i for i, p in enumerate(parameters) if p.kind is not p.VAR_KEYWORD}
        self._declared: dict[str, int] = {
            name: by_name[name] for name in ("prediction_id", "event_time") if name in by_name
        }

    @property
    def are_plain(self) -> bool:
        """Whether the features are the argument at ``position``, and none of ``wrap``'s own is the callable's."""
        return self._features is None and self._class is None and not self._declared

    def name_at(self, position: int) -> str:
        """Of the argument there; empty where there is none."""
        return self._names[position] if len(self._names) > position else ""

    def features(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """None, and said why, where the caller's own callable fails: the prediction is not to fail with it."""
        if self._features is not None:
            try:
                return self._features(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 — it is the service's own code; the row is then counted as wrong
                logger.debug("the features could not be taken: %s: %s", type(error).__name__, error)
                return None
        at = self.position + int(self._class is not None and self._is_bound(args))
        return args[at] if len(args) > at else kwargs.get(self.name_at(at))

    def _is_bound(self, args: tuple[Any, ...]) -> bool:
        """Whether the first argument is an instance of the class the method was written in, or the class itself."""
        if not args:
            return False
        kind = args[0] if isinstance(args[0], type) else type(args[0])
        return any((c.__module__, c.__qualname__) == self._class for c in kind.__mro__)

    def own(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``prediction_id`` or ``event_time``: what the callable declares it is given as well."""
        at = self._declared.get(name)
        if at is None:
            return kwargs.pop(name, None)
        return args[at] if len(args) > at else kwargs.get(name)


def _class_of(predict: Predict) -> tuple[str, str] | None:
    """Module and name of the class in whose body a function was written; None of one that stands elsewhere."""
    if not inspect.isfunction(predict):
        return None
    within = predict.__qualname__.rpartition(".")[0]
    return (predict.__module__, within) if within and not within.endswith("<locals>") else None


class Calls:
    """What is recorded of the calls to one callable, before and after each: the same for both kinds of callable."""

    def __init__(
        self,
        recorder: Recorder,
        predict: Predict,
        reader: Output,
        features: Features | None = None,
        at: int | None = None,
    ) -> None:
        self.names = Names(predict, features, at)
        self._recorder, self._reader = recorder, reader
        self._before, self._record = recorder.before, recorder.record
        self._active = recorder.active
        self._position = self.names.position
        self._name = self.names.name_at(self._position)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What is to be recorded of the features, which the model may change."""
        at = self._position
        rows = args[at] if len(args) > at else kwargs.get(self._name)
        given = rows.copy() if type(rows) is dict else self._before(rows)
        self._active.append(None)
        return given

    def begin_by_names(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
        """As ``begin``; the id and the time as well, which leave ``kwargs`` unless the callable declares them."""
        ids, times = (self.names.own(name, args, kwargs) for name in ("prediction_id", "event_time"))
        given = self._before(self.names.features(args, kwargs))
        self._active.append(None)
        return given, ids, times

    def failed(self, error: BaseException) -> None:
        """The call raised, or its caller gave up waiting."""
        self._active.pop()
        if not was_cancelled(error):
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


# The same where names decide: for the calls of a method, of a callable with its own id or time, of ``features``.


def _called_by_names(predict: Predict, calls: Calls) -> Predict:
    def monitored(*args: Any, **kwargs: Any) -> Any:
        given, ids, times = calls.begin_by_names(args, kwargs)
        start = time.perf_counter()
        try:
            answer = predict(*args, **kwargs)
        except BaseException as error:
            calls.failed(error)
            raise
        calls.answered(given, answer, ids, times, start)
        return answer

    return monitored


def _awaited_by_names(predict: Predict, calls: Calls) -> Predict:
    async def monitored(*args: Any, **kwargs: Any) -> Any:
        given, ids, times = calls.begin_by_names(args, kwargs)
        start = time.perf_counter()
        try:
            answer = await predict(*args, **kwargs)
        except BaseException as error:
            calls.failed(error)
            raise
        calls.answered(given, answer, ids, times, start)
        return answer

    return monitored


def _output_of(recorder: Recorder, predict: Any, output: OutputForm, classes: Sequence[Any] | None) -> Output:
    """How the answers are read, by the name of a model's method and the model's classes."""
    name = getattr(predict, "__name__", "")
    of_model = getattr(getattr(predict, "__self__", None), "classes_", None)
    if output == "auto" and of_model is not None:
        output = FORMS.get(name, output)
    threshold = 0.0 if name == "decision_function" else 0.5
    layout = recorder.reference.layout
    return Output(layout, recorder.schema, output, of_model if classes is None else classes, threshold)
