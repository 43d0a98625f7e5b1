"""The model's parameters from four numbers that everybody has, and a check of how far they can be trusted.
Light: standard library only."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from trading.execution.checking import not_negative, positive
from trading.execution.model.impact import athl_temporary_mean_bps
from trading.execution.model.params import AlmgrenChrissParams

CHECKED_SHARE = 0.10
"""Share of a day's volume, traded evenly over that day, at which the two laws are compared."""
FAR = 5.0
"""Ratio of the two from which a person should know. It is wide: either law is good to a factor of two or
so for a single stock."""


class LinearImpactWarning(UserWarning):
    """The linear rule of thumb and the empirical law disagree by more than a factor of 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactCheck:
    """Mean temporary cost of trading 10 % of the daily volume evenly within one day, half-spread not
    included, by the params (linear_bps) and by the law of Almgren, Thum, Hauptmann and Li 2005
    (empirical_bps) [basis points]; ratio: linear over empirical, infinite if only the latter is 0."""

    linear_bps: float
    empirical_bps: float

    @property
    def ratio(self) -> float:
        return self.linear_bps / self.empirical_bps if self.empirical_bps else math.inf

    @property
    def is_far(self) -> bool:
        """Whether one is more than 5 times the other."""
        return not 1 / FAR <= self.ratio <= FAR

    def __str__(self) -> str:
        return (
            f"temporary impact at {CHECKED_SHARE:.0%} of the daily volume is {self.linear_bps:.4g} bp by the "
            f"linear rule and {self.empirical_bps:.4g} bp by the empirical law (ratio {self.ratio:.3g})"
        )


def calibrate_ac_params(
    daily_volume: float, daily_spread: float, daily_volatility: float, price: float, *, tau: float = 1.0
) -> AlmgrenChrissParams:
    """Return the model's parameters by the rule of thumb of Almgren and Chriss (2000, section 3.4).

    daily_volume: shares per day; daily_spread: quoted bid to ask [$/share]; daily_volatility: of returns
    [fraction, 0.02 = 2 %]; price [$/share], kept in the params; tau: length of one interval [days].
    epsilon = spread / 2 [$/share]; eta = spread / (0.01 volume) [($/share)/(share/day)]: each 1 % of the
    day's volume costs one spread; gamma = spread / (0.10 volume) [$/share^2]: 10 % move the price by one
    spread; sigma = daily_volatility price [$/share/sqrt(day)]. The rule explodes where the spread is wide:
    a LinearImpactWarning tells both numbers if they are more than a factor of 5 apart (`impact_check`).

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """
    params = linear_rule_params(daily_volume, daily_spread, daily_volatility, price, tau=tau)
    check = impact_check(params, daily_volume, daily_volatility)
    if check.is_far:
        warnings.warn(f"{check}; costs may be far off", LinearImpactWarning, stacklevel=2)
    return params


def linear_rule_params(
    daily_volume: float, daily_spread: float, daily_volatility: float, price: float, *, tau: float = 1.0
) -> AlmgrenChrissParams:
    """Return what `calibrate_ac_params` returns and never warn: for those who show the check themselves."""
    volume = positive("daily_volume", daily_volume)
    spread = positive("daily_spread", daily_spread)
    return AlmgrenChrissParams(
        eta=spread / (0.01 * volume),
        gamma=spread / (0.10 * volume),
        sigma=not_negative("daily_volatility", daily_volatility) * positive("price", price),
        epsilon=spread / 2,
        tau=tau,
        price=float(price),
    )


def impact_check(params: AlmgrenChrissParams, daily_volume: float, daily_volatility: float) -> ImpactCheck:
    """Return the temporary impact by `params` beside the empirical one; arguments as for calibration.

    Raises:
        ValueError: for a bad argument, or if the params have no price.
    """
    if params.price is None:
        raise ValueError("params.price is None: expected the share price, costs are compared relative to it")
    quantity = CHECKED_SHARE * positive("daily_volume", daily_volume)
    return ImpactCheck(
        linear_bps=1e4 * params.eta * quantity / params.price,
        empirical_bps=athl_temporary_mean_bps(quantity, daily_volume, daily_volatility, duration=1.0),
    )
