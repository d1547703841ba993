"""The first draft of a monitor: commented YAML from what the sources hold, which loads as it is written."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.monitors.declaration import FIRST_YEAR, LAST_YEAR, Monitor
from monitoring_pipeline.monitors.durations import LONGEST, as_text
from monitoring_pipeline.monitors.kinds import moment_of
from monitoring_pipeline.monitors.roles import (
    Blanks,
    Roles,
    find_join_id,
    find_outcome,
    find_time,
    infer_roles,
    not_found,
)
from monitoring_pipeline.monitors.secrets import named
from monitoring_pipeline.monitors.summary import ColumnSummary, LabelDelays, SourceSummary, Whole
from monitoring_pipeline.windows import LENGTH, Window, WindowSize

HOURLY_FROM = 24_000  # rows a day from which an hour holds enough of them to be a window
_HOURS_A_DAY = 6  # with rows in fewer, such as where a batch is scored at night, most hours would be empty windows
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
# What YAML does not take as it is, beyond the control characters that JSON escapes.
_UNPRINTABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def draft(
    name: str,
    predictions: SourceSummary,
    ground_truth: SourceSummary | None = None,
    reference: SourceSummary | None = None,
    delays: LabelDelays | None = None,
    blanks: Blanks | None = None,
) -> str:
    """Commented YAML of a monitor called ``name``. Sources are written as their summaries name them.

    Without a reference the log's first weeks stand in; an outcome found in the log is declared as its own ground truth.
    ``delays``: how late the labels at hand came, which ``labels.max_delay`` is drafted from (see ``max_delay_of``).
    Where no column is found for a role, ``blanks`` is told why, and the draft has the field to be filled in; without
    ``blanks`` that raises DeclarationError, as does a name that is none.
    """
    pattern = Monitor.model_fields["name"].metadata[0].pattern
    if not re.fullmatch(pattern, name):
        raise DeclarationError(f"{name!r} is not a name for a monitor; write a letter, then letters, digits and _")
    if not predictions.n_rows:
        raise DeclarationError("predictions: the source holds no rows; a draft needs some to look at")
    roles = infer_roles(predictions, ground_truth, reference, blanks)
    period = _Period(predictions, roles)
    lines = [
        f"# Drafted from {_looked_at(predictions)}. Read the comments, correct what was guessed wrong, then:",
        "#   monitoring-pipeline validate",
        f"#   monitoring-pipeline run {name}",
        f"name: {name}",
        'description: ""',
        f"task: {roles.task}",
        "",
        *_schema(roles, predictions, blanks or {}),
        "",
        *_source("predictions", predictions),
        *_ground_truth(roles, predictions, ground_truth, blanks),
        *_reference(roles, predictions, reference, ground_truth, period),
        "",
        *_windows(roles, predictions, period, stands_in=reference is None),
        "",
        *_labels(roles, predictions, ground_truth, delays),
        "",
        "# Everything else has a default: thresholds, bins, the retrain policy. See docs/monitor-reference.md.",
    ]
    return "\n".join(lines) + "\n"


def _looked_at(log: SourceSummary) -> str:
    whole = log.whole
    if whole is None or whole.n_rows <= log.n_rows:
        return f"{log.n_rows:,} rows"
    unread = f"; {whole.n_unread_files} files cannot be read" if whole.n_unread_files else ""
    return f"a sample of {log.n_rows:,} of {whole.n_rows:,} rows{unread}"


@dataclass(frozen=True)
class LabelColumns:
    """Where predictions and labels tell their id and time. ``in_log``: the log holds the outcome itself."""

    prediction_id: str
    event_time: str
    label_id: str
    label_time: str | None
    in_log: bool


def label_columns(log: SourceSummary, truth: SourceSummary | None) -> LabelColumns | None:
    """As ``draft`` finds them; None without labels. Raises DeclarationError as ``draft`` does."""
    return _label_columns(infer_roles(log, truth), log, truth)


def _label_columns(roles: Roles, log: SourceSummary, truth: SourceSummary | None) -> LabelColumns | None:
    own = roles.prediction_id, roles.event_time
    if truth is None:
        return LabelColumns(*own, roles.prediction_id, roles.label_time, True) if roles.outcome else None
    outcome, identifier = find_outcome(truth, log), find_join_id(truth, roles.prediction_id)
    if outcome is None or identifier is None:
        return None
    told = truth.told_column("label_time")
    known_at = told or find_time(
        [c for c in truth.columns if c not in (identifier, outcome) and c.name != roles.event_time]
    )
    return LabelColumns(*own, identifier.name, known_at.name if known_at else None, False)


def max_delay_of(delays: LabelDelays | None) -> timedelta | None:
    """``labels.max_delay`` from the labels at hand: the longest delay, or where that is more than a quarter longer than
    the 99 % quantile, the quantile; rounded up to whole hours below two days, else to whole days.

    None when nothing can be told: no label was matched, or most are older than their predictions.
    """
    if delays is None or delays.n == 0 or 2 * delays.n_early > delays.n:
        return None
    late = delays.longest if delays.longest <= 1.25 * delays.quantile_99 else delays.quantile_99
    step = timedelta(hours=1) if late <= timedelta(days=2) else timedelta(days=1)
    return min(max(-(-late // step), 1) * step, LONGEST)


def _labels(roles: Roles, log: SourceSummary, truth: SourceSummary | None, delays: LabelDelays | None) -> Sequence[str]:
    found, late = _label_columns(roles, log, truth), max_delay_of(delays)
    why = "; a guess: there are no labels yet"
    if late is not None and delays is not None:
        why = f"; of {delays.n:,} labels at hand the last came after {as_text(_rounded(delays.longest))}"
        why += f", 99 % within {as_text(_rounded(delays.quantile_99))}"
    elif found is not None and found.label_time is None:
        why = "; a guess: the labels carry no time, so how late they come cannot be told"
    elif found is not None and delays is not None and delays.n:
        why = f"; a guess: {delays.n_early:,} of {delays.n:,} labels are older than their predictions"
    elif found is not None:
        why = "; a guess: no label at hand has a prediction at hand"
    return (
        "labels:",
        "  coverage: 0.95 # a window's performance counts as final at this labelled share,",
        f"  max_delay: {as_text(late or timedelta(days=7))} # or when this much time has passed{why}",
    )


def _rounded(delay: timedelta) -> timedelta:
    """To the minute, which is how it is read."""
    return timedelta(minutes=round(delay / timedelta(minutes=1)))


class _Period:
    """When the log begins and ends, how long its reference would be, how large its windows."""

    def __init__(self, log: SourceSummary, roles: Roles) -> None:
        column, whole = log.column(roles.event_time), log.whole
        days = _usual_days(whole) if whole else []
        if days:
            self.first: datetime | None = days[0][2]
            self.last: datetime | None = days[-1][3]
        else:
            self.first = _monitored(moment_of(column.minimum) if column else None)
            self.last = _monitored(moment_of(column.maximum) if column else None)
        span = max((self.last - self.first) / timedelta(days=1), 1e-9) if self.first and self.last else 1.0
        n_rows = sum(n for _, n, *_ in days) or log.n_rows
        # The first and the last day are seldom whole.
        inner = [n for _, n, *_ in days[1:-1]]
        self.rows_per_day = statistics.median(inner) if inner else n_rows / max(span, 1.0)
        spread = whole is None or whole.n_hours >= _HOURS_A_DAY * len(whole.days)
        pace = self.rows_per_day
        if span < 2:  # a day of it is not to be had: the hours at hand tell how many rows one holds
            hours = (whole.n_hours if whole else 0) or max(span * 24, 1.0)
            pace, spread = n_rows / hours * 24, True
        self.window: WindowSize = "hour" if pace >= HOURLY_FROM and spread else "day"

    @property
    def reference_end(self) -> datetime | None:
        """End of the first quarter of the log, 30 days at most, on a whole window; None when the log is too short."""
        if self.first is None or self.last is None:
            return None
        end = self.first + min(max((self.last - self.first) / 4, timedelta(hours=1)), timedelta(days=30))
        end = Window.at(end, self.window).start
        if end <= self.first:
            end += LENGTH[self.window]
        return end if end <= self.last else None


_ALONE = timedelta(days=30)
_STRAY = 0.01


def _usual_days(whole: Whole) -> list[tuple[date, int, datetime, datetime]]:
    """Days of the log without those that a wrong clock made: few rows, a month before or after all others."""
    days = [day for day in whole.days if FIRST_YEAR <= day[0].year <= LAST_YEAR]
    stray = _STRAY * sum(n for _, n, *_ in days)
    while len(days) > 1 and days[0][1] <= stray and days[1][0] - days[0][0] > _ALONE:
        days = days[1:]
    while len(days) > 1 and days[-1][1] <= stray and days[-1][0] - days[-2][0] > _ALONE:
        days = days[:-1]
    return days


def _monitored(moment: datetime | None) -> datetime | None:
    return moment if moment is not None and FIRST_YEAR <= moment.year <= LAST_YEAR else None


def _to_fill_in(blanks: Blanks, role: str, else_: str = "") -> str:
    """The comment of a role without a column, else what is said of it otherwise."""
    if role not in blanks:
        return f" # {else_}" if else_ else ""
    return f" # TO BE FILLED IN: {_UNPRINTABLE.sub(' ', blanks[role])}"


def _schema(roles: Roles, log: SourceSummary, blanks: Blanks) -> list[str]:
    told_apart = "tells predictions apart; ground truth is joined by it" + _repeated(log.column(roles.prediction_id))
    made = f"when the prediction was made{_odd_times(log.whole)}"
    lines = [
        "schema:",
        f"  prediction_id: {scalar(roles.prediction_id)}{_to_fill_in(blanks, 'prediction_id', told_apart)}",
        f"  event_time: {scalar(roles.event_time)}{_to_fill_in(blanks, 'event_time', made)}",
    ]
    if roles.naive_time:
        lines.append("  timezone: UTC # the times carry no zone; write the one they are in, such as America/New_York")
    if roles.model_version:
        lines.append(f"  model_version: {scalar(roles.model_version)}")
    if roles.prediction:
        lines.append(f"  prediction: {scalar(roles.prediction)}{_to_fill_in(blanks, 'prediction')}")
    if roles.score:
        lines.append(f"  score: {scalar(roles.score)} # of the positive class, in [0, 1]")
    if roles.class_scores:
        lines += ["  class_scores: # class: column of its score"]
        lines += [f"    {scalar(label)}: {scalar(column)}" for label, column in roles.class_scores.items()]
    if roles.task == "binary":
        remark = f"; {roles.positive_class.remark}" if roles.positive_class.remark else ""
        lines.append(
            f"  positive_class: {scalar(roles.positive_class.label)} # the outcome that counts as positive{remark}"
        )
    for group in ("numerical", "categorical", "boolean"):
        lines += _features(group, [name for name, of in roles.features.items() if of == group], log, roles.remarks)
    if roles.left_out:
        lines.append("  # Left out; move a name to a list above to monitor it:")
        lines += [f"  #   {scalar(name)}: {reason.splitlines()[0]}" for name, reason in roles.left_out.items()]
    return lines


def _features(group: str, names: list[str], log: SourceSummary, remarks: dict[str, str]) -> list[str]:
    if not names:
        return []
    said = {name: "; ".join(filter(None, (_missing(log, name), remarks.get(name)))) for name in names}
    return [f"  {group}:", *(f"    - {scalar(name)}{said[name] and f' # {said[name]}'}" for name in names)]


def _missing(log: SourceSummary, name: str) -> str:
    column = log.column(name)
    if column is None or not log.n_rows or column.n_null / log.n_rows < 0.01:
        return ""
    return f"{column.n_null / log.n_rows:.0%} missing"


def _repeated(column: ColumnSummary | None) -> str:
    if column is None or column.repeats is None or column.repeats.anywhere < 0.0005:
        return ""
    return f"; {column.repeats.anywhere:.1%} occur again"


def _odd_times(whole: Whole | None) -> str:
    """Rows that will be refused for their time."""
    said = []
    if whole is not None and whole.n_future:
        said.append(f"{whole.n_future:,} of {whole.n_rows:,} lie in the future: such rows are quarantined")
    if whole is not None and whole.n_untimed:
        said.append(f"{whole.n_untimed:,} of {whole.n_rows:,} cannot be read: such rows are quarantined")
    return "".join(f"; {what}" for what in said)


def _source(key: str, source: SourceSummary) -> list[str]:
    if source.url is not None:
        address, remark = _without_password(key, source.url)
        why = remark or " # ${NAME} is taken from the environment: keep passwords there"
        return [f"{key}:", f"  url: {scalar(address)}{why}", f"  table: {scalar(source.table or '')}"]
    paths = source.path if isinstance(source.path, tuple) else (source.path or "",)
    if len(paths) == 1:
        address, remark = _without_password(key, paths[0])
        return [f"{key}:", f"  path: {scalar(address)}{remark}"]
    return [f"{key}:", "  path:", *(f"    - {scalar(path)}" for path in paths)]


def _without_password(key: str, address: str) -> tuple[str, str]:
    """The address to draft, and a remark where a password was taken out of it."""
    kept, variables = named(address, f"{key.upper()}_PASSWORD")
    return kept, f" # its password is not kept here: export {', '.join(variables)}" if variables else ""


def _ground_truth(roles: Roles, log: SourceSummary, truth: SourceSummary | None, blanks: Blanks | None) -> list[str]:
    if truth is None and roles.outcome is None:
        return ["# No ground truth yet: performance is not measured. When outcomes arrive, write:", *_ADVICE]
    if truth is None:
        lines = [*_source("ground_truth", log), f"  outcome: {scalar(roles.outcome or '')}"]
        if roles.label_time:
            lines.append(f"  label_time: {scalar(roles.label_time)} # when the outcome became known")
        return [*lines[:1], "  # the log holds the outcome itself", *lines[1:]]
    outcome = find_outcome(truth, log)
    if outcome is None:
        outcome = not_found("outcome", _no_label(truth, "an outcome", "outcome"), blanks)
    identifier = find_join_id(truth, roles.prediction_id)
    if identifier is None:
        said = _no_label(truth, f"the prediction id ({roles.prediction_id})", "label_id")
        identifier = not_found("label_id", said, blanks)
    lines = _source("ground_truth", truth)
    if identifier.name != roles.prediction_id:
        lines.append(f"  prediction_id: {scalar(identifier.name)}{_to_fill_in(blanks or {}, 'label_id')}")
    lines.append(f"  outcome: {scalar(outcome.name)}{_to_fill_in(blanks or {}, 'outcome')}")
    found = _label_columns(roles, log, truth)
    if found is not None and found.label_time:
        lines.append(f"  label_time: {scalar(found.label_time)} # when the outcome became known")
    return lines


def _no_label(truth: SourceSummary, what: str, role: str) -> str:
    met = ", ".join(column.name for column in truth.columns)
    return f"ground truth: no column looks like {what} (columns: {met}); add one, or name it: `--set {role}=COLUMN`"


_ADVICE = ("# ground_truth:", "#   path: outcomes/*.parquet", "#   outcome: label")


def _reference(
    roles: Roles,
    log: SourceSummary,
    reference: SourceSummary | None,
    truth: SourceSummary | None,
    period: _Period,
) -> list[str]:
    """The declared reference, or the first stretch of the log in its place."""
    source = reference or log
    head, *lines = _source("reference", source)
    outcome = _outcome_of(source, roles, log, truth)
    lines += [f"  outcome: {scalar(outcome)}"] if outcome else _NO_OUTCOME
    version = log.column(roles.model_version) if roles.model_version else None
    if version is not None and version.samples and source.column(version.name) is None:
        lines.append(f"  model_version: {scalar(version.samples[0])} # the version these rows were held out from")
    if reference is not None:
        return [head, *lines]
    comment = [
        "  # No reference was given: the first part of the log stands in. Better are labelled rows that the model",
        _BETTER,
    ]
    if period.reference_end is None:
        return [
            head,
            *comment,
            *lines,
            "  # to: 2030-01-01 # the log is short: all of it is the reference; bound it once it grows",
        ]
    return [head, *comment, *lines, f"  to: {_moment(period.reference_end)}"]


_BETTER = "  # was not fitted on, such as its test set: `monitoring-pipeline init NAME --reference FILE`."
_NO_OUTCOME = ["  # outcome: label # these rows have none: performance is not compared with the reference"]


def _outcome_of(source: SourceSummary, roles: Roles, log: SourceSummary, truth: SourceSummary | None) -> str | None:
    """The column of the outcome in the reference, by the name it has elsewhere."""
    found = find_outcome(truth, log) if truth else None
    for name in (found.name if found else None, roles.outcome):
        if name and source.column(name) is not None:
            return name
    if source is log:
        return None
    guess = find_outcome(source, log)
    return guess.name if guess else None


def _windows(roles: Roles, log: SourceSummary, period: _Period, stands_in: bool) -> list[str]:
    end = period.reference_end if stands_in else None
    start = end or period.first
    day = start.date() if start else date(2000, 1, 1)
    few = [
        c.name
        for c in log.columns
        if roles.features.get(c.name) in ("categorical", "boolean") and 2 <= c.n_distinct <= 20
    ]
    lines = [
        f"window: {period.window} # some {period.rows_per_day:,.0f} rows a day",
        f"start: {day} # " + ("the day the reference ends" if end else "the first day in the log"),
    ]
    if few:
        lines.append(f"segments: [] # such as [{scalar(few[0])}]: every metric once more for each of its values")
    return lines


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d}" if value.hour == 0 else f"{value:%Y-%m-%dT%H:%M:%SZ}"


def scalar(text: str) -> str:
    """Text as a YAML scalar that is read back as the same text: plain where that is safe, else double-quoted."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT
    return (
        text
        if plain
        else _UNPRINTABLE.sub(lambda found: f"\\U{ord(found[0]):08x}", json.dumps(text, ensure_ascii=False))
    )
