"""Monitoring: one model version in one service — counts, logs, and passes the model's answers through unchanged."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from monitoring_pipeline.prediction_log.prediction_log import PredictionLog
from monitoring_pipeline.serving.counters import Cells, Key
from monitoring_pipeline.serving.exposition import Exposition
from monitoring_pipeline.serving.output import OutputForm
from monitoring_pipeline.serving.recorder import Recorder
from monitoring_pipeline.serving.reference_series import load_reference
from monitoring_pipeline.serving.saturation import Saturation
from monitoring_pipeline.serving.sklearn_pipeline import MonitoredPipeline, instrumented
from monitoring_pipeline.serving.wrapping import wrapped

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from monitoring_pipeline.profiles.document import Reference


class Monitoring(Recorder):
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
        super().__init__(load_reference(reference), log, ignore)
        self._closed = False
        self.saturation = Saturation(self)
        self.expose(registry)
        _instances.add(self)
        atexit.register(_close_if_alive, weakref.ref(self))
        _close_in_child(self)

    def expose(self, registry: CollectorRegistry | None) -> None:
        """Publishes on ``registry``, or on one of its own for ``metrics()``."""
        self._exposition = Exposition(self, self.totals, registry)

    def metrics(self) -> bytes:
        """The Prometheus text page: live series, the reference's constants, the process."""
        return self._exposition.page()

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def totals(self) -> dict[Key, Cells]:
        """The counters as of now, over all workers."""
        self.count_pending()
        self.saturation.sample()
        return self.counters.totals()

    def wrap(
        self,
        predict: Callable[..., Any],
        output: OutputForm = "auto",
        classes: Sequence[Any] | None = None,
        features: Callable[..., Any] | None = None,
    ) -> Callable[..., Any]:
        """``predict`` with the same arguments and answers, counted and logged. ``async`` callables stay so.

        The first argument (after that of a method or a classmethod), by position or by name, holds the features: one
        row or a batch (see ``serving.capture``); else ``features``, called with the arguments, gives them. They are
        logged as they were before the call. Two keyword arguments are taken out, unless ``predict`` declares them, and
        then it is given them too: ``prediction_id`` (text, or one a row) and ``event_time`` (datetime, date, seconds
        since 1970 UTC, or one a row; now when absent). ``output`` and ``classes`` say how answers are read (see
        ``serving.output.Output``); by default the classes come from the model the callable is a method of. Raises what
        ``predict`` raises, and PredictionLogError when the log's policy is ``block`` and the spool is full.
        """
        return wrapped(self, predict, output, classes, features)

    def wrap_pipeline(self, pipeline: Any, output: OutputForm = "auto") -> Any:
        """A scikit-learn pipeline whose ``predict``, ``predict_proba`` and ``decision_function`` are wrapped; imputed
        values are counted."""
        names = self.schema.features
        return MonitoredPipeline(pipeline, self.instrument(pipeline), names, output, self.wrap)

    def instrument(self, pipeline: Any) -> Any:
        """A copy of a fitted scikit-learn pipeline that counts imputed values and nothing else; ``wrap`` what uses
        it."""
        return instrumented(pipeline, self.note_imputed, self.schema.features)

    # The end, and forks.

    def close(self, timeout: float = 5.0) -> None:
        """Ships what can be shipped in ``timeout`` seconds. Called at exit; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self.saturation.stop()
        self.stop(timeout)

    def after_fork(self) -> None:
        """In the child: the counters and the spool of the parent are left alone."""
        if self._closed:
            return
        self.abandon()
        self.start()
        self.saturation = Saturation(self)


_instances: weakref.WeakSet[Monitoring] = weakref.WeakSet()


def _after_fork() -> None:
    util = sys.modules.get("multiprocessing.util")
    for monitoring in list(_instances):
        monitoring.after_fork()
        if util is not None:  # a Process forgets what is to be done at its end when it starts, and then calls this
            util.register_after_fork(monitoring, _close_in_child)


def _close_in_child(monitoring: Monitoring) -> None:
    """A ``multiprocessing.Process`` that returns ends without what is registered with ``atexit``."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _close_if_alive, (weakref.ref(monitoring),), exitpriority=0)


os.register_at_fork(after_in_child=_after_fork)


def _close_if_alive(found: weakref.ref[Monitoring]) -> None:
    monitoring = found()
    if monitoring is not None:
        monitoring.close()
