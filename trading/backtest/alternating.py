"""Fills as columns, where each position is opened by one and closed whole by the next: most often so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from trading.backtest.account import Fill, Split
from trading.backtest.curves import stepped
from trading.backtest.history import Floats, Ints
from trading.backtest.trades import TradeFigures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlternatingFills:
    """The fills of one symbol as columns, shape (fills,) each: a position is opened, all of it is closed, and
    so on.

    rows: the instants, in order. quantities: shares, signed. prices: per share. fees: cash. used: capital
    bound (above 0) or released.
    """

    symbol: str
    rows: Ints
    quantities: Floats
    prices: Floats
    fees: Floats
    used: Floats

    @classmethod
    def of(cls, record: Sequence[Fill | Split]) -> AlternatingFills | None:
        """Return the fills of a record as columns; None if they are others than such."""
        fills = [entry for entry in record if isinstance(entry, Fill)]
        if len(fills) != len(record) or len({fill.symbol for fill in fills}) != 1:
            return None
        quantities = np.array([fill.quantity for fill in fills])
        closed = quantities[1::2]
        if not np.array_equal(closed, -quantities[0 : 2 * len(closed) : 2]):
            return None
        return cls(
            symbol=fills[0].symbol,
            rows=np.array([fill.row for fill in fills]),
            quantities=quantities,
            prices=np.array([fill.price for fill in fills]),
            fees=np.array([fill.fee for fill in fills]),
            used=np.array([fill.used for fill in fills]),
        )

    def record(self) -> list[Fill]:
        """Return the fills one by one."""
        columns = (each.tolist() for each in (self.quantities, self.prices, self.fees, self.used))
        return list(map(Fill, self.rows.tolist(), repeat(self.symbol), *columns, repeat({})))

    def holdings(self, instants: int) -> dict[str, Floats]:
        """Return the shares held after each instant, as `curves.holdings` of the record."""
        if not len(self.rows):
            return {}
        # Closing leaves exactly nothing: it trades the very number that opening did.
        return {self.symbol: stepped(self.rows, np.cumsum(self.quantities), 0.0, instants)}

    def figures(self) -> TradeFigures:
        """Return what `trades.figures_of` says of the record: the same operations on columns."""
        values = np.abs(self.quantities) * self.prices
        closed = slice(1, None, 2)
        opened = slice(0, 2 * len(values[closed]), 2)
        gains = np.sign(self.quantities[opened]) * (values[closed] - values[opened])
        return TradeFigures(
            pnls=gains - self.fees[opened] - self.fees[closed],
            bars=(self.rows[closed] - self.rows[opened]).astype(np.float64),
            traded_value=float(np.sum(values)),
        )

    def moved(self, instants: int) -> Floats:
        """Return the cash that came (above 0) or went at each instant, shape (instants,)."""
        moved = np.zeros(instants)
        np.subtract.at(moved, self.rows, self.quantities * self.prices + self.fees)
        return moved
