"""Monitoring: one model version in one service — counts, logs, and passes the model's answers through unchanged."""

from __future__ import annotations

import atexit
import functools
import hashlib
import inspect
import logging
import os
import time
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.prediction_log.ids import IdSource
from monitoring_pipeline.prediction_log.prediction_log import PredictionLog
from monitoring_pipeline.prediction_log.rows import HEAD, Oddities, RowSchema, id_sequence, id_text, pack_rows
from monitoring_pipeline.prediction_log.spool import PredictionLogError
from monitoring_pipeline.prediction_log.values import as_id, as_microseconds, is_null
from monitoring_pipeline.serving.capture import Capture, Captured
from monitoring_pipeline.serving.counters import GAUGE, Cells, counters_for
from monitoring_pipeline.serving.output import Answer, Answers, Output, OutputForm
from monitoring_pipeline.serving.reference import load_reference
from monitoring_pipeline.serving.saturation import Saturation
from monitoring_pipeline.serving.tally import COLUMNS, ColumnCells, Tally

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from monitoring_pipeline.profiles.document import Reference

logger = logging.getLogger(__name__)

# Seconds; a model of microseconds and one of a minute both have bins.
DURATION_EDGES = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
0.25,
                  0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # fmt: skip
PENDING_ROWS = 256  # counted together: one pass of NumPy is cheaper than 25 bisections a row
MAX_ERROR_NAMES = 50
RESERVED = ("prediction_id", "event_time", "model_version", "input_errors")


