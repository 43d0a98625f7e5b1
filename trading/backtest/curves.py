"""Cash, holdings and equity at every bar, from the record of an account: they change at fills alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trading.backtest.account import Account, Fill, Split
from trading.backtest.history import Floats, Ints, PriceHistory


def stepped(
    rows: Sequence[int] | Ints, values: Sequence[float] | Floats, first: float, instants: int
) -> Floats:
    """Return a curve that begins at `first` and takes values[k] from rows[k] on, shape (instants,).

    rows rise, and may repeat: the last value of an instant counts.
    """
    if not len(rows):
        return np.full(instants, first)
    edges = np.concatenate([[0], np.asarray(rows, dtype=np.int64), [instants]])
    levels = np.concatenate([[first], np.asarray(values, dtype=np.float64)])
    curve: Floats = np.repeat(levels, np.diff(edges))
    return curve


def cash_curve(account: Account, instants: int) -> Floats:
    """Return the cash after each instant, shape (instants,)."""
    rows = [row for row, _ in account.changes]
    return stepped(rows, [cash for _, cash in account.changes], account.initial, instants)


def without_flows(equity: Floats, initial: float, flows: Sequence[tuple[int, float]]) -> Floats:
    """Return what the equity would be had no capital come or gone, shape (instants,): time-weighted.

    flows: instant and amount, after whose close it came (above 0) or went. Each instant's return is
    (equity - flow) / equity before - 1; where nothing was left there is none.
    """
    moved = np.zeros(len(equity))
    for row, amount in flows:
        moved[row] += amount
    before = np.concatenate([[initial], equity[:-1]])
    growth = np.divide(equity - moved, before, out=np.ones(len(equity)), where=before > 0.0)
    curve: Floats = initial * np.cumprod(growth)
    return curve


def holdings(record: Sequence[Fill | Split], instants: int) -> dict[str, Floats]:
    """Return the shares held after each instant, (instants,) each, by symbol: those ever held."""
    if len({entry.symbol for entry in record}) == 1 and Split not in set(map(type, record)):
        # The same sums, by numpy.
        changes = [fill.quantity for fill in record if isinstance(fill, Fill)]
        held_after = np.cumsum(changes)
        return {record[0].symbol: stepped([fill.row for fill in record], held_after, 0.0, instants)}
    rows: dict[str, list[int]] = {}
    levels: dict[str, list[float]] = {}
    for entry in record:
        told = levels.setdefault(entry.symbol, [])
        held = told[-1] if told else 0.0
        if isinstance(entry, Split):
            held *= entry.ratio
        else:
            held = 0.0 if entry.quantity == -held else held + entry.quantity
        told.append(held)
        rows.setdefault(entry.symbol, []).append(entry.row)
    return {symbol: stepped(rows[symbol], levels[symbol], 0.0, instants) for symbol in rows}


def equity_curve(account: Account, history: PriceHistory) -> Floats:
    """Return cash and positions at each instant's last closes, shape (instants,)."""
    equity = cash_curve(account, len(history))
    for symbol, held in holdings(account.record, len(history)).items():
        # Before a symbol's first bar its mark is NaN and nothing of it is held.
        equity += np.where(held == 0.0, 0.0, held * history.marks(symbol))
    return equity
