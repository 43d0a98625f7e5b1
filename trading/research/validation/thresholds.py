"""What a candidate has to reach, number by number, each with its reason. Light."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from trading.execution.checking import finite, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The bounds of the tests. Sharpe ratios are annualised here, fractions of 1 elsewhere.

    Enough data, or nothing can be told:
    least_trades: with 30 closed trades a share of winners is known to 9 points (standard error
    sqrt(0.25 / 30)); with fewer, drawing from them again mostly repeats the same few.
    least_returns: of the study's tests, three years of days. A true Sharpe ratio of 1 is then 1.7 standard
    errors (1 / sqrt(3)) from 0: with less hardly anything true could be told from nothing.
    least_new_returns: half a year of days that the search has not seen.
    least_windows: of the study, for a choice to be followed through at least 2 of them.

    What is asked:
    new_sharpe, above: on days that the search has not seen it must not lose. They are few, and much more than
    that cannot be asked of half a year (standard error 1.4).
    walk_forward_sharpe, at least: US shares alone brought about 0.3 to 0.4 over a century (Dimson, Marsh and
    Staunton, Triumph of the Optimists, 2002); below that choosing is not worth its trouble.
    deflated_sharpe, at least: the 95 % of Bailey and Lopez de Prado (2014).
    overfitting, at most: the smaller of the probability of overfitting (0.5: a choice as good as none; Bailey
    et al. 2015) and that of a loss. Of simulated searches of 40 trials over 8 years, at 0.15, 1 to 12 % pass
    of those without any skill (the more alike their trials, the more), 90 % of those whose trials' true
    ratios reach from 0 to 1, and 90 % of those where all have 0.8.
    bootstrap_low, above: the lower end of the 95 % interval of the Sharpe ratio.
    ruin, at most: the chance of ever falling below half of the capital, one in a hundred.
    drawdown, at least: what one run in twenty falls deeper than. To come back from -0.4 takes +67 %.
    sensitivity, at most: half of the score may be lost to the neighbours (median); where more is, the
    parameters sit on a peak of noise.
    stressed_sharpe, above: with costs doubled and with costs tripled it must not lose: spreads of bad days
    are two to three times those of good ones, and ours are a guess.

    How hard is drawn: resamples, runs: a quantile of 2.5 % rests on 50 of the one, 5 % on 500 of the other.
    confidence: of the interval. splits: blocks of the cross-validation, 12,870 ways to take half of 16.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    least_trades: int = 30
    least_returns: int = 756
    least_new_returns: int = 126
    least_windows: int = 3
    new_sharpe: float = 0.0
    walk_forward_sharpe: float = 0.3
    deflated_sharpe: float = 0.95
    overfitting: float = 0.15
    bootstrap_low: float = 0.0
    ruin: float = 0.01
    drawdown: float = -0.4
    sensitivity: float = 0.5
    stressed_sharpe: float = 0.0
    resamples: int = 2_000
    runs: int = 10_000
    ruin_below: float = 0.5
    confidence: float = 0.95
    splits: int = 16

    def __post_init__(self) -> None:
        for name, least in (
            ("least_trades", 2),
            ("least_returns", 16),
            ("least_new_returns", 4),
            ("least_windows", 2),
            ("resamples", 2),
            ("runs", 1),
            ("splits", 2),
        ):
            whole(name, getattr(self, name), least)
        for name in ("new_sharpe", "walk_forward_sharpe", "bootstrap_low", "sensitivity", "stressed_sharpe"):
            finite(name, getattr(self, name))
        for name in ("deflated_sharpe", "overfitting", "ruin", "ruin_below", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}: expected a number between 0 and 1")
        if not -1 < self.drawdown < 0 or math.isnan(self.drawdown):
            raise ValueError(f"drawdown is {self.drawdown!r}: expected a number between -1 and 0")

    def to_dict(self) -> dict[str, Any]:
        """Return every field."""
        return asdict(self)
