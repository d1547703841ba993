"""Where the files that travel with the package lie: the repository root in a checkout, ``_data`` inside a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """Directory ``name`` (``sql``, ``monitors``, ``prometheus``) as shipped. Raises FileNotFoundError when the
    installation is broken.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the installation lacks its directory {name!r}; reinstall monitoring-pipeline")


def data_file(name: str) -> Path:
    """File ``name`` (``dagster.yaml``) as shipped. Raises FileNotFoundError when the installation is broken."""
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"the installation lacks its file {name!r}; reinstall monitoring-pipeline")
