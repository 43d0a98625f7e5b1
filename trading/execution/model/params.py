"""The parameters of Almgren and Chriss's model, with their units. Light: standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from trading.execution.checking import not_negative, positive


@dataclass(frozen=True, slots=True)
class AlmgrenChrissParams:
    """The linear impact model of Almgren and Chriss (2000), "Optimal execution of portfolio transactions".

    eta: temporary impact [($/share)/(share/day)]; gamma: permanent impact [$/share^2]; sigma: volatility
    [$/share/sqrt(day)]; epsilon: fixed cost, half the spread [$/share]; tau: length of one interval [days];
    price: share price [$], None if it is not known (used to express costs in basis points, nowhere else).

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
        positive("eta", self.eta)
        not_negative("gamma", self.gamma)
        not_negative("sigma", self.sigma)
        not_negative("epsilon", self.epsilon)
        positive("tau", self.tau)
        if self.price is not None:
            positive("price", self.price)

    @property
    def eta_tilde(self) -> float:
        """eta - gamma tau / 2 [($/share)/(share/day)]: what a slice costs beyond gamma X^2 / 2 (their eq.
        8)."""
        return self.eta - self.gamma * self.tau / 2

    def convex_eta(self) -> float:
        """Return eta_tilde. Raises ValueError if it is not positive: trading slower would then cost more."""
        value = self.eta_tilde
        if value <= 0:
            raise ValueError(
                f"eta - gamma*tau/2 is {value:g} (eta {self.eta:g}, gamma {self.gamma:g}, tau {self.tau:g}): "
                f"expected more than 0; shorten the intervals (tau below {2 * self.eta / self.gamma:g} days)"
            )
        return value
