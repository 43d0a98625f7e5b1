"""Long while a score is high, short while it is low: what the imbalance strategies share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.backtest.bars import Bar
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.signals import Signal
from trading.backtest.strategy import Indicator, Signals, State, Strategy
from trading.execution.checking import finite, positive


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowParameters:
    """When to be in the market, and with how much.

    entry: long above it, short below -entry. exit: a long position is left below it, a short one above -exit;
    between the two what is held stays. weight: share of the equity that each symbol's position takes.
    shorting: whether a low score is sold short, or only not held.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    entry: float = 0.3
    exit: float = 0.0
    weight: float = 1.0
    shorting: bool = True

    def __post_init__(self) -> None:
        positive("entry", self.entry)
        positive("weight", self.weight)
        if not 0 <= finite("exit", self.exit) <= self.entry:
            raise ValueError(f"exit is {self.exit!r}: expected a number from 0 to entry = {self.entry!r}")


class ScoreFollower(Strategy):
    """Follows one declared indicator, the score, symbol by symbol; it asks for a weight only when that
    changes. While the score is NaN nothing changes."""

    parameters: FollowParameters

    def __init__(self, parameters: FollowParameters, score: Indicator, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self.indicators: Sequence[Indicator] = (score,)
        self.warmup = score.warmup
        self._sides: dict[str, int] = {}

    def on_start(self, state: State) -> None:
        self._sides = {}

    def on_bar(self, bar: Bar, state: State) -> Signals:
        held = self._sides.get(bar.symbol, 0)
        side = self._next_side(held, bar.values[0])
        if side == held:
            return None
        self._sides[bar.symbol] = side
        return (Signal.hold(bar.symbol, side * self.parameters.weight),)

    def _next_side(self, held: int, score: float) -> int:
        rules = self.parameters
        if score > rules.entry:
            return 1
        if score < -rules.entry:
            return -1 if rules.shorting else 0
        if (held > 0 and score < rules.exit) or (held < 0 and score > -rules.exit):
            return 0
        return held

    def signals(self, history: PriceHistory) -> Floats:
        weights = np.full((len(history), len(history.symbols)), np.nan)
        for column, (symbol, bars) in enumerate(history.bars.items()):
            sides = self._sides_of(self.indicators[0](bars))
            changed = np.flatnonzero(np.diff(sides, prepend=0))
            weights[history.rows[symbol][changed], column] = sides[changed] * self.parameters.weight
        return weights

    def _sides_of(self, score: Floats) -> NDArray[np.int64]:
        """Return what is held after each bar, shape (n,). Long and short never hold at once: what begins
        the one ends the other."""
        rules = self.parameters
        sides = _latched(score > rules.entry, score < rules.exit)
        return sides - _latched(score < -rules.entry, score > -rules.exit) if rules.shorting else sides


def _latched(begins: NDArray[np.bool_], ends: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return 1 from where it begins until it ends, else 0; where both hold it begins."""
    last = np.maximum.accumulate(np.where(begins | ends, np.arange(len(begins)), -1))
    return np.where(last >= 0, begins[last], False).astype(np.int64)
