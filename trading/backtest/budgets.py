"""Rules that say what share of the capital each strategy should have, from how they have fared so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trading.backtest.history import Floats
from trading.execution.checking import positive, whole

SWEEPS = 1000
"""Most sweeps of the coordinate descent; some ten are enough for three strategies."""
ACCURACY = 1e-12
"""Relative change of the shares in a sweep below which it has converged."""


class Budget(Protocol):
    """A rule of sharing capital out."""

    def weights(self, values: Floats, initial: Floats) -> Floats:
        """Return the shares, shape (strategies,), each from 0 up, together at most the sum of `initial`.

        values: what one unit of capital in each strategy has become, shape (instants, strategies), the past
        alone. initial: the shares they began with, shape (strategies,).
        """

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as values that JSON knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantMix:
    """The initial shares, again and again: what has won gives to what has lost."""

    def weights(self, values: Floats, initial: Floats) -> Floats:
        return initial

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "constant_mix"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseVolatility:
    """Shares in proportion to 1 / volatility of the last `lookback` returns.

    A strategy that did not move in them keeps its initial share; with fewer returns all do.

    Raises:
        ValueError: if `lookback` is no whole number from 2 up.
    """

    lookback: int = 63

    def __post_init__(self) -> None:
        whole("lookback", self.lookback, 2)

    def weights(self, values: Floats, initial: Floats) -> Floats:
        returns = _last_returns(values, self.lookback)
        if returns is None:
            return initial
        deviations = returns.std(axis=0, ddof=1)
        return _shared(initial, deviations > 0.0, lambda moving: 1.0 / deviations[moving])

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "inverse_volatility", **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualRiskContribution:
    """Shares x at which each strategy adds the same to the volatility of all: x_i (C x)_i equal for all i, C
    the covariance of the last `lookback` returns (Maillard, Roncalli, Teiletche 2010), found by coordinate
    descent (Griveau-Billion, Richard, Roncalli 2013).

    A strategy that did not move in them keeps its initial share; with fewer returns all do.

    Raises:
        ValueError: if `lookback` is no whole number from 2 up.
    """

    lookback: int = 126

    def __post_init__(self) -> None:
        whole("lookback", self.lookback, 2)

    def weights(self, values: Floats, initial: Floats) -> Floats:
        returns = _last_returns(values, self.lookback)
        if returns is None:
            return initial
        covariance = np.atleast_2d(np.cov(returns, rowvar=False, ddof=1))
        moves = np.diag(covariance) > 0.0
        return _shared(initial, moves, lambda moving: equal_risk_shares(covariance[np.ix_(moving, moving)]))

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "equal_risk_contribution", **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownControl:
    """The shares of another rule, less for what has fallen: times 1 - drawdown / limit, at least `floor`.

    The drawdown of a strategy is what one unit of capital in it has lost since its best value, as a share of
    that. limit: the drawdown (0 to 1) at which only the floor is left. floor: the part (0 to 1) that is
    always left, so that it can earn its way back. What is taken goes to nobody.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    limit: float = 0.2
    floor: float = 0.25
    base: Budget = field(default_factory=ConstantMix)

    def __post_init__(self) -> None:
        positive("limit", self.limit)
        if not 0.0 < self.floor <= 1.0:
            raise ValueError(f"floor is {self.floor!r}: expected a part above 0, at most 1")

    def weights(self, values: Floats, initial: Floats) -> Floats:
        best = np.maximum(values.max(axis=0), 1.0)
        drawdown = 1.0 - values[-1] / best
        left: Floats = np.clip(1.0 - drawdown / self.limit, self.floor, 1.0)
        return self.base.weights(values, initial) * left

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": "drawdown_control",
            "limit": self.limit,
            "floor": self.floor,
            "base": self.base.to_dict(),
        }


BUDGETS: dict[str, type[Any]] = {
    "constant_mix": ConstantMix,
    "inverse_volatility": InverseVolatility,
    "equal_risk_contribution": EqualRiskContribution,
    "drawdown_control": DrawdownControl,
}
"""Each rule by what its `to_dict` calls it."""


def budget_from(saved: Mapping[str, Any]) -> Budget:
    """Return the rule that `to_dict` wrote down.

    Raises:
        ValueError: for a rule that is not known, or a field that it does not have.
    """
    rest = {name: value for name, value in saved.items() if name != "rule"}
    rule = saved.get("rule")
    if rule not in BUDGETS:
        raise ValueError(f"rule is {rule!r}: expected one of {', '.join(BUDGETS)}")
    if "base" in rest:
        rest["base"] = budget_from(rest["base"])
    try:
        made: Budget = BUDGETS[rule](**rest)
    except TypeError as error:
        raise ValueError(f"rule {rule!r} cannot be made again: {error}") from None
    return made


def equal_risk_shares(covariance: Floats) -> Floats:
    """Return shares above 0, together 1, that contribute the same to the risk. covariance: shape (n, n), its
    diagonal above 0.

    The minimum of x'Cx / 2 - sum(log x), scaled: in each coordinate the positive root of
    C_ii x_i^2 + (Cx without i)_i x_i - 1 = 0.
    """
    shares: Floats = 1.0 / np.sqrt(np.diag(covariance))
    for _ in range(SWEEPS):
        before = shares.copy()
        for at in range(len(shares)):
            own = covariance[at, at]
            others = covariance[at] @ shares - own * shares[at]
            shares[at] = (np.sqrt(others * others + 4.0 * own) - others) / (2.0 * own)
        if np.max(np.abs(shares - before) / shares) < ACCURACY:
            break
    together: Floats = shares / shares.sum()
    return together


def _last_returns(values: Floats, lookback: int) -> Floats | None:
    """Return the last returns, shape (lookback, strategies); None if there are fewer."""
    if len(values) <= lookback:
        return None
    last = values[-lookback - 1 :]
    returns: Floats = last[1:] / last[:-1] - 1.0
    return returns


def _shared(
    initial: Floats, moves: NDArray[np.bool_], scores_of: Callable[[NDArray[np.intp]], Floats]
) -> Floats:
    """Share among those that move what they had together, in proportion to their scores."""
    shares = initial.astype(np.float64).copy()
    moving = np.flatnonzero(moves)
    if len(moving):
        scores = scores_of(moving)
        shares[moving] = scores / scores.sum() * initial[moving].sum()
    return shares
