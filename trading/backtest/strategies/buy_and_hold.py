"""Buying at the first chance, and nothing after: what every other strategy is measured by."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from trading.backtest.history import SymbolBars
from trading.backtest.indicators import started
from trading.backtest.strategies.each_symbol import EachSymbol, Rule, Sides, SymbolParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyAndHoldParameters(SymbolParameters):
    """`SymbolParameters`: there is nothing else to choose."""


class BuyAndHold(EachSymbol):
    """Long from a symbol's first bar on."""

    parameters: BuyAndHoldParameters

    def rule(self) -> Rule:
        return started(_once())

    def sides(self, bars: SymbolBars) -> Sides:
        return np.ones(len(bars), dtype=np.int64)


def _once() -> Generator[int | None, float, None]:
    yield None
    yield 1
    while True:
        yield None
