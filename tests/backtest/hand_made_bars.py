"""Bars and decisions written down by hand, and what the engine makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trading.backtest.account import Fill
from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.engine import BacktestEngine
from trading.backtest.history import PriceHistory, SymbolBars
from trading.backtest.result import BacktestResult
from trading.backtest.signals import Signal
from trading.backtest.strategy import Signals, State, Strategy

DAY = 86_400 * 10**9
"""Nanoseconds."""

Script = Mapping[int, Signal | Sequence[Signal]]
"""What is asked for, by the instant after whose close it is decided."""


@dataclass(frozen=True, slots=True)
class Told:
    """The script as parameters: pairs of an instant and its signals."""

    script: tuple[tuple[int, tuple[Signal, ...]], ...]


class Scripted(Strategy):
    """Asks at each instant, after its last bar, for what is written down for it."""

    parameters: Told

    def __init__(self, parameters: Told, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self._script = dict(parameters.script)

    def on_bar(self, bar: Bar, state: State) -> Signals:
        return self._script.get(state.row) if bar is state.bars[-1] else None


def scripted(script: Script) -> Scripted:
    given = {row: (told,) if isinstance(told, Signal) else tuple(told) for row, told in script.items()}
    return Scripted(Told(tuple(given.items())))


def bars(
    symbol: str = "A",
    *,
    open: Sequence[float],
    close: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    low: Sequence[float] | None = None,
    volume: float | Sequence[float] = 1e6,
    days: Sequence[int] | None = None,
    dividends: Mapping[int, float] | None = None,
    splits: Mapping[int, float] | None = None,
) -> SymbolBars:
    """Return daily bars. close: None for the opens; high and low: None for the larger and smaller of the two.

    days: since 1970-01-01, None for 0, 1, 2... dividends, splits: by the bar's place.
    """
    opens = np.asarray(open, dtype=float)
    closes = opens if close is None else np.asarray(close, dtype=float)
    return SymbolBars(
        symbol=symbol,
        stamps=np.asarray(range(len(opens)) if days is None else days, dtype=np.int64) * DAY,
        open=opens,
        high=np.maximum(opens, closes) if high is None else np.asarray(high, dtype=float),
        low=np.minimum(opens, closes) if low is None else np.asarray(low, dtype=float),
        close=closes,
        volume=np.broadcast_to(np.asarray(volume, dtype=float), opens.shape),
        dividends=None if dividends is None else _placed(dividends, 0.0, len(opens)),
        splits=None if splits is None else _placed(splits, 1.0, len(opens)),
    )


def _placed(values: Mapping[int, float], usual: float, bars: int) -> Any:
    column = np.full(bars, usual)
    for at, value in values.items():
        column[at] = value
    return column


def run(
    given: SymbolBars | Sequence[SymbolBars], script: Script, *, capital: float = 1000.0, **rules: Any
) -> BacktestResult:
    """Return what the script comes to on these bars. rules: of `BacktestConfig`."""
    history = PriceHistory([given] if isinstance(given, SymbolBars) else given)
    return BacktestEngine(BacktestConfig(**rules)).run(scripted(script), history, capital)


def told(fills: Sequence[Fill]) -> list[tuple[int, float, float]]:
    """Return the fills as (instant, shares, price)."""
    return [(fill.row, fill.quantity, fill.price) for fill in fills]


def reasons(result: BacktestResult) -> list[tuple[int, str]]:
    """Return the rejections as (instant, reason)."""
    return [(each.row, each.reason.name) for each in result.rejections]
