"""vwap: in proportion to the volume that is expected. Pure and light."""

from __future__ import annotations

from collections.abc import Sequence

from trading.execution.smart.algorithms.apportion import water_fill
from trading.execution.smart.algorithms.sliced import Division, SlicedAlgorithm


def by_volume(given: Division) -> Sequence[float]:
    """Divide lots in proportion to each interval's expected volume, as far as the caps in lots allow."""
    return water_fill([interval.volume for interval in given.intervals], given.caps, given.lots)


VWAP = SlicedAlgorithm(name="vwap", divide=by_volume)
