"""Better figures for a task's duration than the daemon keeps, where its history proves them better.

The daemon keeps two numbers per task, exponential averages of ln(minutes) and of its absolute error. They
follow a new level slowly and a growing one never quite. Here a few other estimators are rolled over the
history, each predicting every run from those before it, and judged on the newest third; only one that
clearly beats the daemon's present numbers there is proposed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite, log, sqrt
from statistics import fmean, median, stdev
from typing import NamedTuple

LEAST_RUNS = 20
MOST_RUNS = 150
"""Older runs say little about the next one."""
LEAST_GAIN = 0.05
"""A loss must shrink by this share: less is not worth another's word."""
CERTAINTY = 2.0
"""And by this many standard errors of the mean difference, run by run: less may be luck."""
SHARE_JUDGED = 3
"""One run in three, the newest ones, is predicted; the older ones are only learned from."""
LATE_RUNS = 7
"""The newest of these count by themselves, so that a change that the daemon has long followed does not. A
median of five follows a change in three runs, which none can foresee: ten after it, seven are fair."""
HIGH = 0.9
"""The quantile that the daemon's gates promise."""
FLOOR_ERROR = 0.1
"""What the daemon adds to any error before it promises: between smaller errors it knows no difference."""
DAMPING = 0.2
"""How it damps a large error, e / (1 + DAMPING e)."""
SPREAD_OF_HIGH = log(HIGH / (1 - HIGH)) / (2 * log(2))
"""ln(high quantile) - ln(median) per unit of mean absolute error, of a logistic law."""
SHORTEST_MINUTES = 1 / 60_000
"""1 ms: what a shorter run counts as."""

MEMORIES = (5, 9, 15)
"""Runs that a recent median looks back on."""
TREND_RUNS = 15
LEVEL_RUNS = 40
"""No further back is a change of level looked for."""
LEAST_LEVEL = 5
"""Runs a level must have held to be believed."""
SHIFT_ERRORS = 2.0
"""The medians before and after a change differ by at least this many mean absolute errors."""


class Level(NamedTuple):
    """Of ln(minutes): what the next run is expected to take, and the mean absolute error of that."""

    log_mean: float
    log_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reestimate:
    """Numbers proposed in place of the daemon's.

    log_mean, log_error: of ln(minutes). runs: the history's length. loss_before, loss_after: mean loss per
    judged run of the daemon's present numbers and of the estimator, by name.
    """

    log_mean: float
    log_error: float
    runs: int
    loss_before: float
    loss_after: float
    estimator: str


def reestimate(minutes: Sequence[float], own: tuple[float, float]) -> Reestimate | None:
    """Return better numbers for a task than the daemon's, None if there are none or the history is short.

    minutes: how long its completed runs took, oldest first. own: the daemon's present log_mean and
    log_error. These have seen the very runs that they are judged on, the estimators have not: in doubt the
    daemon's stay. To be proposed an estimator must lose less over the whole newest third and over the last
    LATE_RUNS.

    Raises:
        ValueError: if a duration is negative or not finite, or `own` holds no mean and error.
    """
    values = [_log_minutes(m) for m in minutes][-MOST_RUNS:]
    present = _checked(own)
    if len(values) < LEAST_RUNS:
        return None
    judged = len(values) // SHARE_JUDGED
    before = [loss(present, value) for value in values[-judged:]]
    best: Reestimate | None = None
    for name, estimate in ESTIMATORS.items():
        after = [loss(estimate(values[:k]), values[k]) for k in range(len(values) - judged, len(values))]
        if _is_better(after, before) and (best is None or fmean(after) < best.loss_after):
            level = estimate(values)
            best = Reestimate(
                log_mean=level.log_mean,
                log_error=level.log_error,
                runs=len(minutes),
                loss_before=fmean(before),
                loss_after=fmean(after),
                estimator=name,
            )
    return best


