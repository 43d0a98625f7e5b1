"""How much of a result hangs on its exact parameters: the fall of the score among their neighbours.

A parameter that means something has a plateau around it; one that fits noise stands on a peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.research.statistics import arguments
from trading.research.statistics.arguments import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The fall of a score from the best parameters to their neighbours, as fractions of the best score.

    `fall` = (best - median) / |best| and `worst_fall` = (best - worst) / |best| over the neighbours' scores:
    0 on a plateau, 1 where nothing of the score is left, above 1 where it turns into a loss, below 0 where
    the neighbours are better. From a best score of 0 any fall is infinite, any rise minus infinite, and
    equality 0.
    """

    best: float
    median: float
    worst: float
    fall: float
    worst_fall: float
    neighbours: int


def parameter_sensitivity(best_score: float, neighbour_scores: npt.ArrayLike) -> Sensitivity:
    """Return the fall of the score from the best parameters to their neighbours (`neighbours_of` finds
    those).

    Scores are such that more is better. `neighbour_scores`: shape (neighbours,), without the best's own. The
    definition is this project's: the literature has no common one.

    Raises:
        ValueError: if there is no neighbour or a score is not finite.
    """
    scores = arguments.series("neighbour_scores", neighbour_scores, 1)
    if not math.isfinite(best_score):
        raise ValueError(f"best_score is {best_score!r}: expected a finite number")
    best, median, worst = float(best_score), float(np.median(scores)), float(scores.min())
    return Sensitivity(
        best=best,
        median=median,
        worst=worst,
        fall=_relative_fall(best, median),
        worst_fall=_relative_fall(best, worst),
        neighbours=len(scores),
    )


def neighbours_of(points: npt.ArrayLike, centre: int, *, reach: float = 0.1) -> npt.NDArray[np.intp]:
    """Return the rows of `points` that lie near row `centre`, itself left out, in ascending order.

    `points`: shape (points, parameters), numbers of any unit (the logarithm of a parameter that is searched
    on a logarithmic scale). Near: in no parameter further off than `reach` times that parameter's range over
    all points.

    Raises:
        ValueError: if there are fewer than two points, `centre` is none of them, a number is not finite or
            `reach` not between 0 and 1. No neighbour is an empty array.
    """
    array: FloatArray = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(
            f"points has shape {array.shape}: expected (points, parameters), two points or more, finite"
        )
    if arguments.whole("centre", centre, 0) >= len(array):
        raise ValueError(f"centre is {centre!r}: expected a row of the {len(array)} points")
    # The last digits of a grid's steps are rounding, and a neighbour just at `reach` shall count.
    limits = arguments.share("reach", reach) * np.ptp(array, axis=0) * (1 + 1e-9)
    near = (np.abs(array - array[centre]) <= limits).all(axis=1)
    near[centre] = False
    return np.flatnonzero(near)


def _relative_fall(best: float, other: float) -> float:
    if best == 0:
        return 0.0 if other == 0 else math.copysign(math.inf, -other)
    return (best - other) / abs(best)
