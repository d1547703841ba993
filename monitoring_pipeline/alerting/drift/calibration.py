"""The null distributions of a monitor's columns, as the reference teaches them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.drift.contrasts import Basis, basis
from monitoring_pipeline.alerting.drift.null import Kin, Null, Sample, observe_blocks, settle
from monitoring_pipeline.alerting.drift.plan import Plan
from monitoring_pipeline.alerting.drift.units import Batch, Unit

WHOLE = "*"  # the segment of all rows


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

    @cached_property
    def kin(self) -> Kin:
        """What belongs together of the contrasts and units."""
        return _kin(self.units, self.units_of, self.pools_of)


def calibrate(batches: Sequence[Batch], plan: Plan) -> Calibrated:
    """The null distributions that the reference's blocks teach, borrowed within each pool."""
    bases = tuple(basis(batch) for batch in batches)
    units = tuple(unit for batch in batches for unit in batch.units)
    sizes = np.concatenate([np.full(len(b.units), of.n_contrasts) for b, of in zip(batches, bases, strict=True)])
    units_of = np.repeat(np.arange(len(units)), sizes)
    names = {pool: i for i, pool in enumerate(dict.fromkeys(unit.pool for unit in units))}
    pools_of = np.array([names[unit.pool] for unit in units], np.intp)[units_of]
    seen = Sample.joined([observe_blocks(of, b, plan.period) for of, b in zip(bases, batches, strict=True)])
    null = settle(seen, _kin(units, units_of, pools_of), plan.alarms, "calibrated")
    return Calibrated(bases, units, units_of, pools_of, null)


def _kin(units: tuple[Unit, ...], units_of: NDArray[np.intp], pools_of: NDArray[np.intp]) -> Kin:
    sizes = np.bincount(units_of, minlength=len(units))
    first = np.cumsum(sizes) - sizes
    names = [(unit.pool[0], unit.column, unit.kind, size) for unit, size in zip(units, sizes.tolist(), strict=True)]
    wholes = {name: i for i, (name, unit) in enumerate(zip(names, units, strict=True)) if unit.pool[1] == WHOLE}
    whole = np.array([wholes.get(name, i) for i, name in enumerate(names)], np.intp)
    versions = {version: i for i, version in enumerate(dict.fromkeys(unit.pool[0] for unit in units))}
    version_of = np.array([versions[unit.pool[0]] for unit in units], np.intp)
    at = first[whole][units_of] + np.arange(len(units_of)) - first[units_of]
    return Kin(pools_of, version_of[units_of], units_of, at, whole)
