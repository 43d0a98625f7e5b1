"""Deciding over several symbols at once: what pairs and statistical arbitrage share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from trading.backtest.bars import Bar
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.signals import Signal
from trading.backtest.strategy import Signals, State, Strategy

Weights = Mapping[str, float]


class Decider(Protocol):
    """What a strategy remembers of one run."""

    def decide(self, closes: Mapping[str, float]) -> Weights:
        """Take the closes of one instant, of each symbol that has a bar, in the history's order; return the
        new weights of the symbols that get one, empty for none. Instants come in time order, each once."""


class InstantStrategy(Strategy, ABC):
    """Decides once an instant, at the last of its bars, from the closes up to there.

    Both forms ask the same decider, so that they cannot differ. It is not told of symbols without a bar yet:
    nobody knows of a listing before. Prices are taken as adjusted for splits.
    """

    def __init__(self, parameters: object, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self._decider: Decider | None = None

    @abstractmethod
    def decider(self) -> Decider:
        """Return one that has seen nothing yet."""

    def on_start(self, state: State) -> None:
        self._decider = self.decider()

    def on_bar(self, bar: Bar, state: State) -> Signals:
        bars = state.bars
        if bar is not bars[-1]:
            return None
        if self._decider is None:
            self._decider = self.decider()
        weights = self._decider.decide({each.symbol: each.close for each in bars})
        return [Signal(symbol=symbol, weight=weight) for symbol, weight in weights.items()]

    def on_end(self, state: State) -> None:
        self._decider = None

    def signals(self, history: PriceHistory) -> Floats:
        decider = self.decider()
        places = {symbol: column for column, symbol in enumerate(history.symbols)}
        weights = np.full((len(history), len(places)), np.nan)
        for row, closes in enumerate(_closes(history)):
            for symbol, weight in decider.decide(closes).items():
                weights[row, places[symbol]] = weight
        return weights


def _closes(history: PriceHistory) -> list[dict[str, float]]:
    """Return the closes of each instant by symbol."""
    instants: list[dict[str, float]] = [{} for _ in range(len(history))]
    for symbol, bars in history.bars.items():
        for row, close in zip(history.rows[symbol].tolist(), bars.close.tolist(), strict=True):
            instants[row][symbol] = close
    return instants
