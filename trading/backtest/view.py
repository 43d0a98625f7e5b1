"""What a strategy may see: the present instant, its account, and copies of the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from trading.backtest.account import Account
from trading.backtest.bars import Bar
from trading.backtest.history import Floats, PriceHistory, SymbolBars


class View:
    """What is now: the present instant and its bars, kept by the loop for all runs on the same bars.

    values: what declared indicators say, by symbol; runs without any share one view. places: the order of
    the symbols.
    """

    __slots__ = ("_named", "_named_row", "history", "now", "places", "row", "values")

    def __init__(self, history: PriceHistory, values: Mapping[str, Sequence[Floats]] | None = None) -> None:
        self.history = history
        self.places = {symbol: at for at, symbol in enumerate(history.bars)}
        self.values = values or {}
        self.row = -1
        self.now: Bar | tuple[Bar, ...] = ()
        """The instant's bars; the bar itself where the loop knows of one symbol only."""
        self._named: dict[str, Bar] = {}
        self._named_row = -1

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The bars of the present instant, in the history's order of symbols."""
        return (self.now,) if isinstance(self.now, Bar) else self.now

    def bar(self, symbol: str) -> Bar | None:
        """Return the symbol's bar of the present instant, None if it has none."""
        now = self.now
        if isinstance(now, Bar):
            return now if now.symbol == symbol else None
        if self._named_row != self.row:
            # Once for all runs that fill anything at this instant.
            self._named = {bar.symbol: bar for bar in now}
            self._named_row = self.row
        return self._named.get(symbol)

    def count(self, symbol: str, ago: int = 0) -> int:
        """Return how many bars of the symbol there had been `ago` instants before the present one, with
        that instant's own."""
        if self.history.aligned:
            return self.row - ago + 1
        return int(np.searchsorted(self.history.rows[symbol], self.row - ago, side="right"))

    def close(self, symbol: str, ago: int = 0) -> float:
        """Return the symbol's last close `ago` instants before; it must have had a bar by then."""
        return float(self.history.bars[symbol].close[self.count(symbol, ago) - 1])


class AccountState:
    """A strategy's view of its account and of the past (`trading.backtest.strategy.State`)."""

    __slots__ = ("_account", "_view")

    def __init__(self, account: Account, view: View) -> None:
        self._account = account
        self._view = view

    @property
    def row(self) -> int:
        return self._view.row

    @property
    def bars(self) -> tuple[Bar, ...]:
        return self._view.bars

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._view.history.symbols

    @property
    def cash(self) -> float:
        return self._account.cash

    @property
    def equity(self) -> float:
        return equity_of(self._account, self._view)

    @property
    def available_capital(self) -> float:
        return self._account.available

    @property
    def positions(self) -> Mapping[str, float]:
        return {symbol: held.quantity for symbol, held in self._account.positions.items()}

    def closes(self, symbol: str, bars: int) -> Floats:
        count = self._view.count(symbol)
        return self._view.history.bars[symbol].close[max(count - bars, 0) : count].copy()

    def history(self, symbol: str, bars: int) -> SymbolBars:
        count = self._view.count(symbol)
        return self._view.history.bars[symbol].part(max(count - bars, 0), count, copy=True)


def equity_of(account: Account, view: View) -> float:
    """Return cash and positions at the last closes."""
    equity = account.cash
    for symbol, position in account.positions.items():
        equity += position.quantity * view.close(symbol)
    return equity
