"""The null distributions of a monitor's columns, as the reference teaches them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.drift.contrasts import Basis, basis
from monitoring_pipeline.alerting.drift.null import Null, Sample, observe_blocks, settle
from monitoring_pipeline.alerting.drift.plan import Plan
from monitoring_pipeline.alerting.drift.units import Batch, Unit


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The null of a monitor's units; M units and N contrasts, batch by batch.

    ``units_of`` (N,) unit of each contrast, ``pools_of`` (N,) its pool; ``bases`` of the batches.
    """

    bases: tuple[Basis, ...]
    units: tuple[Unit, ...]
    units_of: NDArray[np.intp]
    pools_of: NDArray[np.intp]
    null: Null


def calibrate(batches: Sequence[Batch], plan: Plan) -> Calibrated:
    """The null distributions that the reference's blocks teach, borrowed within each pool."""
    bases = tuple(basis(batch) for batch in batches)
    units = tuple(unit for batch in batches for unit in batch.units)
    sizes = np.concatenate([np.full(len(b.units), of.n_contrasts) for b, of in zip(batches, bases, strict=True)])
    units_of = np.repeat(np.arange(len(units)), sizes)
    names = {pool: i for i, pool in enumerate(dict.fromkeys(unit.pool for unit in units))}
    pools_of = np.array([names[unit.pool] for unit in units], np.intp)[units_of]
    seen = Sample.joined([observe_blocks(of, b, plan.period) for of, b in zip(bases, batches, strict=True)])
    null = settle(seen, pools_of, units_of, plan.alarms, "calibrated")
    return Calibrated(bases, units, units_of, pools_of, null)
