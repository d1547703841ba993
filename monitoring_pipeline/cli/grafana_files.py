"""What a Grafana is provisioned with: the shipped files in a directory, and the environment that they name."""

from __future__ import annotations

import shutil
from pathlib import Path

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.resources import data_dir

# Everybody has their own receivers and routes: these are written once and then left alone.
YOURS = ("provisioning/alerting/contact-points.yaml", "provisioning/alerting/policies.yaml")
PASSWORD = "GRAFANA_READER_PASSWORD"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def write_files(directory: Path) -> list[str]:
    """Copies data sources, dashboards, rules, examples; yours stay. Returns what was kept, relative to ``directory``.

    Raises UserError when the directory cannot be written.
    """
    shipped = data_dir("grafana")
    kept = []
    try:
        for source in sorted(_files(shipped)):
            name = source.relative_to(shipped).as_posix()
            target = directory / name
            if name in YOURS and target.exists() and target.read_bytes() != source.read_bytes():
                kept.append(name)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        _forget_old_dashboards(directory / "dashboards", shipped / "dashboards")
    except OSError as error:
        raise UserError(f"cannot write to {directory}: {error.strerror}; name another directory with --dir") from error
    return kept


def _files(shipped: Path) -> list[Path]:
    return [
        *shipped.glob("provisioning/*/*.yaml"),
        *shipped.glob("dashboards/*.json"),
        *shipped.glob("examples/*.yaml"),
    ]


def _forget_old_dashboards(written: Path, shipped: Path) -> None:
    """One that a newer version no longer has would stay in Grafana for ever."""
    for path in written.glob("*.json"):
        if not (shipped / path.name).exists():
            path.unlink()


def environment(directory: Path, database_url: str, dagster: str, prometheus: str) -> dict[str, str]:
    """The variables that the provisioned files name, without the password of grafana_reader.

    ``database_url`` is an SQLAlchemy URL; ``dagster`` is as a browser reaches it, ``prometheus`` as Grafana does.
    """
    from sqlalchemy import make_url  # here: the command line starts without it

    url = make_url(database_url)
    host = url.host or "127.0.0.1"
    sslmode = str(url.query.get("sslmode", "disable" if host in LOOPBACK else "require"))
    return {
        "MONITORING_DB_HOST": host,
        "MONITORING_DB_PORT": str(url.port or 5432),
        "MONITORING_DB_NAME": url.database or "",
        # Grafana knows fewer modes than libpq; these two try without TLS as well, which it does not.
        "MONITORING_DB_SSLMODE": "disable" if sslmode in ("allow", "prefer") else sslmode,
        "PROMETHEUS_URL": prometheus,
        "DAGSTER_URL": dagster,
        "GRAFANA_DASHBOARDS": str(directory.resolve() / "dashboards"),
        "ALERT_PAGE_URL": "http://127.0.0.1:9095/page",
        "ALERT_TICKET_URL": "http://127.0.0.1:9095/ticket",
        "GF_PATHS_PROVISIONING": str(directory.resolve() / "provisioning"),
    }
