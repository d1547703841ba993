"""Names of what a stage reads, as the ledger records them. The view ``stage_input`` finds today's version of each.

``sources``     the newest revision of its source files    ``data``         the window's own rows
``labels``      the newest label batch of the window       ``stage:S``      what stage S wrote for the window
``reference:V`` the reference of model version V           ``config``       what the stage reads of the declaration
``profile@N``   the profile of the window that starts N s earlier
``labels@N``    the label batch that window's ground truth was joined from
``rows@N``      the rows of that window
``aged``        whether the maximum label delay has passed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import timedelta

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages.versions import reference_version

Inputs = dict[str, str | None]


def earlier(what: str, by: timedelta) -> str:
    """The name of what a window that starts ``by`` earlier had: ``profile``, ``labels`` or ``rows``."""
    return f"{what}@{by // timedelta(seconds=1)}"


def output_version(*parts: object) -> str:
    """What a stage wrote, named by all that decides it: equal parts, equal name."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def references_read(monitor: Monitor, versions: Iterable[str], known: Mapping[str, str]) -> Inputs:
    """The references these model versions are compared with; ``known``: version of each reference by model version.

    A model version without a reference of its own is recorded as such: when it gets one, that is a change.
    """
    read: Inputs = {}
    for version in versions:
        read[f"reference:{version}"] = known.get(version)
        if version not in known and known:
            used = reference_version(monitor, version, known)
            read[f"reference:{used}"] = known[used]
    return read
