"""Damage: files in the counters' directory that cannot be used, renamed or at least reported once."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

logger = logging.getLogger(__name__)
TRANSIENT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})  # a passing lack of resources
_reported: set[Path] = set()


class DamagedFile(ValueError):
    """The content is not what a file of this name holds. ``alive``: whether the process that owns it is running."""

    alive = False


def set_aside(path: Path, error: Exception) -> None:
    """Renames a file that nobody writes any more to ``*.damaged``, and logs it. Where that fails, it is reported."""
    aside = path.with_name(path.name + ".damaged")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return  # another process was first
    except OSError as failure:
        report(path, f"{error}; it cannot be renamed: {failure.strerror or failure}")
        return
    logger.error("%s: damaged counter file (%s), renamed to %s; what it counted is lost", path, error, aside.name)


def report(path: Path, why: object) -> None:
    """Logs once, until ``recovered``, that the counters in a file or directory are missing from ``/metrics``."""
    if path not in _reported:
        logger.error("%s: counters cannot be read and are missing from /metrics (%s)", path, why)
        _reported.add(path)


def recovered(path: Path) -> None:
    """The file could be read again: the next failure is logged again."""
    _reported.discard(path)
