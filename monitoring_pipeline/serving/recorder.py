"""Recorder: what one process counts and logs of the predictions of one model version."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.prediction_log.ids import IdSource
from monitoring_pipeline.prediction_log.prediction_log import PredictionLog
from monitoring_pipeline.prediction_log.rows import HEAD, Oddities, RowSchema, id_sequence, id_text, pack_rows
from monitoring_pipeline.prediction_log.spool import PredictionLogError
from monitoring_pipeline.prediction_log.values import as_id, as_microseconds, is_null
from monitoring_pipeline.serving import durations
from monitoring_pipeline.serving.batch import is_batch
from monitoring_pipeline.serving.capture import Capture, Captured
from monitoring_pipeline.serving.counters import GAUGE, Cells, counters_for
from monitoring_pipeline.serving.durations import DURATION_EDGES
from monitoring_pipeline.serving.output import Answer, Answers, Output
from monitoring_pipeline.serving.tally import COLUMNS, ColumnCells, Tally

if TYPE_CHECKING:
    from monitoring_pipeline.profiles.document import Reference

logger = logging.getLogger(__name__)
PENDING_ROWS = 256  # counted together: one pass of NumPy is cheaper than 25 bisections a row
MAX_ERROR_NAMES = 50
RESERVED = ("prediction_id", "event_time", "model_version", "input_errors")
DURATIONS, PREDICTIONS, SPOOLED = ("durations",), ("predictions",), ("log", "spooled")  # keys of blocks


class Recorder:
    """Counts rows, answers and errors, and appends rows to the log. Thread-safe.

    Rows of single calls are counted together: when ``PENDING_ROWS`` have gathered, every second, and before a scrape.
    """

    def __init__(self, reference: Reference, log: PredictionLog | None, ignore: Iterable[str]) -> None:
        """``ignore``: keys callers send beside the features. Raises UserError for a reserved column name."""
        self.reference, self.log = reference, log
        self.schema = _schema(reference)
        self.ids = IdSource()
        self.active: list[None] = []  # calls to the model that have not returned
        self.http_active: list[None] = []  # requests that have not been answered
        self._capture = Capture(self.schema, frozenset(ignore), self.note_input_error)
        self._output = Output(reference.layout, self.schema)
        self._tally = Tally(self.schema)
        self._error_names: set[str] = set()
        self._single = _single_row(self.schema)
        self.start()

    def start(self) -> None:
        """What a process has for itself, again after a fork: counters, pending rows, spool."""
        model = f"{self.schema.monitor}\0{self.schema.model_version}\0{self.reference.layout.layout_id}"
        self.counters = counters_for(hashlib.sha256(model.encode()).hexdigest()[:12])
        self._pending: deque[bytes] = deque()
        self._columns = self.counters.block(COLUMNS, self._tally.size)
        self._durations = self.counters.block(DURATIONS, durations.n_cells(DURATION_EDGES))
        self._rows = self.counters.block(PREDICTIONS, 1)
        self._spooled = self.counters.block(SPOOLED, 1)
        self.active.clear()
        self.http_active.clear()
        self.ids.reset()
        if self.log is not None:
            self.log.open(self.schema, self._note_log, apart=not self.counters.shared)

    def stop(self, timeout: float) -> None:
        """Counts what waits, and ships what can be shipped in ``timeout`` seconds."""
        self.count_pending()
        if self.log is not None:
            self.log.close(timeout)
        self.counters.close()

    def abandon(self) -> None:
        """In a forked child: the counters and the spool of the parent are left alone."""
        if self.log is not None:
            self.log.abandon()
        self.counters.abandon()

    def held(self) -> AbstractContextManager[Recorder]:
        """What counts a request from its beginning to its end: this recorder."""
        return nullcontext(self)

    def new_id(self) -> str:
        """An id to return to the caller and to pass as ``prediction_id``."""
        return self.ids.one()

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

    def before(self, rows: Any) -> Any:
        """What there is to record of the rows, taken before the model is called, which may change them: a dict of one
        row, or a batch's ``Captured``."""
        return self._capture.many(rows) if is_batch(rows) else self._capture.row(rows)

    def record(self, given: Any, answer: Any, reader: Output, ids: Any, times: Any, duration: float) -> None:
        """``given`` is what ``before`` made of the rows."""
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
                self._unreadable(ValueError(f"expected {n} answers, got {type(answer).__name__}"), n)
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
            self._count(numbers, codes, [duration], n)

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
            numbers = np.array(rows["numbers"].T, order="C")
            self._count(numbers, rows["codes"].T, rows["duration"].tolist(), n)

    def _count(self, numbers: NDArray[Any], codes: NDArray[Any], seconds: list[float], n: int) -> None:
        """``n`` rows, by column, and the durations of their calls. The caller holds the counters' lock."""
        self._tally.add(self._columns, numbers, codes)
        durations.count(self._durations, DURATION_EDGES, seconds)
        self._rows[0] += n
        self._spooled[0] += n if self.log is not None else 0
        self.counters.publish(COLUMNS, DURATIONS, PREDICTIONS, SPOOLED)

    def _add(self, key: tuple[str, ...], n: float) -> None:
        cells = self.counters.block(key, 1)
        with self.counters.lock:
            cells[0] += n
            self.counters.changed(key)

    def note_input_error(self, column: str, reason: str, n: int) -> None:
        """``n`` values of a column were not as declared."""
        self._add(("input_error", column, reason), n)

    def note_error(self, name: str) -> None:
        """A prediction failed with an exception of this class; beyond ``MAX_ERROR_NAMES`` classes it is ``other``."""
        if len(self._error_names) < MAX_ERROR_NAMES:
            self._error_names.add(name)
        self._add(("error", name if name in self._error_names else "other"), 1)

    def note_imputed(self, column: str, transformer: str, n: int) -> None:
        """A step of a pipeline replaced ``n`` values of a column."""
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
        """Calls to the model that have not returned."""
        return len(self.active)


def _schema(reference: Reference) -> RowSchema:
    columns = tuple(c for c in reference.layout.columns if c.role != "target")
    for name in RESERVED:
        if any(c.name == name for c in columns):
            raise UserError(f"reference: the column name {name!r} is reserved by the prediction log; rename the column")
    return RowSchema(reference.monitor, reference.model_version, columns)


def _single_row(schema: RowSchema) -> np.dtype[Any]:
    """The head of a frame of one row, and the row."""
    names = schema.dtype.names or ()
    return np.dtype([("head", f"V{HEAD.size}"), *((n, schema.dtype[n]) for n in names)])


def _by_column(features: NDArray[Any], outputs: NDArray[Any]) -> NDArray[Any]:
    """(columns, rows), column after column in memory, of (rows, features) and (rows, outputs)."""
    n, k = features.shape
    both = np.empty((k + outputs.shape[1], n), features.dtype)
    both[:k], both[k:] = features.T, outputs.T
    return both


def _is_wrong(oddities: dict[str, Any]) -> bool:
    """Whether there is more to it than a class the reference does not know, which is a text."""
    return any(isinstance(odd, list) for odd in oddities.values())