def loss(level: Level, value: float) -> float:
    """Return what it costs to have promised `level` to a run that took `value` = ln(minutes).

    Absolute error of the median plus pinball loss of the 0.9 quantile (Koenker and Bassett 1978): 0.9 per
    unit above the promise, 0.1 per unit below. The promise is the daemon's: logistic, with its margin.
    """
    paid = FLOOR_ERROR + level.log_error / (1 + DAMPING * level.log_error)
    over = value - (level.log_mean + SPREAD_OF_HIGH * paid)
    return abs(value - level.log_mean) + max(HIGH * over, (HIGH - 1) * over)


def recent_median(runs: int) -> Callable[[Sequence[float]], Level]:
    """Return an estimator: the median of the last `runs`, which one freak in three does not move."""

    def estimate(values: Sequence[float]) -> Level:
        return _level(values[-runs:])

    return estimate


def since_shift(values: Sequence[float]) -> Level:
    """Return the level since it last changed.

    The change is looked for where cutting in two saves most absolute error; it counts if the two medians
    are SHIFT_ERRORS apart in the error that is left. Without one it is the level of all LEVEL_RUNS.
    """
    recent = list(values[-LEVEL_RUNS:])
    cuts = range(LEAST_LEVEL, len(recent) - LEAST_LEVEL + 1)
    if not cuts:
        return _level(recent)
    cut = min(cuts, key=lambda k: _deviation(recent[:k]) + _deviation(recent[k:]))
    left = (_deviation(recent[:cut]) + _deviation(recent[cut:])) / len(recent)
    changed = abs(median(recent[cut:]) - median(recent[:cut])) > SHIFT_ERRORS * left
    return _level(recent[cut:] if changed else recent)


def trend(values: Sequence[float]) -> Level:
    """Return the next value on a straight line through the last TREND_RUNS (Theil 1950, Sen 1968)."""
    recent = list(values[-TREND_RUNS:])
    slopes = [(b - a) / (j - i) for j, b in enumerate(recent) for i, a in enumerate(recent[:j])]
    slope = median(slopes)
    return _level([value + slope * (len(recent) - k) for k, value in enumerate(recent)])


ESTIMATORS: dict[str, Callable[[Sequence[float]], Level]] = {
    **{f"median_{runs}": recent_median(runs) for runs in MEMORIES},
    "since_shift": since_shift,
    "trend": trend,
}


def _level(values: Sequence[float]) -> Level:
    """Return the median, and the mean absolute error to expect of the next value: a deviation from the
    values' own centre is too small by sqrt((n - 1) / n), a new value's is larger by sqrt((n + 1) / n)."""
    n = len(values)
    return Level(median(values), _deviation(values) / n * sqrt((n + 1) / (n - 1)))


def _deviation(values: Sequence[float]) -> float:
    centre = median(values)
    return sum(abs(value - centre) for value in values)


def _is_better(after: Sequence[float], before: Sequence[float]) -> bool:
    """Say whether the losses have shrunk by enough on the whole and of late, in one of them beyond luck."""
    spans = ((after, before), (after[-LATE_RUNS:], before[-LATE_RUNS:]))
    gains = [[b - a for a, b in zip(*span, strict=True)] for span in spans]
    enough = all(fmean(gain) > LEAST_GAIN * fmean(span[1]) for gain, span in zip(gains, spans, strict=True))
    return enough and any(fmean(gain) > CERTAINTY * stdev(gain) / sqrt(len(gain)) for gain in gains)


def _log_minutes(minutes: float) -> float:
    if not (isfinite(minutes) and minutes >= 0):
        raise ValueError(f"minutes is {minutes}: expected a finite number that is not negative")
    return log(max(minutes, SHORTEST_MINUTES))


def _checked(own: tuple[float, float]) -> Level:
    level = Level(*own)
    if not (isfinite(level.log_mean) and isfinite(level.log_error) and level.log_error >= 0):
        raise ValueError(f"own is {own}: expected a finite log_mean, and a log_error that is not negative")
    return level
