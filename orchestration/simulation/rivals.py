"""How good the predicted durations of a simulated run of the box were, against plain rules on the same runs.
Pure: standard library only.

Each rule has one dial and is given what no live predictor has: the dial is set in hindsight, per task, so
that as many runs stay within the rule's predictions as stayed within ours. What is then compared is the
over-estimate: the time promised and not used, over the time used. Every rule knows the last 50 runs, and its
first prediction is for the second run; the first, of which nobody knows anything, is left out for all.

- average_plus_errors: the average + dial x the mean absolute error of that average as a prediction.
- rolling_quantile: the quantile of the durations at the level dial, interpolated between neighbours.
- conformal: the average x the quantile, at the level dial, of how many times the average the runs took.

A level is 0 at the smallest of the 50 and 1 at the largest. Above 1 it is a factor on the largest, which by
itself covers no more than 50 runs of 51.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import TypedDict

from orchestration.estimates import SHORTEST_MINUTES

WINDOW = 50  # runs that a rule remembers
FEWEST_RUNS = 30  # with fewer runs a ratio says more about luck than about the rule


class TaskScore(TypedDict):
    """How one task was predicted. runs: those counted, so without the first. coverage: their share within the
    prediction. over_estimate: sum of max(0, predicted - actual) over the sum of actual. rivals: the same by
    rule at the same coverage. ratio: ours over the least of the rivals'. None where there are too few runs
    (none at all for the first three, 30 for the ratio), or nothing to divide by."""

    runs: int
    coverage: float | None
    over_estimate: float | None
    rivals: dict[str, float]
    ratio: float | None


class PooledScore(TypedDict):
    """The runs of all tasks together, as in `TaskScore`; None without runs."""

    runs: int
    coverage: float | None
    over_estimate: float | None


class Predictions:
    """What was predicted for the runs of one task, and what they took: 16 bytes a run."""

    __slots__ = ("_actual", "_predicted")

    def __init__(self) -> None:
        self._predicted = array("d")
        self._actual = array("d")

    def add(self, predicted_high: float, actual: float) -> None:
        """Add a run that completed unstopped, in the order of the runs. Both in minutes; below 1 ms an actual
        duration counts as 1 ms.

        Raises:
            ValueError: if either is negative or not finite.
        """
        for name, minutes in (("predicted_high", predicted_high), ("actual", actual)):
            if not (isfinite(minutes) and minutes >= 0):
                raise ValueError(f"{name} is {minutes}: expected finite minutes that are not negative")
        self._predicted.append(predicted_high)
        self._actual.append(max(SHORTEST_MINUTES, actual))

    def tally(self) -> tuple[int, int, float, float]:
        """Return the runs counted, how many of them stayed within the prediction, the minutes promised and
        not used, and the minutes used."""
        predicted, actual = self._predicted[1:], self._actual[1:]
        covered = sum(took <= promised for promised, took in zip(predicted, actual, strict=True))
        return len(actual), covered, _unused(predicted, actual), sum(actual)

    def score(self) -> TaskScore:
        """Return how good the predictions were, and how good the rivals' would have been."""
        runs, covered, unused, used = self.tally()
        if not runs:
            return TaskScore(runs=0, coverage=None, over_estimate=None, rivals={}, ratio=None)
        counted = self._actual[1:]
        rivals = {
            name: _unused(rule(self._actual, max(1, covered)), counted) / used
            for name, rule in RIVALS.items()
        }
        best = min(rivals.values())
        return TaskScore(
            runs=runs,
            coverage=covered / runs,
            over_estimate=unused / used,
            rivals=rivals,
            ratio=unused / used / best if runs >= FEWEST_RUNS and best > 0 else None,
        )


def pooled(predictions: Iterable[Predictions]) -> PooledScore:
    """Return the coverage and the over-estimate of the runs of all tasks taken together: a run counts as one
    for the coverage, whatever its task, and by its minutes for the over-estimate."""
    tallies = [some.tally() for some in predictions]
    runs, used = sum(t[0] for t in tallies), sum(t[3] for t in tallies)
    return PooledScore(
        runs=runs,
        coverage=sum(t[1] for t in tallies) / runs if runs else None,
        over_estimate=sum(t[2] for t in tallies) / used if runs else None,
    )