class Monitoring:
    """Instruments a prediction service.

    reference: path of a reference document (``monitoring-pipeline reference export --format json``), the document, or a
    ``Reference``. log: where answered predictions are made durable; None counts only. registry: a prometheus_client
    registry to publish on; None makes one for ``metrics()``. ignore: keys callers send beside the features.
    Raises UserError for a reference that cannot be read. Thread-safe; a forked child starts its own counters and spool.
    """

    def __init__(
        self,
        reference: str | os.PathLike[str] | Mapping[str, Any] | Reference,
        log: PredictionLog | None = None,
        registry: CollectorRegistry | None = None,
        ignore: Iterable[str] = (),
    ) -> None:
        self.reference = load_reference(reference)
        columns = tuple(c for c in self.reference.layout.columns if c.role != "target")
        self.schema = RowSchema(self.reference.monitor, self.reference.model_version, columns)
        for name in RESERVED:
            if any(c.name == name for c in columns):
                raise UserError(
                    f"reference: column {name!r} bears a name the prediction log keeps for itself; rename it"
                )
        self.log = log
        self.ids = IdSource()
        self._capture = Capture(self.schema, frozenset(ignore), self.note_input_error)
        self._output = Output(self.reference.layout, self.schema)
        self._tally = Tally(self.schema)
        self._active: list[None] = []
        self._error_names: set[str] = set()
        self.http_active: list[None] = []
        self._single = np.dtype(
            [("head", f"V{HEAD.size}"), *((n, self.schema.dtype[n]) for n in self.schema.dtype.names or ())]
        )
        self._start()
        self.expose(registry)
        _instances.add(self)
        atexit.register(_close_if_alive, weakref.ref(self))

    def _start(self) -> None:
        """What a process has for itself: counters, spool, the thread that samples saturation."""
        model = f"{self.schema.monitor}\0{self.schema.model_version}\0{self.reference.layout.layout_id}"
        self.counters = counters_for(hashlib.sha256(model.encode()).hexdigest()[:12])
        self._pending: deque[bytes] = deque()
        self._columns = self.counters.block(COLUMNS, self._tally.size)
        self._durations = self.counters.block(("durations",), len(DURATION_EDGES) + 2)
        self._rows = self.counters.block(("predictions",), 1)
        self._spooled = self.counters.block(("log", "spooled"), 1)
        self.ids.reset()
        self._closed = False
        if self.log is not None:
            self.log.open(self.schema, self._note_log)
        self.saturation = Saturation(self)

    def expose(self, registry: CollectorRegistry | None) -> None:
        """Publishes on ``registry``, or on one of its own for ``metrics()``."""
        from monitoring_pipeline.serving.exposition import Exposition

        self._exposition = Exposition(self, registry)

    def metrics(self) -> bytes:
        """The Prometheus text page: live series, the reference's constants, the process."""
        return self._exposition.page()

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def new_id(self) -> str:
        """An id to return to the caller and to pass as ``prediction_id``."""
        return self.ids.one()

    # Wrapping.

    def wrap(
        self, predict: Callable[..., Any], output: OutputForm = "auto", classes: Sequence[Any] | None = None
    ) -> Callable[..., Any]:
        """``predict`` with the same arguments and answers, counted and logged. ``async`` callables stay so.

        The first argument (after ``self``), by position or by name, holds the features: one row or a batch (see
        ``serving.capture``). They are logged as they were before the call. Two keyword arguments are
        taken out: ``prediction_id`` (text, or one a row) and ``event_time`` (datetime, seconds since 1970 UTC, or one
        a row; now when absent). ``output`` and ``classes`` say how answers are read (see ``serving.output.Output``); by
        default the classes come from the model the callable is a method of. Raises what ``predict`` raises, and
        PredictionLogError when the log's policy is ``block`` and the spool is full.
        """
        name = getattr(predict, "__name__", "")
        of_model = getattr(getattr(predict, "__self__", None), "classes_", None)
        if output == "auto" and of_model is not None and name == "predict":
            output = "prediction"
        threshold = 0.0 if name == "decision_function" else 0.5
        reader = Output(self.reference.layout, self.schema, output, of_model if classes is None else classes, threshold)
        if inspect.iscoroutinefunction(predict) or inspect.iscoroutinefunction(getattr(predict, "__call__", None)):  # noqa: B004 — an object whose calls are awaited
            return self._wrap_async(predict, reader)
        at, features = _first_argument(predict)

        @functools.wraps(predict)
        def monitored(*args: Any, prediction_id: Any = None, event_time: Any = None, **kwargs: Any) -> Any:
            rows = args[at] if len(args) > at else kwargs.get(features)
            given: Any = rows.copy() if type(rows) is dict else self._before(rows)
            active = self._active
            active.append(None)
            start = time.perf_counter()
            try:
                answer = predict(*args, **kwargs)
                duration = time.perf_counter() - start
            except BaseException as error:
                self.note_error(type(error).__name__)
                raise
            finally:
                active.pop()
            self._record(given, answer, reader, prediction_id, event_time, duration)
            return answer

        return monitored

    def _wrap_async(self, predict: Callable[..., Any], reader: Output) -> Callable[..., Any]:
        at, features = _first_argument(predict)

        @functools.wraps(predict)
        async def monitored(*args: Any, prediction_id: Any = None, event_time: Any = None, **kwargs: Any) -> Any:
            given = self._before(args[at] if len(args) > at else kwargs.get(features))
            self._active.append(None)
            start = time.perf_counter()
            try:
                answer = await predict(*args, **kwargs)
                duration = time.perf_counter() - start
            except BaseException as error:
                self.note_error(type(error).__name__)
                raise
            finally:
                self._active.pop()
            self._record(given, answer, reader, prediction_id, event_time, duration)
            return answer

        return monitored

    def wrap_pipeline(self, pipeline: Any, output: OutputForm = "auto") -> Any:
        """A scikit-learn pipeline whose ``predict``, ``predict_proba`` and ``decision_function`` are wrapped; imputed
        values are counted."""
        from monitoring_pipeline.serving.sklearn_pipeline import MonitoredPipeline

        return MonitoredPipeline(self, pipeline, output)

    def instrument(self, pipeline: Any) -> Any:
        """A copy of a fitted scikit-learn pipeline that counts imputed values and nothing else; ``wrap`` what uses
        it."""
        from monitoring_pipeline.serving.sklearn_pipeline import instrumented

        return instrumented(pipeline, self.note_imputed, self.schema.features)

    def observe(
        self,
        features: Any,
        prediction: Any = None,
        score: Any = None,
        prediction_id: str | None = None,
        event_time: Any = None,
        duration: float = float("nan"),
    ) -> str:
        """Counts and logs one row that was predicted elsewhere; its id. ``score``: of the positive class, or by class.

        Raises PredictionLogError as ``wrap``.
        """
        answer = self._output.given(prediction, score)
        return self._one(self._capture.row(features), answer, prediction_id, event_time, duration)

    # Recording.

    def _before(self, rows: Any) -> Any:
        """What there is to record of the rows, taken before the model is called, which may change them: a dict of one
        row, or a batch's ``Captured``."""
        return self._capture.many(rows) if _is_batch(rows) else self._capture.row(rows)

    def _record(self, given: Any, answer: Any, reader: Output, ids: Any, times: Any, duration: float) -> None:
        """``given`` is what ``_before`` made of the rows."""
        if type(given) is dict:
            self._one(given, self._read(reader, answer), ids, times, duration)
        elif n := len(given.numbers):
            self._many(given, self._read_many(reader, answer, n), self._names(ids, n), times, duration)

    def _read(self, reader: Output, answer: Any) -> Answer:
        """What the model answered; nothing, and an error noted, when it is of a kind that cannot be read."""
        try:
            found = reader.one(answer)
        except Exception as error:  # noqa: BLE001 — the caller is to have the answer whatever it is; counted and logged
            self._unreadable(error, 1)
            return reader.given(None, None)
        if found.oddities and _is_wrong(found.oddities):
            self.note_input_error("__row__", "answer", 1)
        return found

    def _read_many(self, reader: Output, answer: Any, n: int) -> Answers:
        """Rows without an answer, rather than no rows, when the answer does not fit the batch."""
        try:
            answers = reader.many(answer, n)
        except Exception as error:  # noqa: BLE001 — as above
            self._unreadable(error, n)
            answers = None
        else:
            if answers is None:
                self._unreadable(ValueError(f"no {n} answers in {type(answer).__name__}"), n)
        if answers is not None:
            if wrong := sum(map(_is_wrong, answers.oddities.values())):
                self.note_input_error("__row__", "answer", wrong)
            return answers
        one = reader.given(None, None)
        return Answers(
            np.tile(np.array(one.numbers, np.float64), (n, 1)), np.tile(np.array(one.codes, np.uint16), (n, 1))
        )

    def _unreadable(self, error: Exception, n: int) -> None:
        logger.debug("an answer could not be read: %s: %s", type(error).__name__, error)
        self.note_input_error("__row__", "answer", n)

    def _one(self, row: dict[str, Any], answer: Answer, prediction_id: Any, event_time: Any, duration: float) -> str:
        name = self.ids.one() if prediction_id is None else self._name(prediction_id)
        moment = time.time_ns() // 1000 if event_time is None else self._moment(event_time)
        packed, body = self._capture.one(row, answer, b"T" + name.encode("utf-8", "replace"), moment, duration)
        if self.log is not None:
            self._append(body, 1)
        pending = self._pending
        pending.append(packed)
        if len(pending) >= PENDING_ROWS:
            self.count_pending()
        return name

    def _name(self, prediction_id: Any) -> str:
        """An id as text; made up for none and for an empty one, which would tell nothing apart."""
        return self.ids.one() if is_null(prediction_id) or prediction_id == "" else as_id(prediction_id)

    def _names(self, ids: Any, n: int) -> list[str] | None:
        """The ids of a batch's rows; None when they are to be made up, an error noted when they are not one a row."""
        if ids is None:
            return None
        alone = isinstance(ids, str | bytes) or not hasattr(ids, "__iter__") or getattr(ids, "ndim", 1) == 0
        given = [ids] if alone else list(ids)
        if len(given) != n:
            self.note_input_error("__row__", "prediction_id", n)
            return None
        return [self._name(i) for i in given]

    def _append(self, body: bytes, n: int) -> None:
        assert self.log is not None
        try:
            self.log.append(body, n)
        except PredictionLogError:
            self.note_error("PredictionLogError")
            raise

    def _many(self, captured: Captured, answers: Answers, names: list[str] | None, times: Any, duration: float) -> None:
        n = len(captured.numbers)
        rows = np.empty(n, self.schema.dtype)
        numbers = _by_column(captured.numbers, answers.numbers)
        codes = _by_column(captured.codes, answers.codes)
        rows["numbers"], rows["codes"] = numbers.T, codes.T
        rows["duration"] = duration
        rows["time"] = self._moments(times, n)
        for row, odd in answers.oddities.items():
            captured.oddities.setdefault(str(row), {}).update(odd)
        if self.log is not None:
            self._log_many(rows, captured, names)
        with self.counters.lock:
            self._tally.add(self._columns, numbers, codes)
            self._count_durations([duration])
            self._rows[0] += n
            self._spooled[0] += n if self.log is not None else 0

    def _log_many(self, rows: Any, captured: Captured, names: list[str] | None) -> None:
        """In frames of a quarter of a segment at most."""
        assert self.log is not None
        n = len(rows)
        prefix = self.ids.prefix() if names is None else ""
        step = max(1, self.log.policy.segment_bytes // 4 // rows.dtype.itemsize)
        odd: dict[int, Oddities] = {}
        for i, what in captured.oddities.items():
            within = int(i) % step
            odd.setdefault(int(i) - within, {})[str(within)] = what
        for start in range(0, n, step):
            part = rows[start : start + step]
            blob = id_sequence(prefix, start) if names is None else id_text(names[start : start + step])
            self._append(pack_rows(part, blob, odd.get(start, {})), len(part))

    def _moment(self, event_time: Any) -> int:
        """Microseconds; now, and an error noted, when it is no moment between 1970 and 9999."""
        moment = as_microseconds(event_time)
        if moment is None:
            self.note_input_error("__row__", "event_time", 1)
            return time.time_ns() // 1000
        return moment

    def _moments(self, times: Any, n: int) -> Any:
        if times is None:
            return time.time_ns() // 1000
        if hasattr(times, "__len__") and not isinstance(times, str) and len(times) == n:
            return [self._moment(t) for t in times]
        return self._moment(times)

    # Counting.

    def count_pending(self) -> None:
        """Counts the rows that wait: before a scrape, every second, and when ``PENDING_ROWS`` have gathered."""
        pending = self._pending
        with self.counters.lock:
            n = len(pending)
            if not n:
                return
            rows = np.frombuffer(b"".join([pending.popleft() for _ in range(n)]), self._single)
            self._tally.add(self._columns, np.array(rows["numbers"].T, order="C"), rows["codes"].T)
            self._count_durations(rows["duration"].tolist())
            self._rows[0] += n
            self._spooled[0] += n if self.log is not None else 0

    def _count_durations(self, seconds: list[float]) -> None:
        cells = self._durations
        for s in seconds:
            if s == s:  # a row that was predicted elsewhere may have none
                cells[bisect_left(DURATION_EDGES, s)] += 1
                cells[-1] += s

    def _add(self, key: tuple[str, ...], n: float) -> None:
        cells = self.counters.block(key, 1)
        with self.counters.lock:
            cells[0] += n

    def note_input_error(self, column: str, reason: str, n: int) -> None:
        self._add(("input_error", column, reason), n)

    def note_error(self, name: str) -> None:
        """A prediction failed with an exception of this class; beyond ``MAX_ERROR_NAMES`` classes it is ``other``."""
        if len(self._error_names) < MAX_ERROR_NAMES:
            self._error_names.add(name)
        self._add(("error", name if name in self._error_names else "other"), 1)

    def note_imputed(self, column: str, transformer: str, n: int) -> None:
        self._add(("imputed", column, transformer), n)

    def _note_log(self, what: str, n: int) -> None:
        self._add(("log", what), n)

    def gauge(self, name: str) -> Cells:
        """A cell that counts only while this process lives."""
        return self.counters.block((GAUGE, name), 1)

    @property
    def columns(self) -> list[ColumnCells]:
        """Where the columns stand in the block ``columns``."""
        return self._tally.columns

    @property
    def n_cells(self) -> int:
        """Cells of the block ``columns``."""
        return self._tally.size

    @property
    def in_flight(self) -> int:
        return len(self._active)

    # The end, and forks.

    def close(self, timeout: float = 5.0) -> None:
        """Ships what can be shipped in ``timeout`` seconds. Called at exit; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self.saturation.stop()
        self.count_pending()
        if self.log is not None:
            self.log.close(timeout)
        self.counters.close()

    def after_fork(self) -> None:
        """In the child: the counters and the spool of the parent are left alone."""
        if self._closed:
            return
        self._active.clear()
        self.http_active.clear()
        if self.log is not None:
            self.log.abandon()
        self.counters.close()
        self._start()


_instances: weakref.WeakSet[Monitoring] = weakref.WeakSet()


def _after_fork() -> None:
    for monitoring in list(_instances):
        monitoring.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _close_if_alive(found: weakref.ref[Monitoring]) -> None:
    monitoring = found()
    if monitoring is not None:
        monitoring.close()


def _by_column(features: NDArray[Any], outputs: NDArray[Any]) -> NDArray[Any]:
    """(columns, rows), column after column in memory, of (rows, features) and (rows, outputs)."""
    n, k = features.shape
    both = np.empty((k + outputs.shape[1], n), features.dtype)
    both[:k], both[k:] = features.T, outputs.T
    return both


_SCALARS = (int, float, complex, str, bytes, date, timedelta, Decimal, Enum, UUID)


def _is_batch(rows: Any) -> bool:
    if isinstance(rows, list | tuple):
        if not rows:
            return True
        first = rows[0]
        return not (hasattr(rows, "_fields") or isinstance(first, _SCALARS) or is_null(first) or _is_scalar(first))
    n_dimensions = getattr(rows, "ndim", 1)
    if n_dimensions == 1 and getattr(getattr(rows, "dtype", None), "names", None):
        return True  # a structured array
    return hasattr(rows, "column_names") or hasattr(rows, "columns") or n_dimensions == 2


def _is_wrong(oddities: dict[str, Any]) -> bool:
    """Whether there is more to it than a class the reference does not know, which is a text."""
    return any(isinstance(odd, list) for odd in oddities.values())


def _is_scalar(value: Any) -> bool:
    """A number or text of NumPy's; a row of a structured array is none."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and getattr(value, "ndim", None) == 0 and not getattr(dtype, "names", None)


def _first_argument(predict: Callable[..., Any]) -> tuple[int, str]:
    """Position and name of the argument that holds the features: the first, after ``self`` of a method not bound."""
    try:
        names = list(inspect.signature(predict).parameters)
    except (TypeError, ValueError):  # some that are written in C have none
        names = []
    at = 1 if names[:1] == ["self"] else 0
    return at, names[at] if len(names) > at else ""


__all__ = ["DURATION_EDGES", "Monitoring"]
