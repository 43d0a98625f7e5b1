"""The parameters of Almgren and Chriss's model, with their units. Light: standard library only."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from trading.execution.checking import not_negative, positive

_CHECKS = {
    "eta": positive,
    "gamma": not_negative,
    "sigma": not_negative,
    "epsilon": not_negative,
    "tau": positive,
}
_ROUNDING = 4 * sys.float_info.epsilon
"""What is left of eta below this part of it is the rounding of the subtraction, whose true value may be 0."""


@dataclass(frozen=True, slots=True)
class AlmgrenChrissParams:
    """The linear impact model of Almgren and Chriss (2000), "Optimal execution of portfolio transactions".

    eta: temporary impact [($/share)/(share/day)]; gamma: permanent impact [$/share^2]; sigma: volatility
    [$/share/sqrt(day)]; epsilon: fixed cost, half the spread [$/share]; tau: length of one interval [days];
    price: share price [$], None if it is not known (used to express costs in basis points, nowhere else).
    All are kept as floats, whatever numbers they were given as.

    Raises:
        ValueError: if a value is not finite, tau or eta is not positive, or another is negative.
    """

    eta: float
    gamma: float
    sigma: float
    epsilon: float = 0.0
    tau: float = 1.0
    price: float | None = None

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if self.price is not None:
            object.__setattr__(self, "price", positive("price", self.price))

    @property
    def eta_tilde(self) -> float:
        """eta - gamma tau / 2 [($/share)/(share/day)]: what a slice costs beyond gamma X^2 / 2 (their eq.
        8)."""
        return self.eta - self.gamma * self.tau / 2

    def convex_eta(self) -> float:
        """Return eta_tilde. Raises ValueError if it is not positive: trading slower would then cost more."""
        value = self.eta_tilde
        if abs(value) <= _ROUNDING * self.eta:
            value = 0.0
        if value <= 0:
            raise ValueError(
                f"eta - gamma*tau/2 is {value:g} (eta {self.eta:g}, gamma {self.gamma:g}, tau {self.tau:g}): "
                f"expected more than 0; shorten the intervals (tau below {2 * self.eta / self.gamma:g} days)"
            )
        return value
