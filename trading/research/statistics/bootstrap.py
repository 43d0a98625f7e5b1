"""Block bootstrap of a series of returns: what else a statistic could have been, dependence in time kept.

Sources: stationary, Politis and Romano (1994), JASA 89, 1303-1313; moving blocks, Kuensch (1989), Annals of
Statistics 17, 1217-1241; circular, Politis and Romano (1992); the length of the blocks, `block_length`.

Resample number i depends on the seed and on i alone: any range of numbers can be computed at any time, in
chunks of any size, and a run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from trading.research.statistics import arguments
from trading.research.statistics.arguments import FloatArray
from trading.research.statistics.block_length import optimal_block_length

# Takes samples, shape (samples, periods), and returns one number for each, shape (samples,).
Statistic = Callable[[FloatArray], FloatArray]

# Floats per period and resample alive at once: the indices, their making, the sample, a statistic's own.
_FLOATS_ALIVE = 10


class Resampling(Enum):
    """How blocks are drawn. STATIONARY: of random, geometric length, the series closed to a ring. CIRCULAR:
    of fixed length on the ring. MOVING: of fixed length inside the series, which favours its middle."""

    STATIONARY = "stationary"
    CIRCULAR = "circular"
    MOVING = "moving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A percentile interval (Efron 1979): `confidence` of the resamples lie between `low` and `high`.

    `estimate`: of the returns themselves. `standard_error`: deviation (ddof 1) over the resamples.
    """

    estimate: float
    low: float
    high: float
    standard_error: float
    confidence: float
    block_length: float
    resamples: int


def mean_return(samples: FloatArray) -> FloatArray:
    """Return the mean return per period of each sample, shape (samples, periods)."""
    return np.asarray(samples.mean(axis=1))


def sharpe(samples: FloatArray) -> FloatArray:
    """Return the Sharpe ratio per period (ddof 1) of each sample, shape (samples, periods); 0 where it does
    not vary, for a resample that happened to miss every trade says nothing of either sign."""
    deviation = samples.std(axis=1, ddof=1)
    mean = samples.mean(axis=1)
    varies = deviation > 4 * np.finfo(float).eps * np.abs(mean)
    return np.asarray(np.divide(mean, deviation, out=np.zeros(len(samples)), where=varies))


def max_drawdown(samples: FloatArray) -> FloatArray:
    """Return the deepest fall of each sample's equity from its peak, from -1 to 0 (-0.2 = 20 % lost); shape
    (samples, periods). The start counts as a peak, and what is lost altogether stays lost."""
    equity = equity_of(samples)
    peaks = np.maximum(np.maximum.accumulate(equity, axis=1), 1.0)
    return np.asarray((equity / peaks - 1.0).min(axis=1))


def cagr(periods_per_year: float = 252.0) -> Statistic:
    """Return a statistic: the compound annual growth rate of each sample, -1 where everything is lost.

    Raises:
        ValueError: if `periods_per_year` is not above 0.
    """
    per_year = arguments.positive("periods_per_year", periods_per_year)

    def growth(samples: FloatArray) -> FloatArray:
        product = np.maximum(1.0 + samples, 0.0).prod(axis=1)
        return np.asarray(product ** (per_year / samples.shape[1]) - 1.0)

    return growth


def equity_of(samples: FloatArray) -> FloatArray:
    """Return the equity after each period from a start of 1, same shape; once 0 it stays 0."""
    growth: FloatArray = np.maximum(1.0 + samples, 0.0)
    return growth.cumprod(axis=1)


def bootstrap_intervals(
    returns: npt.ArrayLike,
    statistics: Mapping[str, Statistic],
    *,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
    resampling: Resampling = Resampling.STATIONARY,
    block_length: float | None = None,
    memory_limit_mb: float = 64.0,
) -> dict[str, Interval]:
    """Return an interval for each of `statistics`, all over the same resamples.

    `returns`: shape (periods,). `block_length` in periods (the mean one if stationary, rounded up otherwise);
    None takes `optimal_block_length`. The result does not depend on `memory_limit_mb`.

    Raises:
        ValueError: as `resampled`, and unless `confidence` lies between 0 and 1.
    """
    array = arguments.series("returns", returns, 2)
    level = arguments.share("confidence", confidence)
    length = _block_length(array, resampling, block_length)
    values = resampled(
        array,
        statistics,
        seed=seed,
        numbers=range(arguments.whole("resamples", resamples, 2)),
        resampling=resampling,
        block_length=length,
        memory_limit_mb=memory_limit_mb,
    )
    return {
        name: interval_of(
            values[:, i], float(statistic(array[None, :])[0]), confidence=level, block_length=length
        )
        for i, (name, statistic) in enumerate(statistics.items())
    }


