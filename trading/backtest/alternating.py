"""Fills of all in or all out as columns: what is bought is sold whole, in turn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import numpy as np

from trading.backtest.account import Fill
from trading.backtest.curves import stepped
from trading.backtest.history import Floats, Ints
from trading.backtest.trades import TradeFigures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlternatingFills:
    """The fills of one symbol as columns, shape (fills,) each: a purchase, the sale of all of it, and so on.

    rows: the instants, rising. quantities: shares, signed. prices: per share. fees: cash. used: capital bound
    (above 0) or released.
    """

    symbol: str
    rows: Ints
    quantities: Floats
    prices: Floats
    fees: Floats
    used: Floats

    def record(self) -> list[Fill]:
        """Return the fills one by one."""
        columns = (each.tolist() for each in (self.quantities, self.prices, self.fees, self.used))
        return list(map(Fill, self.rows.tolist(), repeat(self.symbol), *columns, repeat({})))

    def holdings(self, instants: int) -> dict[str, Floats]:
        """Return the shares held after each instant, as `curves.holdings` of the record."""
        if not len(self.rows):
            return {}
        # A sale leaves exactly nothing: what it sells is the very number that was bought.
        return {self.symbol: stepped(self.rows, np.cumsum(self.quantities), 0.0, instants)}

    def figures(self) -> TradeFigures:
        """Return what `trades.figures_of` says of the record: the same operations on columns."""
        values = np.abs(self.quantities) * self.prices
        sold = slice(1, None, 2)
        bought = slice(0, 2 * len(values[sold]), 2)
        return TradeFigures(
            pnls=values[sold] - values[bought] - self.fees[bought] - self.fees[sold],
            bars=(self.rows[sold] - self.rows[bought]).astype(np.float64),
            traded_value=float(np.sum(values)),
        )

    def moved(self, instants: int) -> Floats:
        """Return the cash that came (above 0) or went at each instant, shape (instants,)."""
        moved = np.zeros(instants)
        moved[self.rows] = -(self.quantities * self.prices + self.fees)
        return moved
