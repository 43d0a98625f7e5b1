"""What a Sharpe ratio is worth: probabilistic, deflated by the number of trials, and how long it must last.

Sources: Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, Journal of Risk 15(2), 3-44;
(2014), The deflated Sharpe ratio, Journal of Portfolio Management 40(5), 94-107. Equal to ffn 1.4.1's, whose
choices where the papers leave one are named below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.research.statistics import arguments
from trading.research.statistics.arguments import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SharpeSample:
    """A Sharpe ratio per period and what its uncertainty depends on.

    `periods`: number of returns. `skew`: 0 for a normal distribution. `kurtosis`: 3 for a normal one.

    Raises:
        ValueError: if there are fewer than two periods or a number is not finite, or if the three moments
            leave the ratio no variance (no distribution of more than two values has them).
    """

    periods: int
    sharpe: float
    skew: float = 0.0
    kurtosis: float = 3.0

    def __post_init__(self) -> None:
        arguments.whole("periods", self.periods, 2)
        for name in ("sharpe", "skew", "kurtosis"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)!r}: expected a finite number")
        if not self.variance_factor > 0:
            raise ValueError(
                f"skew {self.skew!r} and kurtosis {self.kurtosis!r} leave sharpe {self.sharpe!r} no "
                "variance: expected 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe^2 above 0"
            )

    @property
    def variance_factor(self) -> float:
        """(periods - 1) times the variance of the estimated ratio: 1 - g3 SR + (g4 - 1) / 4 SR^2 (2012)."""
        return 1 - self.skew * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflatedSharpe:
    """The probability that the best of `trials` is truly better than luck alone would let it look.

    `probability`: 0 to 1; from 0.95 up the papers call the result no artefact of the search.
    `expected_maximum`: the Sharpe ratio that the best of `trials` without any skill is expected to show, per
    period, as `sharpe` is.
    """

    probability: float
    sharpe: float
    expected_maximum: float
    periods: int
    skew: float
    kurtosis: float
    trials: float
    trial_sharpe_variance: float


def sharpe_sample(returns: npt.ArrayLike) -> SharpeSample:
    """Return the Sharpe ratio of `returns` with their skew and kurtosis.

    `returns`: shape (periods,), at least 4. Skew and kurtosis are the estimators corrected for bias (G1 and
    G2 + 3 of Joanes and Gill 1998), as pandas and hence ffn have them; the papers do not say which they take.

    Raises:
        ValueError: if there are fewer than 4 returns, one is not finite, or all are the same.
    """
    array = arguments.series("returns", returns, 4)
    if _varies_by_rounding_alone(array):
        raise ValueError(
            f"returns are all {float(array[0])!r}: expected some that vary (a Sharpe ratio is undefined)"
        )
    n = len(array)
    mean = array.mean()
    squares = (array - mean) ** 2
    m2, m3, m4 = squares.mean(), (squares * (array - mean)).mean(), (squares**2).mean()
    skew = math.sqrt(n * (n - 1)) / (n - 2) * m3 / m2**1.5
    excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (m4 / m2**2 - 3) + 6)
    sharpe = mean / math.sqrt(m2 * n / (n - 1))
    return SharpeSample(periods=n, sharpe=float(sharpe), skew=float(skew), kurtosis=float(excess + 3))


def probabilistic_sharpe_ratio(sample: SharpeSample, *, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio is above `benchmark` (per period), from 0 to 1.

    PSR(SR*) = Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2))  (2012).
    """
    from scipy.special import ndtr

    error = math.sqrt(sample.variance_factor / (sample.periods - 1))
    return float(ndtr((sample.sharpe - benchmark) / error))


