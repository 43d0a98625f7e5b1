"""twap: the same in every interval, as far as the caps allow. Pure and light."""

from __future__ import annotations

from collections.abc import Sequence

from trading.execution.smart.algorithms.apportion import water_fill
from trading.execution.smart.algorithms.sliced import SlicedAlgorithm, Spread


def evenly(spread: Spread) -> Sequence[float]:
    """Spread lots evenly over time; what a cap cuts off is spread evenly over the rest (the optimum without
    risk)."""
    return water_fill([interval.days for interval in spread.intervals], spread.caps, spread.lots)


TWAP = SlicedAlgorithm(name="twap", spreading=evenly)
