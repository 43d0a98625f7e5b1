"""Statistical arbitrage: what many stocks did beyond their common factors is bet to come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.backtest.history import Floats, Ints
from trading.backtest.strategies.each_symbol import keep_whole
from trading.backtest.strategies.instants import InstantStrategy, Weights
from trading.backtest.strategies.ornstein_uhlenbeck import (
    component_factors,
    mean_factor,
    regressed,
    reversion,
)
from trading.execution.checking import not_negative, positive

LEAST_STOCKS = 3
"""Of fewer, what is common cannot be told from what is not."""
NOTHING: Weights = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticalArbitrageParameters:
    """symbols: those to trade; empty: all. components: principal components that serve as factors; 0: one
    factor, the mean of all returns. window: bars of returns from which exposures and reversion are estimated,
    each day anew; component_window: those that the components are made of.

    entry, exit: distances from the mean, in standard deviations, at which a position begins and ends; a
    residual that takes longer than `slowest` bars to return is left alone. weight: the share of the equity of
    one position; hedges included they take `gross` together at most: below 1, as in passing from some weights
    to others all of the old and some of the new ones are held. band: a weight that moves by less stays.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    symbols: tuple[str, ...] = ()
    components: int = 0
    window: int = 60
    component_window: int = 252
    entry: float = 1.25
    exit: float = 0.5
    slowest: float = 30.0
    weight: float = 0.1
    gross: float = 0.9
    band: float = 0.005

    def __post_init__(self) -> None:
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"symbols is {self.symbols!r}: expected each one once")
        keep_whole(self, "components", 0)
        keep_whole(self, "window", 10 + self.components)
        keep_whole(self, "component_window", self.window)
        if not not_negative("exit", self.exit) < positive("entry", self.entry):
            raise ValueError(
                f"exit is {self.exit!r}: expected a number from 0 to below entry = {self.entry!r}"
            )
        positive("slowest", self.slowest)
        not_negative("band", self.band)
        for name in ("weight", "gross"):
            if positive(name, getattr(self, name)) > 1.0:
                raise ValueError(f"{name} is {getattr(self, name)!r}: expected a share above 0, up to 1")


class StatisticalArbitrage(InstantStrategy):
    """Buys what lags behind its factors and sells what ran ahead of them, hedged by the factors.

    Every instant each stock's returns of the last `window` bars are regressed on the factors' and the
    residuals' sum on itself (`reversion`). A position begins beyond `entry` and ends within `exit`, or when
    the residual no longer returns in time. For `weight` in a stock, its exposure to each factor is held the
    other way round in that factor's portfolio, all scaled down if it would exceed `gross`. New weights are
    asked for when a position begins or ends; nothing in between.

    A stock takes part while it has all bars of the window: not before it has been listed that long, nor for a
    window after a gap. What is held and drops out is closed. Fewer than 3 stocks (or components and 2) are
    none.

    Avellaneda, Lee (2010), Statistical arbitrage in the US equities market, Quantitative Finance 10, 761-782.
    They close long positions at -0.50 and short ones at 0.75; here both end at `exit`.
    """

    parameters: StatisticalArbitrageParameters

    def __init__(self, parameters: StatisticalArbitrageParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self.warmup = parameters.component_window if parameters.components else parameters.window

    def decider(self) -> _Book:
        return _Book(self.parameters, self.warmup)


class _Book:
    """One run. Columns of the arrays are the symbols in the order of their first bars."""

    def __init__(self, rules: StatisticalArbitrageParameters, bars: int) -> None:
        self._rules = rules
        self._columns: dict[str, int] = {}
        self._last: Floats = np.zeros(0)
        self._returns: Floats = np.zeros((bars, 0))
        self._sides: Ints = np.zeros(0, dtype=np.int64)
        self._weights: Floats = np.zeros(0)

    def decide(self, closes: Mapping[str, float]) -> Weights:
        present = self._take(closes)
        universe = np.flatnonzero(present & ~np.isnan(self._returns).any(axis=0))
        sides, weights = np.zeros_like(self._sides), np.zeros_like(self._weights)
        if len(universe) >= max(LEAST_STOCKS, self._rules.components + 2):
            returns = self._returns[:, universe]
            factors = self._factors(returns)
            recent = returns[-self._rules.window :]
            exposures, residuals = regressed(recent, recent @ factors.T)
            sides[universe] = self._turned(residuals, self._sides[universe])
            weights[universe] = self._hedged(sides[universe], exposures, factors)
        drops_out = self._weights != 0.0
        drops_out[universe] = False
        if np.array_equal(sides, self._sides) and not drops_out.any():
            return NOTHING
        return self._ask(sides, weights)

    def _take(self, closes: Mapping[str, float]) -> NDArray[np.bool_]:
        """Note an instant's returns, NaN where there is none; return who has a bar, shape (stocks,)."""
        wanted = self._rules.symbols
        traded = {s: close for s, close in closes.items() if not wanted or s in wanted}
        for symbol in traded:
            self._columns.setdefault(symbol, len(self._columns))
        self._widen(len(self._columns) - len(self._last))
        columns = [self._columns[symbol] for symbol in traded]
        prices = np.fromiter(traded.values(), dtype=np.float64, count=len(columns))
        self._returns[:-1] = self._returns[1:]
        self._returns[-1] = np.nan
        self._returns[-1, columns] = np.log(prices / self._last[columns])
        self._last[columns] = prices
        present = np.zeros(len(self._last), dtype=bool)
        present[columns] = True
        return present

    def _widen(self, new: int) -> None:
        """Make room for stocks whose first bar this is."""
        if new:
            self._last = np.pad(self._last, (0, new), constant_values=np.nan)
            self._returns = np.pad(self._returns, ((0, 0), (0, new)), constant_values=np.nan)
            self._sides = np.pad(self._sides, (0, new))
            self._weights = np.pad(self._weights, (0, new))

    def _factors(self, returns: Floats) -> Floats:
        count = self._rules.components
        return component_factors(returns, count) if count else mean_factor(returns)

    def _turned(self, residuals: Floats, sides: Ints) -> Ints:
        """Return the sides after this instant. sides: those before it. shape (stocks,)"""
        rules, found = self._rules, reversion(residuals)
        score = np.where(found.bars <= rules.slowest, found.score, 0.0)
        long = (score < -rules.entry) | ((sides > 0) & (score < -rules.exit))
        short = (score > rules.entry) | ((sides < 0) & (score > rules.exit))
        return long.astype(np.int64) - short

    def _ask(self, sides: Ints, weights: Floats) -> Weights:
        """Return what is asked for anew: weights that hardly move stay as they are, if all of that fits."""
        near = np.abs(weights - self._weights) < self._rules.band
        new = np.where(near & (sides == self._sides) & (weights != 0.0), self._weights, weights)
        if np.abs(new).sum() > self._rules.gross:
            new = weights
        changed = np.flatnonzero(new != self._weights)
        self._sides, self._weights = sides, new
        symbols = list(self._columns)
        return {symbols[column]: float(new[column]) for column in changed}

    def _hedged(self, sides: Ints, exposures: Floats, factors: Floats) -> Floats:
        """Return the weights of all stocks: those of the positions, less what they share with the factors."""
        own = sides * self._rules.weight
        hedged: Floats = own - (exposures @ own) @ factors
        taken = float(np.abs(hedged).sum())
        return hedged * (self._rules.gross / taken) if taken > self._rules.gross else hedged
