"""``model``: which versions are registered, which is in service, and changing that by hand."""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from monitoring_pipeline.cli.environment import monitor_named, open_warehouse
from monitoring_pipeline.cli.output import JsonOption, print_json, print_table, wants_json
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.retraining.context import RetrainContext
    from monitoring_pipeline.warehouse.model_versions import ModelVersion

app = typer.Typer(help="Registered model versions: list, show, promote, roll back.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the monitor.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the promotion.")]


@app.command("list")
def list_(name: Name, json: JsonOption = False) -> None:
    """All versions, the champion first, with what each was trained on and how it last compared."""
    from monitoring_pipeline.warehouse import attempt_store, model_versions

    with _context(name) as ctx, ctx.warehouse.transaction() as conn:
        versions = model_versions.model_versions(conn, name)
        compared = attempt_store.headlines(conn, name)
    if wants_json(json):
        print_json([asdict(one) | {"compared": compared.get(one.model_version)} for one in _ordered(versions)])
        return
    if not versions:
        typer.echo(f"{name} has no registered version; the first is registered when its retraining begins")
    print_table(
        f"versions of {name}",
        [_line(one, compared.get(one.model_version)) for one in _ordered(versions)],
    )


@app.command()
def show(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="Version. [the champion]")] = None,
    json: JsonOption = False,
) -> None:
    """One version: data, parameters, metrics, cost, artifact (verified now), comparison and promotions."""
    from monitoring_pipeline.retraining import promotion
    from monitoring_pipeline.stages import artifact_incidents
    from monitoring_pipeline.warehouse import attempt_store, model_versions

    with _context(name) as ctx:
        with ctx.warehouse.transaction() as conn:
            known = model_versions.model_versions(conn, name)
            chosen = known.get(version or model_versions.champion(conn, name) or "")
            if chosen is None:
                raise UserError(_unknown(name, version))
            rows = [] if chosen.attempt_id is None else attempt_store.comparisons(conn, chosen.attempt_id)
            made = [p for p in attempt_store.promotions(conn, name) if p.model_version == chosen.model_version]
        artifact = promotion.artifact_state(chosen)
        if chosen.role == "champion":
            artifact_incidents.look(ctx)
    if wants_json(json):
        promotions = [asdict(p) for p in made]
        print_json(asdict(chosen) | {"artifact": artifact, "comparisons": rows, "promotions": promotions})
        return
    for key, value in asdict(chosen).items():
        if value not in (None, {}):
            typer.echo(f"{key}: {_text(value)}")
    typer.echo(f"artifact: {artifact}")
    for row in rows:
        typer.echo(f"compared ({row['guard']}{'' if row['segment'] == '*' else ' ' + row['segment']}): {row['reason']}")
    for one in made:
        typer.echo(f"champion since {one.at:%Y-%m-%d %H:%M} UTC ({one.kind}, by {one.by_whom}): {one.reason}")


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version that becomes the champion.")],
    reason: Reason = "promoted by hand",
) -> None:
    """Make a registered version the champion, whatever a comparison said. Its artifact must be whole."""
    with _context(name) as ctx:
        _crown(ctx, version, "manual", reason)


@app.command()
def rollback(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="Version to go back to. [the champion before]")] = None,
    reason: Reason = "rolled back by hand",
) -> None:
    """Bring an earlier champion back. Refused when its artifact was deleted, is missing or was altered."""
    from monitoring_pipeline.warehouse import attempt_store, model_versions

    with _context(name) as ctx:
        with ctx.warehouse.transaction() as conn:
            made = attempt_store.promotions(conn, name)
            champion = model_versions.champion(conn, name)
        earlier = [one.model_version for one in made if one.model_version != champion]
        if version is not None and version != champion and version not in earlier:
            raise UserError(
                f"{version!r} has never been the champion of {name}"
                f" ({', '.join(dict.fromkeys(earlier)) or 'no other version has'}); `model promote` makes it one"
            )
        if version is None and not earlier:
            raise UserError(f"{name} has had no champion before {champion or 'any'}; there is nothing to go back to")
        _crown(ctx, version or made[-1].previous_version or earlier[-1], "rollback", reason)


@contextmanager
def _context(name: str) -> Iterator[RetrainContext]:
    from monitoring_pipeline.retraining.context import RetrainContext

    settings = Settings()
    monitor = monitor_named(name, settings)
    with open_warehouse(settings) as warehouse:
        yield RetrainContext(monitor, warehouse, settings, run_id=f"model-{uuid.uuid4().hex[:12]}")


def _crown(ctx: RetrainContext, version: str, kind: Literal["rollback", "manual"], reason: str) -> None:
    from monitoring_pipeline.retraining import mlflow_log, promotion
    from monitoring_pipeline.stages import rotation
    from monitoring_pipeline.stages.retraining import publish

    promotion.crown(ctx, version, kind, by_whom=getpass.getuser(), reason=reason)
    pointer = publish(ctx)
    rotation.close_incidents(ctx)
    mlflow_log.name_champion(ctx, version)
    typer.echo(f"{version} is the champion of {ctx.monitor.name}; services see it in {pointer}" if pointer else (
        f"{version} is the champion of {ctx.monitor.name}. Its artifact is not kept here: the service must load it"
    ))  # fmt: skip


def _unknown(name: str, version: str | None) -> str:
    if version is None:
        return f"{name} has no champion yet; it is registered when its retraining begins"
    return f"{name} has no registered version {version!r}; `monitoring-pipeline model list {name}` shows all"


def _ordered(versions: Mapping[str, ModelVersion]) -> list[ModelVersion]:
    """The champion, then the newest first."""

    def order(one: ModelVersion) -> tuple[bool, float]:
        return one.role != "champion", -one.trained_at.timestamp() if one.trained_at else 0.0

    return sorted(versions.values(), key=order)


def _line(one: ModelVersion, compared: Mapping[str, Any] | None) -> dict[str, Any]:
    trained = f"{one.train_start:%Y-%m-%d} … {one.train_end:%Y-%m-%d}" if one.train_start and one.train_end else None
    gain = compared["difference"] if compared else None
    interval = f"[{compared['ci_low']:+.4f}, {compared['ci_high']:+.4f}]" if compared and gain is not None else None
    return {
        "version": one.model_version,
        "role": one.role,
        "algorithm": one.algorithm,
        "trained on": trained,
        "rows": one.n_rows,
        "seconds": one.duration_seconds,
        "artifact": f"pruned {one.pruned_at:%Y-%m-%d}" if one.pruned_at else one.artifact_format,
        "against": compared["champion_version"] if compared else None,
        "metric": compared["metric"] if compared else None,
        "gain": f"{gain:+.4f}" if gain is not None else None,
        "interval": interval,
        "verdict": compared["verdict"] if compared else None,
    }


def _text(value: object) -> object:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value
