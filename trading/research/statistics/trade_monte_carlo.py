"""Monte Carlo of trades: what the same trades could have done in another order, or others like them.

Run number i depends on the seed and on i alone, so that neither the size of the chunks nor the number of runs
changes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from trading.research.statistics import arguments
from trading.research.statistics.arguments import FloatArray
from trading.research.statistics.bootstrap import equity_of, max_drawdown

# Floats per trade and run alive at once: the draw, the equity and the peaks.
_FLOATS_ALIVE = 6


class TradeDraw(Enum):
    """SHUFFLE: every trade once, in random order: the final equity stays, the way there differs. RESAMPLE: as
    many trades drawn with replacement (the bootstrap of Efron 1979): both differ."""

    SHUFFLE = "shuffle"
    RESAMPLE = "resample"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TradeMonteCarlo:
    """How the runs went, each from an equity of 1; arrays of shape (runs,), in the order of the runs.

    `max_drawdown`: from -1 to 0. `lowest_equity`: the least after any trade, the start of 1 included.
    `ruin_probability`: the share of runs whose lowest equity was below `ruin_below`.
    """

    final_equity: FloatArray
    max_drawdown: FloatArray
    lowest_equity: FloatArray
    ruin_below: float
    ruin_probability: float
    trades: int


def trade_monte_carlo(
    trade_returns: npt.ArrayLike,
    *,
    seed: int,
    runs: int = 10_000,
    draw: TradeDraw = TradeDraw.RESAMPLE,
    ruin_below: float = 0.5,
    memory_limit_mb: float = 64.0,
) -> TradeMonteCarlo:
    """Return the equity and drawdown of `runs` random sequences of the trades.

    `trade_returns`: shape (trades,), what each trade added to the whole equity as a fraction of it (-0.01 = 1
    % of the account lost); one after the other they compound, and equity that reached 0 stays there. The
    trades are taken as independent of one another; for the dependence of returns in time see `bootstrap`. The
    result does not depend on `memory_limit_mb`.

    Raises:
        ValueError: if there are fewer than two trades, one is not finite, `runs` is below 1, `seed` below 0,
            or `ruin_below` not between 0 and 1.
    """
    array = arguments.series("trade_returns", trade_returns, 2)
    arguments.whole("seed", seed, 0)
    threshold = arguments.share("ruin_below", ruin_below)
    final, depth, lowest = (np.empty(arguments.whole("runs", runs, 1)) for _ in range(3))
    at_once = arguments.rows_within(memory_limit_mb, 8 * _FLOATS_ALIVE * len(array))
    for first in range(0, runs, at_once):
        chunk = slice(first, min(first + at_once, runs))
        samples = _sequences(array, draw, seed, range(chunk.start, chunk.stop))
        equity = equity_of(samples)
        final[chunk] = equity[:, -1]
        lowest[chunk] = np.minimum(equity.min(axis=1), 1.0)
        depth[chunk] = max_drawdown(samples)
    return TradeMonteCarlo(
        final_equity=final,
        max_drawdown=depth,
        lowest_equity=lowest,
        ruin_below=threshold,
        ruin_probability=float((lowest < threshold).mean()),
        trades=len(array),
    )


def _sequences(array: FloatArray, draw: TradeDraw, seed: int, numbers: range) -> FloatArray:
    """Return the trades of each run, shape (len(numbers), trades)."""
    generators = (np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,))) for i in numbers)
    if draw is TradeDraw.SHUFFLE:
        return np.stack([generator.permutation(array) for generator in generators])
    return np.stack([array[generator.integers(len(array), size=len(array))] for generator in generators])
