"""``init`` and ``validate``: drafting a monitor from data, and checking monitors and their sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitoring_pipeline.cli.output import JsonOption, print_json, wants_json
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.lake.inspection import SourceFinding
    from monitoring_pipeline.monitors.loading import Finding
    from monitoring_pipeline.monitors.summary import SourceSummary

OF_LOG = ("prediction_id", "event_time", "model_version", "prediction", "score")
OF_LABELS = ("label_id", "outcome", "label_time")  # of the ground truth; of the log where it holds the outcome itself
SOURCE_HELP = "File, glob, directory or fsspec URL; or SQLALCHEMY_URL#TABLE."


def init(
    name: Annotated[str, typer.Argument(help="Name of the new monitor: letters, digits, underscores.")],
    predictions: Annotated[str, typer.Option(help=f"The prediction log. {SOURCE_HELP}")],
    ground_truth: Annotated[str | None, typer.Option(help="True outcomes by prediction id.")] = None,
    reference: Annotated[str | None, typer.Option(help="Labelled rows the model was not fitted on.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ROLE=COLUMN", help=f"Not to be guessed: {', '.join(OF_LOG + OF_LABELS)}."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write. [MONITORS_DIR/NAME.yaml]")] = None,
    force: Annotated[bool, typer.Option(help="Replace the file if it exists.")] = False,
) -> None:
    """Draft a commented monitor file from data: types, task, id, time. Review it, then `validate` and `run`.

    What is not found is left to be filled in, and said with exit code 1.
    """
    from monitoring_pipeline.lake.inspection import summarize, summarize_delays
    from monitoring_pipeline.monitors.drafting import draft

    settings = Settings()
    path = out or settings.monitors_dir / f"{name}.yaml"
    if path.exists() and not force:
        raise UserError(f"{path} already exists; --force replaces it, --out writes to another file")
    told = _told(set_ or [])
    of_log = {role: name for role, name in told.items() if role in OF_LOG or ground_truth is None}
    of_labels = {role: name for role, name in told.items() if role in OF_LABELS}
    log = summarize(predictions, settings, of_log)
    truth, held_out = (summarize(one, settings, of_labels) if one else None for one in (ground_truth, reference))
    summaries = (log, truth, held_out)
    _refuse_unknown(told, summaries)
    for conflict in (said for summary in summaries if summary for said in summary.conflicts):
        typer.secho(f"warning: {conflict}", fg="yellow", err=True)
    blanks: dict[str, str] = {}
    draft(name, *summaries, blanks=blanks)  # finds out what there is not, before labels are brought to predictions
    delays = None if blanks else summarize_delays(log, truth, settings)
    text = draft(name, *summaries, delays=delays, blanks=blanks)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if blanks:
        raise UserError(_to_fill_in(path, blanks))
    typer.echo(
        f"wrote {path}\nreview it, then `monitoring-pipeline validate {path}` and `monitoring-pipeline run {name}`"
    )


def _to_fill_in(path: Path, blanks: Mapping[str, str]) -> str:
    said = "".join(f"\n  {role}: {why}" for role, why in blanks.items())
    return f"wrote {path}, in which {len(blanks)} of the columns are to be filled in (FILL_IN):{said}"


def _told(assignments: Sequence[str]) -> dict[str, str]:
    """Columns by role. Raises UserError for what is no ROLE=COLUMN."""
    told = {}
    for written in assignments:
        role, separator, column = written.partition("=")
        if not separator or not column or role not in OF_LOG + OF_LABELS:
            raise UserError(f"--set {written}: write ROLE=COLUMN, ROLE one of {', '.join(OF_LOG + OF_LABELS)}")
        told[role] = column
    return told


def _refuse_unknown(told: Mapping[str, str], summaries: Sequence[SourceSummary | None]) -> None:
    """Raises UserError for a column that the source of its role lacks."""
    log, truth, _ = summaries
    for role, column in told.items():
        source, name = (truth, "ground truth") if truth is not None and role in OF_LABELS else (log, "predictions")
        if source is not None and source.column(column) is None:
            met = ", ".join(one.name for one in source.columns[:40])
            raise UserError(f"--set {role}={column}: the {name} have no such column (columns: {met})")


def validate(
    files: Annotated[list[Path] | None, typer.Argument(help="Monitor files. [all of MONITORS_DIR]")] = None,
    json: JsonOption = False,
) -> None:
    """Check monitors and their sources. Errors are printed as file:line: field: what is wrong and how to fix it."""
    from monitoring_pipeline.monitors.loading import monitor_files

    settings = Settings()
    paths = files or monitor_files(settings.monitors_dir)
    if not paths:
        raise UserError(f"there are no monitors in {settings.monitors_dir}; `monitoring-pipeline init` drafts one")
    findings = [finding for path in paths for finding in _findings(path, settings)]
    for note in (note for path in paths for note in _notes(path)):
        typer.secho(note, fg="yellow", err=True)
    if wants_json(json):
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            typer.secho(str(finding), fg="red", err=True)
        if not findings:
            typer.echo(f"{len(paths)} monitors are valid: {', '.join(path.stem for path in paths)}")
    if findings:
        raise typer.Exit(1)


def _findings(path: Path, settings: Settings) -> list[Finding]:
    """What is wrong with the declaration; when nothing is, what is wrong with its sources."""
    from monitoring_pipeline.monitors.loading import check_files, load_monitor
    from monitoring_pipeline.stages.prechecks import check_monitor

    if wrong := check_files([path]):
        return wrong
    return located(path, check_monitor(load_monitor(path), settings))


def _notes(path: Path) -> list[str]:
    """What is no mistake, and would otherwise go unseen; nothing of a file that does not load."""
    from monitoring_pipeline.monitors.loading import load_monitor
    from monitoring_pipeline.stages.limits import cut_by_declaration

    try:
        monitor = load_monitor(path)
    except UserError:
        return []  # a finding of that file
    notes = list(cut_by_declaration(monitor))
    if monitor.retrain.estimator is not None:
        from monitoring_pipeline.retraining.loss import note_on_metric  # brings scikit-learn

        notes += [said for said in (note_on_metric(monitor),) if said]
    return [f"{path}: note: {said}" for said in notes]


def located(path: Path, found: Sequence[SourceFinding]) -> list[Finding]:
    """Findings with the lines of the monitor's file that they are about."""
    from monitoring_pipeline.monitors.loading import Finding, line_of

    return [
        Finding(str(path), line_of(path, one.location), ".".join(map(str, one.location)), one.message) for one in found
    ]