def average_plus_errors(actual: Sequence[float], covered: int) -> array[float]:
    """Return the predictions for all runs but the first, with the dial at which `covered` of them hold.

    A run needs a dial of (actual - average) / error; the `covered`-th smallest of these is taken. Before
    there is an error, half the first run stands for it, as in RFC 6298; it is at least 1 ms.
    """
    averages = _averages(actual)
    errors = deque([actual[0] / 2], WINDOW)
    units = array("d")
    for average, took in zip(averages, actual[1:], strict=True):
        units.append(max(SHORTEST_MINUTES, sum(errors) / len(errors)))
        errors.append(abs(took - average))
    needed = (
        (took - average) / unit for took, average, unit in zip(actual[1:], averages, units, strict=True)
    )
    dial = sorted(needed)[covered - 1]
    return array("d", (average + dial * unit for average, unit in zip(averages, units, strict=True)))


def rolling_quantile(actual: Sequence[float], covered: int) -> array[float]:
    """Return the predictions for all runs but the first, with the level at which `covered` of them hold."""
    return _quantiles(actual, covered)


def conformal(actual: Sequence[float], covered: int) -> array[float]:
    """Return the predictions for all runs but the first, with the level at which `covered` of them hold."""
    averages = _averages(actual)
    ratios = array("d", [1.0])
    ratios.extend(took / average for took, average in zip(actual[1:], averages, strict=True))
    quantiles = _quantiles(ratios, covered)
    return array("d", (average * factor for average, factor in zip(averages, quantiles, strict=True)))


RIVALS: Mapping[str, Callable[[Sequence[float], int], array[float]]] = {
    "average_plus_errors": average_plus_errors,
    "rolling_quantile": rolling_quantile,
    "conformal": conformal,
}


def level_of(recent: Sequence[float], value: float) -> float:
    """Return the lowest level at which `value_at` reaches `value`, which is what a run needs of the dial.

    recent: sorted, not empty, positive.
    """
    if value > recent[-1]:
        return value / recent[-1]
    place = bisect_left(recent, value)
    if place == 0:
        return 0.0
    below, above = recent[place - 1], recent[place]
    return (place - 1 + (value - below) / (above - below)) / (len(recent) - 1)


def value_at(recent: Sequence[float], level: float) -> float:
    """Return the quantile of `recent` at `level`: the smallest at 0, the largest at 1, that times the level
    above it."""
    if level >= 1.0:
        return recent[-1] * level
    place = level * (len(recent) - 1)
    below = int(place)
    step = recent[below + 1] - recent[below] if below + 1 < len(recent) else 0.0
    return recent[below] + step * (place - below)


def _quantiles(values: Sequence[float], covered: int) -> array[float]:
    """Return, for all values but the first, the quantile of the up to 50 before it, at the level at which
    `covered` of the values are within."""
    needed = (level_of(recent, value) for recent, value in zip(_windows(values), values[1:], strict=True))
    level = sorted(needed)[covered - 1]
    return array("d", (value_at(recent, level) for recent in _windows(values)))


def _windows(values: Sequence[float]) -> Iterator[Sequence[float]]:
    """Yield, for all values but the first, the up to 50 before it by size: one list, updated."""
    recent: list[float] = []
    for index, value in enumerate(values[:-1]):
        insort(recent, value)
        if index >= WINDOW:
            del recent[bisect_left(recent, values[index - WINDOW])]
        yield recent


def _averages(actual: Sequence[float]) -> array[float]:
    """Return, for all runs but the first, the average of the up to 50 before it."""
    recent: deque[float] = deque(maxlen=WINDOW)
    averages = array("d")
    for took in actual[:-1]:
        recent.append(took)
        averages.append(sum(recent) / len(recent))
    return averages


def _unused(predicted: Iterable[float], actual: Iterable[float]) -> float:
    return sum(max(0.0, promised - took) for promised, took in zip(predicted, actual, strict=True))
