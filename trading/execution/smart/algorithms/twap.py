"""twap: the same in every interval, as far as the caps allow. Pure and light."""

from __future__ import annotations

from collections.abc import Sequence

from trading.execution.smart.algorithms.apportion import water_fill
from trading.execution.smart.algorithms.sliced import Division, SlicedAlgorithm


def evenly(given: Division) -> Sequence[float]:
    """Divide lots evenly over time; what a cap cuts off is spread evenly over the rest (the optimum without
    risk)."""
    return water_fill([interval.days for interval in given.intervals], given.caps, given.lots)


TWAP = SlicedAlgorithm(name="twap", divide=evenly)
