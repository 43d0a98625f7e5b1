"""Pairs trading: two prices that belong together are bet to come together again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trading.backtest.strategies.cointegration import PairFit, fit_pair
from trading.backtest.strategies.each_symbol import keep_whole
from trading.backtest.strategies.instants import InstantStrategy, Weights
from trading.execution.checking import not_negative, positive

MOST_ABSENT = 5
"""Instants in a row at which one leg may have no bar before the other is let go: no halt lasts that long as a
rule, and nobody holds half a hedge for good."""
NOTHING: Weights = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsParameters:
    """symbols: the pair; empty: the first two that have a bar, in the history's order.

    window: bars (that both have) from which ratio, mean and deviation are estimated; refit: bars between two
    estimates. lags, significance: of the test for cointegration. entry, exit, stop: distances of the spread
    from its mean, in its standard deviations, at which a position begins, ends, and is given up. weight:
    the share of the equity that the two legs take together.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    symbols: tuple[str, ...] = ()
    window: int = 252
    refit: int = 21
    lags: int = 1
    significance: float = 0.05
    entry: float = 2.0
    exit: float = 0.5
    stop: float = 4.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if (self.symbols and len(set(self.symbols)) != 2) or len(self.symbols) > 2:
            raise ValueError(f"symbols is {self.symbols!r}: expected two different ones, or none")
        keep_whole(self, "lags", 0)
        keep_whole(self, "window", 2 * self.lags + 6)
        keep_whole(self, "refit", 1)
        if not 0.0 < positive("significance", self.significance) < 1.0:
            raise ValueError(f"significance is {self.significance!r}: expected a number above 0 and below 1")
        if not not_negative("exit", self.exit) < positive("entry", self.entry) < positive("stop", self.stop):
            raise ValueError(
                f"exit, entry, stop are {self.exit!r}, {self.entry!r}, {self.stop!r}: expected them to rise"
            )
        if not 0.0 < positive("weight", self.weight) <= 1.0:
            raise ValueError(f"weight is {self.weight!r}: expected a share above 0, up to 1")


class Pairs(InstantStrategy):
    """Sells the dear one of two cointegrated symbols and buys the other, until their spread is back.

    Every `refit` bars Engle and Granger's two steps are done again on the last `window` bars. While the test
    finds cointegration, a spread beyond `entry` (and within `stop`) begins a position: weight / (1 + ratio)
    of the equity in the first symbol, ratio times that in the second, the other way round. It is judged by
    the estimate it began with; it ends within `exit`, beyond `stop`, when a new estimate finds no
    cointegration any more, or when a leg has had no bar for 5 instants. After a stop nothing begins before
    the next estimate. A ratio of 0 or below is no hedge and is not traded.

    Gatev, Goetzmann, Rouwenhorst (2006), Pairs trading, Review of Financial Studies 19, 797-827, for the
    rule; Vidyamurthy (2004), Pairs Trading, chapters 5 to 8, for cointegration in place of distance.
    """

    parameters: PairsParameters

    def __init__(self, parameters: PairsParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self.warmup = parameters.window - 1

    def decider(self) -> _Pair:
        return _Pair(self.parameters)


class _Pair:
    """One run of a pair. fit: what the newest estimate allows to trade, None: nothing; held: the one that the
    position began with; side: 1 long the first and short the second, -1 the other way round, 0 flat."""

    def __init__(self, rules: PairsParameters) -> None:
        self._rules = rules
        self._symbols = rules.symbols
        self._firsts: deque[float] = deque(maxlen=rules.window)
        self._seconds: deque[float] = deque(maxlen=rules.window)
        self._seen = 0
        self._absent = 0
        self._side = 0
        self._fit: PairFit | None = None
        self._held: PairFit | None = None

    def decide(self, closes: Mapping[str, float]) -> Weights:
        if len(self._symbols) < 2:
            new = [symbol for symbol in closes if symbol not in self._symbols]
            self._symbols = (*self._symbols, *new)[:2]
        known = [closes[symbol] for symbol in self._symbols if symbol in closes]
        if len(known) == 2:
            self._absent = 0
            return self._both(*known)
        self._absent += len(known)
        return self._hold(0, None) if self._absent >= MOST_ABSENT else NOTHING

    def _both(self, first: float, second: float) -> Weights:
        self._firsts.append(first)
        self._seconds.append(second)
        self._seen += 1
        since = self._seen - self._rules.window
        if since < 0:
            return NOTHING
        if since % self._rules.refit == 0:
            self._fit = self._estimated()
            if self._fit is None:
                return self._hold(0, None)
        if self._held is not None:
            return self._kept(self._held.score(first, second))
        return self._begun(self._fit, first, second)

    def _estimated(self) -> PairFit | None:
        """Return the relation over the window if it is one to trade."""
        fit = fit_pair(np.array(self._firsts), np.array(self._seconds), self._rules.lags)
        if fit is None or fit.ratio <= 0.0 or fit.p_value > self._rules.significance:
            return None
        return fit

    def _kept(self, score: float) -> Weights:
        if abs(score) > self._rules.stop:
            self._fit = None
            return self._hold(0, None)
        # Back at the mean, or past it.
        return self._hold(0, None) if -score * self._side < self._rules.exit else NOTHING

    def _begun(self, fit: PairFit | None, first: float, second: float) -> Weights:
        if fit is None:
            return NOTHING
        score = fit.score(first, second)
        if not self._rules.entry < abs(score) <= self._rules.stop:
            return NOTHING
        return self._hold(-1 if score > 0.0 else 1, fit)

    def _hold(self, side: int, fit: PairFit | None) -> Weights:
        """Return the weights of a new side; none if it is the old one."""
        if side == self._side:
            return NOTHING
        self._side, self._held = side, fit
        if fit is None:
            return dict.fromkeys(self._symbols, 0.0)
        share = side * self._rules.weight / (1.0 + fit.ratio)
        first, second = self._symbols
        return {first: share, second: -share * fit.ratio}
