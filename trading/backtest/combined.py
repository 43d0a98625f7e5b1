"""The money of all strategies added up a second time, from their fills alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from trading.backtest.errors import BooksError
from trading.backtest.history import Floats, PriceHistory, said
from trading.backtest.result import BacktestResult

TOLERANCE = 1e-9
"""Relative: two orders of adding up a million floats differ by less."""


def combined_equity(results: Iterable[BacktestResult], capital: float, history: PriceHistory) -> Floats:
    """Return the equity of one account in which every strategy's fills happened, shape (instants,).

    Capital that moved between the strategies plays no part in it.
    """
    moved = np.zeros(len(history))
    shares: dict[str, Floats] = {}
    for result in results:
        moved += result.cash_moved()
        for symbol, held in result.holdings.items():
            shares[symbol] = shares.get(symbol, 0.0) + held
    equity = capital + np.cumsum(moved)
    for symbol, held in shares.items():
        equity += np.where(held == 0.0, 0.0, held * history.marks(symbol))
    return equity


def check_sum(total: Floats, combined: Floats, history: PriceHistory) -> None:
    """Hold two totals against each other on every bar.

    Raises:
        BooksError: naming the first bar on which they differ, and both.
    """
    scale = np.maximum(np.abs(total), np.max(np.abs(total)) * 1e-3)
    wrong = ~(np.abs(total - combined) <= TOLERANCE * scale)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise BooksError(
            f"on {said(history.stamps[at])} the strategies' equities add up to {total[at]!r}, their fills to "
            f"{combined[at]!r}"
        )
