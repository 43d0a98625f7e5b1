"""Laws of market impact beyond the linear one. Each name says what it returns: a peak (the price's move when
the order ends) or a mean cost (what the order pays per share on average), in basis points or dollars. Light.

Sizes are shares from 0 up, buy or sell alike; a cost is positive for both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from trading.execution.checking import finite, not_negative, positive

ATHL_GAMMA = 0.314
"""Permanent coefficient, +- 0.041, no unit (Almgren, Thum, Hauptmann, Li 2005, section 4.3)."""
ATHL_ETA = 0.142
"""Temporary coefficient, +- 0.0062, no unit (the same)."""
ATHL_BETA = 0.6
"""Exponent of the temporary term; they fit 0.600 +- 0.038 and reject 1/2 (the same)."""
ATHL_DELTA = 0.25
"""Exponent of the turnover term; they fit 0.267 +- 0.22 (the same)."""


def square_root_peak_bps(
    quantity: float, daily_volume: float, daily_volatility: float, coefficient: float = 1.0
) -> float:
    """Return the PEAK impact of an order, the price's move by its end, in basis points.

    1e4 Y sigma sqrt(Q / V): Q quantity [shares], V daily volume [shares], sigma daily volatility of
    returns [fraction, 0.02 = 2 %], Y a coefficient of order 1 (Toth et al. 2011). Duration plays no part.

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """
    share = not_negative("quantity", quantity) / positive("daily_volume", daily_volume)
    sigma = not_negative("daily_volatility", daily_volatility)
    return 1e4 * positive("coefficient", coefficient) * sigma * math.sqrt(share)


def square_root_mean_cost_bps(
    quantity: float, daily_volume: float, daily_volatility: float, coefficient: float = 1.0
) -> float:
    """Return the MEAN cost of an order in basis points, when its impact grows to the square-root peak.

    Two thirds of `square_root_peak_bps`: the mean of sqrt(q / Q) over q from 0 to Q. Half-spread not
    included. Arguments and errors are the same.
    """
    return square_root_peak_bps(quantity, daily_volume, daily_volatility, coefficient) * 2 / 3


def athl_permanent_peak_bps(
    quantity: float, daily_volume: float, daily_volatility: float, shares_outstanding: float | None = None
) -> float:
    """Return the PEAK of the permanent impact, the move that stays after the order, in basis points.

    1e4 gamma sigma (X / V) (Theta / V)^(1/4) (Almgren, Thum, Hauptmann, Li 2005; large American shares,
    2001 to 2003): X quantity, V daily volume, Theta shares outstanding [shares], None: without the turnover
    term, which is 3 to 4 for the shares of the paper; sigma daily volatility of returns [fraction].

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """
    volume = positive("daily_volume", daily_volume)
    share = not_negative("quantity", quantity) / volume
    sigma = not_negative("daily_volatility", daily_volatility)
    turnover = 1.0
    if shares_outstanding is not None:
        turnover = math.pow(positive("shares_outstanding", shares_outstanding) / volume, ATHL_DELTA)
    return 1e4 * ATHL_GAMMA * sigma * share * turnover


def athl_temporary_mean_bps(
    quantity: float, daily_volume: float, daily_volatility: float, duration: float
) -> float:
    """Return the MEAN temporary cost of trading at a constant rate for `duration` [days], in basis points.

    1e4 eta sigma (X / (V T))^0.6 (Almgren, Thum, Hauptmann, Li 2005); the other arguments and the errors
    as for `athl_permanent_peak_bps`.
    """
    volume = positive("daily_volume", daily_volume)
    rate = not_negative("quantity", quantity) / volume / positive("duration", duration)
    return 1e4 * ATHL_ETA * not_negative("daily_volatility", daily_volatility) * math.pow(rate, ATHL_BETA)


def athl_mean_cost_bps(
    quantity: float,
    daily_volume: float,
    daily_volatility: float,
    duration: float,
    shares_outstanding: float | None = None,
) -> float:
    """Return the MEAN cost of the whole order in basis points: half the permanent peak (it builds up evenly
    while the order is worked) and the temporary cost. Arguments and errors as for its two parts."""
    permanent = athl_permanent_peak_bps(quantity, daily_volume, daily_volatility, shares_outstanding)
    return permanent / 2 + athl_temporary_mean_bps(quantity, daily_volume, daily_volatility, duration)


def cost_dollars(cost_bps: float, quantity: float, price: float) -> float:
    """Return a MEAN cost of `cost_bps` basis points on `quantity` shares at `price` [$/share], in dollars.

    Not meant for a peak, which no share but the last one pays. Raises ValueError for a bad argument.
    """
    notional = not_negative("quantity", quantity) * positive("price", price)
    return finite("cost_bps", cost_bps) * 1e-4 * notional


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLawImpact:
    """Temporary impact h(v) = epsilon + eta v^beta [$/share] at a rate of v shares per day (Almgren 2003,
    "Optimal execution with nonlinear impact functions and trading-enhanced risk").

    eta [($/share) / (share/day)^beta]; beta: above 0, 1 is the linear model; gamma: permanent impact
    [$/share^2]; sigma [$/share/sqrt(day)]; epsilon [$/share]; tau: length of one interval [days].

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    eta: float
    beta: float
    sigma: float
    gamma: float = 0.0
    epsilon: float = 0.0
    tau: float = 1.0

    def __post_init__(self) -> None:
        for name in ("eta", "beta", "tau"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        for name in ("sigma", "gamma", "epsilon"):
            object.__setattr__(self, name, not_negative(name, getattr(self, name)))

    def convex_range(self) -> tuple[float, float]:
        """Return (low, high) [shares]: slices between them cost more at the margin the larger they are.

        A slice n costs eta tau^-beta n^(1+beta) - gamma n^2 / 2 beyond gamma X^2 / 2. The second term bends
        it down for slices above (beta < 1) or below (beta > 1) a size; for beta 1 everywhere or nowhere
        (the range is then (inf, inf)). (0, inf) without permanent impact.
        """
        if self.gamma == 0:
            return 0.0, math.inf
        # In logarithms: near beta = 1 the power is larger than a float holds.
        bend = math.log(self.beta * (1 + self.beta) * self.eta) - self.beta * math.log(self.tau)
        excess = bend - math.log(self.gamma)
        if self.beta == 1:
            return (0.0, math.inf) if excess > 0 else (math.inf, math.inf)
        power = excess / (1 - self.beta)
        turn = math.exp(power) if power < 700 else math.inf
        return (0.0, turn) if self.beta < 1 else (turn, math.inf)


def power_law_mean_cost_dollars(trade_sizes: Iterable[float], law: PowerLawImpact) -> float:
    """Return the expected (MEAN) cost [$] of trading `trade_sizes` [shares], one in each interval of law.tau.

    gamma X^2 / 2 - gamma sum n^2 / 2 + sum |n| (epsilon + eta |n / tau|^beta) with X = sum n: for beta 1
    the cost of the linear model. The variance is the linear model's too (`costs.variance`).
    """
    sizes = [finite(f"trade_sizes[{i}]", size) for i, size in enumerate(trade_sizes)]
    permanent = law.gamma / 2 * (sum(sizes) * sum(sizes) - sum(n * n for n in sizes))
    return permanent + sum(
        abs(n) * (law.epsilon + law.eta * math.pow(abs(n / law.tau), law.beta)) for n in sizes
    )


def power_law_holdings(
    order_size: float, times: Iterable[float], law: PowerLawImpact, risk_aversion: float
) -> list[float]:
    """Return the shares still held at `times` [days, from 0 up] on the optimal path without a deadline.

    From beta eta v^(beta+1) = lambda sigma^2 x^2 (Almgren 2003, long horizon): with c = (1 - beta) /
    (1 + beta) and T* = (beta eta X^(beta-1) / (lambda sigma^2))^(1/(beta+1)), x / X = (1 + c t / T*)^(-1/c);
    exp(-t / T*) for beta 1. For beta < 1 the tail is long and never ends; for beta > 1 all is sold at
    t = -T* / c. Permanent impact and half-spread do not change the path.

    Raises:
        ValueError: for a bad argument; if sigma or `risk_aversion` [1/$] is 0 (nothing urges, the path does
            not exist); if slices of up to `order_size` are outside law.convex_range(), where no such path
            is the optimum: set gamma to 0 or shorten tau.
    """
    size = positive("order_size", order_size)
    urge = math.log(positive("risk_aversion", risk_aversion)) + 2 * math.log(positive("sigma", law.sigma))
    low, high = law.convex_range()
    if low > 0 or high < size:
        raise ValueError(
            f"gamma is {law.gamma!r}: with beta {law.beta!r} slices cost more at the margin the larger they "
            f"are only from {low:g} to {high:g} shares; expected that for 0 to {size:g} (0 has no limits)"
        )
    drag = math.log(law.beta * law.eta) + (law.beta - 1) * math.log(size)
    scale = math.exp((drag - urge) / (law.beta + 1))
    bend = (1 - law.beta) / (1 + law.beta)
    return [size * _power_decay(not_negative(f"times[{i}]", t) / scale, bend) for i, t in enumerate(times)]


def _power_decay(u: float, bend: float) -> float:
    """Return (1 + bend u)^(-1/bend), its limit exp(-u) for bend 0, and 0 once it has reached it."""
    if 1 + bend * u <= 0:
        return 0.0
    return math.exp(-math.log1p(bend * u) / bend) if bend else math.exp(-u)
