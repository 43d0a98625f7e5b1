"""How long the blocks of a bootstrap must be to keep a series' dependence in time, and no longer.

Source: Politis and White (2004), Automatic block-length selection for the dependent bootstrap, Econometric
Reviews 23(1), 53-70, as corrected by Patton, Politis and White (2009), Econometric Reviews 28(4), 372-375.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.research.statistics import arguments
from trading.research.statistics.arguments import FloatArray

# 2004, section 3.2: this many correlations in a row within the band end the search for the last that matters.
_QUIET_LAGS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLength:
    """The best length in periods, from 1 up: the mean one of stationary blocks, and that of circular ones (to
    be rounded up; it serves moving ones too)."""

    stationary: float
    circular: float


def optimal_block_length(returns: npt.ArrayLike) -> BlockLength:
    """Return the block lengths with the least mean squared error of the mean's estimated variance.

    b = (2 G^2 / D)^(1/3) n^(1/3), with R(k) the autocovariances, G = sum of h(k/M) |k| R(k) and g0 = sum of
    h(k/M) R(k) over k = -M..M, h(t) = min(1, 2 (1 - |t|)), D = 2 g0^2 for stationary and 4/3 g0^2 for
    circular blocks; M = 2 m, m the lag from which on 5 correlations in a row lie within +-2 sqrt(log10(n) /
    n), at least 1, and M at most ceil(sqrt(n)) + 5. Between 1 and min(3 sqrt(n), n / 3). As arch 8.0 has it,
    but for the correlations: here R(k) / R(0) as in the paper. Returns that do not vary need no blocks: 1.

    `returns`: shape (periods,).

    Raises:
        ValueError: if there are fewer than 10 returns or one is not finite.
    """
    array = arguments.series("returns", returns, 10)
    n = len(array)
    furthest = math.ceil(math.sqrt(n)) + _QUIET_LAGS
    covariances = _autocovariances(array, furthest)
    if not covariances[0] > 0:
        return BlockLength(stationary=1.0, circular=1.0)
    lags = np.arange(1, min(2 * _last_lag(covariances, n), furthest) + 1)
    weighted = np.minimum(1.0, 2.0 * (1.0 - lags / lags[-1])) * covariances[lags]
    slope, spectrum = 2 * float(weighted @ lags), float(covariances[0] + 2 * weighted.sum())
    longest = math.ceil(min(3 * math.sqrt(n), n / 3))
    stationary, circular = (
        min(max(math.cbrt(2 * slope**2 * n / (factor * spectrum**2)), 1.0), longest) if spectrum else longest
        for factor in (2.0, 4.0 / 3.0)
    )
    return BlockLength(stationary=float(stationary), circular=float(circular))


def _autocovariances(array: FloatArray, furthest: int) -> FloatArray:
    """Return R(0) .. R(furthest), each with the divisor n; 0 beyond the series."""
    centred, n = array - array.mean(), len(array)
    return np.array([float(centred[: max(n - k, 0)] @ centred[k:]) / n for k in range(furthest + 1)])


def _last_lag(covariances: FloatArray, n: int) -> int:
    """Return m: the first lag from 1 up at which a quiet stretch begins, or the furthest lag if none does."""
    loud = np.abs(covariances[1:]) >= 2 * math.sqrt(math.log10(n) / n) * covariances[0]
    stretches = np.lib.stride_tricks.sliding_window_view(loud, _QUIET_LAGS).any(axis=1)
    quiet = np.flatnonzero(~stretches)
    return int(quiet[0]) + 1 if len(quiet) else len(loud)
