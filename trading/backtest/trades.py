"""Round trips, told from the record of an account."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from trading.backtest.account import Fill, Split
from trading.backtest.bars import instant
from trading.backtest.history import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A position, or a part of one, from its opening to its closing, at the average price paid for it.

    quantity: shares closed, signed as they were held, in the share count of the closing. entry_price,
    exit_price: per share, slippage included, the entry's restated for splits. fees: of the entry (this part's
    share) and the exit. pnl: cash won after fees, dividends not included. entry_cost: the capital it used.
    bars: instants from the opening fill to the closing one. metadata: of the signal that opened it, and
    whatever the run adds (strategy_id).
    """

    symbol: str
    quantity: float
    entry_row: int
    exit_row: int
    entry_at: datetime
    exit_at: datetime
    entry_price: float
    exit_price: float
    fees: float
    pnl: float
    entry_cost: float
    metadata: Mapping[str, object]

    @property
    def bars(self) -> int:
        return self.exit_row - self.entry_row

    @property
    def return_fraction(self) -> float:
        """What was won, as a share of the capital used."""
        return self.pnl / self.entry_cost

    def to_dict(self) -> dict[str, Any]:
        """Return every field as values that JSON knows."""
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        row["entry_at"], row["exit_at"] = self.entry_at.isoformat(), self.exit_at.isoformat()
        row["metadata"] = {str(key): _plain(value) for key, value in self.metadata.items()}
        return row


class TradeFigures(NamedTuple):
    """What metrics ask of a run's trades and fills. pnls, bars: of each trade, in the order of their ends,
    shape (trades,). traded_value: money of all fills, bought and sold, unsigned."""

    pnls: Floats
    bars: Floats
    traded_value: float


@dataclass(slots=True)
class _Lot:
    quantity: float
    value: float
    fees: float
    row: int
    metadata: Mapping[str, object]


class _Closing(NamedTuple):
    """A lot, or a part of one, that a fill closed. value, fees: the entry's; metadata: the lot's."""

    row: int
    value: float
    fees: float
    pnl: float
    metadata: Mapping[str, object]
    fill: Fill


def trades_of(record: Iterable[Fill | Split], stamps: Ints, added: Mapping[str, object]) -> list[Trade]:
    """Return the trades in the order in which they were closed. added: goes into every trade's metadata."""
    return [_trade(closing, stamps, added) for closing in _closings(record)]


def figures_of(record: Sequence[Fill | Split]) -> TradeFigures:
    """Return what metrics ask of the trades, without making them."""
    closings = [(each.pnl, each.fill.row - each.row) for each in _closings(record)]
    pnls, bars = np.array(closings, dtype=np.float64).reshape(-1, 2).T
    value = sum(abs(entry.quantity) * entry.price for entry in record if isinstance(entry, Fill))
    return TradeFigures(pnls=pnls, bars=bars, traded_value=value)


def _closings(record: Iterable[Fill | Split]) -> Iterator[_Closing]:
    """Yield what was closed, in time order."""
    lots: dict[str, _Lot] = {}
    for entry in record:
        lot = lots.get(entry.symbol)
        if isinstance(entry, Split):
            if lot is not None:
                lot.quantity *= entry.ratio
        elif lot is None:
            value = abs(entry.quantity) * entry.price
            lots[entry.symbol] = _Lot(entry.quantity, value, entry.fee, entry.row, entry.metadata)
        elif (lot.quantity > 0.0) == (entry.quantity > 0.0):
            lot.quantity += entry.quantity
            lot.value += abs(entry.quantity) * entry.price
            lot.fees += entry.fee
        else:
            yield _closed(lot, entry)
            if entry.quantity == -lot.quantity:
                del lots[entry.symbol]
            else:
                _keep_rest(lot, entry)


def _closed(lot: _Lot, fill: Fill) -> _Closing:
    share = -fill.quantity / lot.quantity
    value, fees = lot.value * share, lot.fees * share
    proceeds = abs(fill.quantity) * fill.price
    gain = proceeds - value if lot.quantity > 0.0 else value - proceeds
    return _Closing(lot.row, value, fees, gain - fees - fill.fee, lot.metadata, fill)


def _trade(closing: _Closing, stamps: Ints, added: Mapping[str, object]) -> Trade:
    row, value, fees, pnl, metadata, fill = closing
    return Trade(
        symbol=fill.symbol,
        quantity=-fill.quantity,
        entry_row=row,
        exit_row=fill.row,
        entry_at=instant(stamps[row]),
        exit_at=instant(stamps[fill.row]),
        entry_price=value / abs(fill.quantity),
        exit_price=fill.price,
        fees=fees + fill.fee,
        pnl=pnl,
        entry_cost=value + fees,
        metadata={**metadata, **added},
    )


def _keep_rest(lot: _Lot, fill: Fill) -> None:
    share = 1.0 + fill.quantity / lot.quantity
    lot.quantity += fill.quantity
    lot.value *= share
    lot.fees *= share


def _plain(value: object) -> Any:
    """JSON knows neither NaN nor infinities; whatever else it does not know is told as text."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)