def minimum_track_record_length(
    sample: SharpeSample, *, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Return how many periods it takes to say with `confidence` that the Sharpe ratio is above `benchmark`.

    MinTRL = 1 + (1 - g3 SR + (g4 - 1) / 4 SR^2) (z / (SR - SR*))^2, z the normal quantile of `confidence`
    (2012), for a ratio and moments that stay as they are. Infinite if the ratio is not above
    `benchmark`.

    Raises:
        ValueError: unless `confidence` lies between 0.5 (included) and 1.
    """
    from scipy.special import ndtri

    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence is {confidence!r}: expected a number from 0.5 to below 1")
    if sample.sharpe <= benchmark:
        return math.inf
    return float(1 + sample.variance_factor * (ndtri(confidence) / (sample.sharpe - benchmark)) ** 2)


def expected_maximum_sharpe(*, trials: float, trial_sharpe_variance: float) -> float:
    """Return the Sharpe ratio that the best of `trials` independent ones without skill is expected to show.

    E[max] = sqrt(V) ((1 - g) z(1 - 1/N) + g z(1 - 1/(N e))), g the Euler-Mascheroni constant, z the normal
    quantile, N `trials`, V `trial_sharpe_variance`: the variance of the trials' Sharpe ratios (2014, eq. 1,
    with the mean 0 of trials without skill). In the unit of the root of V. One trial, or trials all alike,
    expect 0, as in ffn.

    Raises:
        ValueError: if `trials` is below 1 or the variance below 0.
    """
    from scipy.special import ndtri

    count = arguments.at_least("trials", trials, 1)
    deviation = math.sqrt(arguments.at_least("trial_sharpe_variance", trial_sharpe_variance, 0))
    if count == 1 or deviation == 0:
        return 0.0
    euler = np.euler_gamma
    return float(deviation * ((1 - euler) * ndtri(1 - 1 / count) + euler * ndtri(1 - 1 / (count * math.e))))


def deflated_sharpe_ratio(
    returns: npt.ArrayLike, *, trials: float, trial_sharpe_variance: float
) -> DeflatedSharpe:
    """Return the probabilistic Sharpe ratio of a search's best against what its trials reach by luck.

    `returns`: of the best trial, shape (periods,). `trials`: how many were tried, the losing and the pruned
    too (or `effective_trials`). `trial_sharpe_variance`: the variance (ddof 1) of the Sharpe ratios of all of
    them that have one, not of the good ones; per period as the returns are: divide the variance of annualised
    ones by the periods per year.

    DSR = PSR(E[max])  (2014, eq. 2).

    Raises:
        ValueError: if `sharpe_sample` refuses the returns or `expected_maximum_sharpe` the trials.
    """
    hurdle = expected_maximum_sharpe(trials=trials, trial_sharpe_variance=trial_sharpe_variance)
    sample = sharpe_sample(returns)
    return DeflatedSharpe(
        probability=probabilistic_sharpe_ratio(sample, benchmark=hurdle),
        sharpe=sample.sharpe,
        expected_maximum=hurdle,
        periods=sample.periods,
        skew=sample.skew,
        kurtosis=sample.kurtosis,
        trials=float(trials),
        trial_sharpe_variance=float(trial_sharpe_variance),
    )


def effective_trials(returns: npt.ArrayLike) -> float:
    """Return how many independent trials the correlated ones amount to, from 1 to their number.

    N = r + (1 - r) M  (2014, appendix): M trials, r the mean of their M (M - 1) / 2 correlations, taken
    as 0 where it is below. Gentler than counting every trial: a dense grid's neighbours are nearly one trial.
    `returns`: shape (periods, trials), one column per trial.

    Raises:
        ValueError: if there are fewer than 3 periods or 2 trials, or a trial's returns do not vary.
    """
    array = arguments.matrix("returns", returns, 3, 2)
    deviations = array.std(axis=0)
    flat = np.flatnonzero(deviations <= 4 * np.finfo(float).eps * np.abs(array).max(axis=0))
    if len(flat):
        raise ValueError(
            f"returns[:, {flat[0]}] do not vary: expected trials that do (no correlation is defined)"
        )
    count = int(array.shape[1])
    # The variance of the sum of M standardised series is the sum of all M^2 correlations.
    total = float((((array - array.mean(axis=0)) / deviations).sum(axis=1) ** 2).mean())
    correlation = float(min(1.0, max(0.0, (total - count) / (count * (count - 1)))))
    return count - correlation * (count - 1)


def _varies_by_rounding_alone(array: FloatArray) -> bool:
    """Return whether the values lie no further apart than rounding puts them, by the tolerance of ffn."""
    return bool(np.ptp(array) <= 4 * np.finfo(float).eps * np.abs(array).max())
