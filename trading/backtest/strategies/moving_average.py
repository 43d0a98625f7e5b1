"""The crossover of two moving averages: with the trend of the last weeks as long as it lasts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from trading.backtest.bars import Bar
from trading.backtest.history import SymbolBars
from trading.backtest.indicators import (
    TIE,
    ExponentialMovingAverage,
    SimpleMovingAverage,
    started,
)
from trading.backtest.strategies.each_symbol import EachSymbol, Rule, Sides, SymbolParameters, keep_whole
from trading.backtest.strategy import Indicator, Signals, State

AVERAGES: dict[str, type[SimpleMovingAverage] | type[ExponentialMovingAverage]] = {
    "simple": SimpleMovingAverage,
    "exponential": ExponentialMovingAverage,
}
ABOVE, BELOW = 1.0 + TIE, 1.0 - TIE


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingAverageParameters(SymbolParameters):
    """fast, slow: bars of the two averages, fast < slow. average: simple or exponential. shorting: whether
    it is short while the fast one is below, or flat.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    fast: int = 20
    slow: int = 50
    average: str = "simple"
    shorting: bool = False

    def __post_init__(self) -> None:
        SymbolParameters.__post_init__(self)
        keep_whole(self, "fast", 1)
        keep_whole(self, "slow", 2)
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast!r}: expected fewer bars than slow = {self.slow!r}")
        if self.average not in AVERAGES:
            raise ValueError(f"average is {self.average!r}: expected one of {', '.join(AVERAGES)}")


class MovingAverageCross(EachSymbol):
    """Long while the fast average of the close is above the slow one; flat, or short, while it is below.

    Averages within `TIE` of each other are equal: flat. Brock, Lakonishok, LeBaron (1992), Simple technical
    trading rules and the stochastic properties of stock returns, Journal of Finance 47, 1731-1764: their
    variable-length moving average without a band.
    """

    parameters: MovingAverageParameters

    def __init__(self, parameters: MovingAverageParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        average = AVERAGES[parameters.average]
        self._fast, self._slow = average(bars=parameters.fast), average(bars=parameters.slow)
        self.warmup = self._slow.warmup
        self._below = -1 if parameters.shorting else 0

    def rule(self) -> Rule:
        return started(self._crossings())

    def _crossings(self) -> Generator[int | None, float, None]:
        fast, slow, below = self._fast.told(), self._slow.told(), self._below
        held, answer = 0, None
        while True:
            close = yield answer
            level, base = fast(close), slow(close)
            side = 1 if level > base * ABOVE else below if level < base * BELOW else 0
            answer = None if side == held else side
            held = side

    def sides(self, bars: SymbolBars) -> Sides:
        level, base = self._fast(bars), self._slow(bars)
        sides: Sides = (level > base * ABOVE).astype(np.int64)
        if self._below:
            sides -= level < base * BELOW
        return sides


class DeclaredMovingAverageCross(MovingAverageCross):
    """The same decisions from averages that the engine works out beforehand: the faster way bar by bar."""

    def __init__(self, parameters: MovingAverageParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self.indicators: Sequence[Indicator] = (self._fast, self._slow)

    def on_bar(self, bar: Bar, state: State) -> Signals:
        level, base = bar.values
        side = 1 if level > base * ABOVE else self._below if level < base * BELOW else 0
        try:
            if side == self._sides[bar.symbol]:
                return None
        except KeyError:
            # Its first bar, at which no average is known yet, or a symbol that is not traded.
            return self._listed(state)
        return (self._turned(bar.symbol, side),)