def resampled(
    returns: npt.ArrayLike,
    statistics: Mapping[str, Statistic],
    *,
    seed: int,
    numbers: range,
    resampling: Resampling = Resampling.STATIONARY,
    block_length: float | None = None,
    memory_limit_mb: float = 64.0,
) -> FloatArray:
    """Return each statistic of the resamples `numbers`, shape (len(numbers), len(statistics)).

    For work that stops and goes on: resamples 0 to 999 followed by 1000 to 1999 are those of 0 to 1999. Give
    the `block_length` then, lest each part works it out again.

    Raises:
        ValueError: if there are fewer than two returns (ten without `block_length`), one is not finite, the
            block length is below 1 or above the periods, or `seed` or a number is below 0.
    """
    array = arguments.series("returns", returns, 2)
    length = _block_length(array, resampling, block_length)
    arguments.whole("seed", seed, 0)
    if len(numbers):
        arguments.whole("numbers", min(numbers), 0)
    at_once = arguments.rows_within(memory_limit_mb, 8 * _FLOATS_ALIVE * len(array))
    values = np.empty((len(numbers), len(statistics)))
    for first in range(0, len(numbers), at_once):
        chunk = numbers[first : first + at_once]
        samples = array[_indices(len(array), length, resampling, seed, chunk)]
        for column, statistic in enumerate(statistics.values()):
            values[first : first + len(chunk), column] = statistic(samples)
    return values


def interval_of(values: FloatArray, estimate: float, *, confidence: float, block_length: float) -> Interval:
    """Return the percentile interval of resampled `values`, shape (resamples,)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(
        estimate=estimate,
        low=float(low),
        high=float(high),
        standard_error=float(values.std(ddof=1)),
        confidence=confidence,
        block_length=block_length,
        resamples=len(values),
    )


def _block_length(array: FloatArray, resampling: Resampling, given: float | None) -> float:
    """Return the length of the blocks: whole, unless they are of random length."""
    if given is None:
        found = optimal_block_length(array)
        given = found.stationary if resampling is Resampling.STATIONARY else found.circular
    if not 1 <= given <= len(array):
        raise ValueError(f"block_length is {given!r}: expected from 1 to the {len(array)} periods")
    return float(given if resampling is Resampling.STATIONARY else np.ceil(given))


def _indices(
    periods: int, length: float, resampling: Resampling, seed: int, numbers: range
) -> npt.NDArray[np.intp]:
    """Return the periods that each resample takes, shape (len(numbers), periods)."""
    draws = (np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,))) for number in numbers)
    if resampling is Resampling.STATIONARY:
        return np.stack([_stationary(draw, periods, length) for draw in draws])
    return np.stack([_fixed_blocks(draw, periods, int(length), resampling) for draw in draws])


def _stationary(draw: np.random.Generator, periods: int, length: float) -> npt.NDArray[np.intp]:
    """Return the periods of one resample: with probability 1 / length a new block begins at a random period,
    else the next one follows (Politis and Romano 1994, section 2)."""
    begins = draw.random(periods) < 1.0 / length
    begins[0] = True
    starts = np.flatnonzero(begins)
    offsets = draw.integers(periods, size=len(starts)) - starts
    return (np.repeat(offsets, np.diff(starts, append=periods)) + np.arange(periods)) % periods


def _fixed_blocks(
    draw: np.random.Generator, periods: int, length: int, resampling: Resampling
) -> npt.NDArray[np.intp]:
    """Return the periods of one resample of blocks of `length`; the last block is cut to fit."""
    last_start = periods if resampling is Resampling.CIRCULAR else periods - length + 1
    starts = draw.integers(last_start, size=-(-periods // length))
    return (starts[:, None] + np.arange(length)).ravel()[:periods] % periods
