"""Trading each symbol by itself: long, flat or short, with an equal share of the equity each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trading.backtest.bars import Bar
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.signals import Signal
from trading.backtest.strategy import Signals, State, Strategy
from trading.execution.checking import whole

Sides = NDArray[np.int64]
"""1 long, 0 flat, -1 short, after each bar."""
Flags = NDArray[np.bool_]
Rule = Callable[[float], int | None]
"""Is told a symbol's closes one after the other; answers with the new side when that changes, else None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolParameters:
    """symbols: those to trade; empty: all of the history.

    Raises:
        ValueError: if one is there twice.
    """

    symbols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"symbols is {self.symbols!r}: expected each one once")


class EachSymbol(Strategy, ABC):
    """Asks for a symbol's weight when its side changes: side / n, n the number of symbols.

    A symbol counts from its first bar on, as nobody knows of a listing before: on that day what is held in
    the others is asked for again with its new, smaller share. (One of the others that has no bar on the next
    day keeps its old share until it has; the new symbol may then be refused for want of capital, which the
    result reports.) A subclass says what a symbol's side is, bar by
    bar (`rule`) and for a whole history (`sides`).
    """

    parameters: SymbolParameters

    def __init__(self, parameters: SymbolParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self._forget()

    @abstractmethod
    def rule(self) -> Rule:
        """Return what follows one symbol from its first bar on."""

    @abstractmethod
    def sides(self, bars: SymbolBars) -> Sides:
        """Return the side held after each bar, shape (n,): entry i from bars 0..i alone."""

    def _forget(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._only: Rule | None = None  # where there is one symbol, it need not be looked up
        self._sides: dict[str, int] = {}
        self._share = 0.0

    def on_start(self, state: State) -> None:
        self._forget()

    def on_end(self, state: State) -> None:
        """Let go of the rules: generators, which cannot be pickled."""
        self._forget()

    def on_bar(self, bar: Bar, state: State) -> Signals:
        rule = self._only
        if rule is None:
            try:
                rule = self._rules[bar.symbol]
            except KeyError:
                return self._first(bar, state)
        side = rule(bar.close)
        return None if side is None else (self._turned(bar.symbol, side),)

    def _first(self, bar: Bar, state: State) -> Signals:
        """Answer a symbol's first bar."""
        signals = self._listed(state)
        if len(state.symbols) == 1:
            self._only = self._rules[bar.symbol]
        side = self._rules[bar.symbol](bar.close)
        if side is not None:
            signals.append(self._turned(bar.symbol, side))
        return signals

    def _listed(self, state: State) -> list[Signal]:
        """Begin with the symbols that have their first bar now; return what is asked for anew."""
        for each in state.bars:
            if each.symbol not in self._rules:
                if self._is_traded(each.symbol):
                    self._rules[each.symbol] = self.rule()
                    self._sides[each.symbol] = 0
                else:
                    self._rules[each.symbol] = _nothing
        share = 1.0 / max(len(self._sides), 1)
        if share == self._share:
            return []
        self._share = share
        return [Signal(symbol=symbol, weight=side * share) for symbol, side in self._sides.items() if side]

    def _turned(self, symbol: str, side: int) -> Signal:
        self._sides[symbol] = side
        return _wish(symbol, side * self._share)

    def _is_traded(self, symbol: str) -> bool:
        return not self.parameters.symbols or symbol in self.parameters.symbols

    def signals(self, history: PriceHistory) -> Floats:
        weights = np.full((len(history), len(history.symbols)), np.nan)
        listings = np.sort([rows[0] for symbol, rows in history.rows.items() if self._is_traded(symbol)])
        for column, (symbol, bars) in enumerate(history.bars.items()):
            if not self._is_traded(symbol):
                continue
            rows, sides = history.rows[symbol], self.sides(bars)
            turned = np.flatnonzero(np.concatenate([sides[:1] != 0, sides[1:] != sides[:-1]]))
            later = np.unique(listings[listings > rows[0]])
            held = sides[np.searchsorted(rows, later, side="right") - 1]
            for at, side in ((rows[turned], sides[turned]), (later[held != 0], held[held != 0])):
                weights[at, column] = side * (1.0 / np.searchsorted(listings, at, side="right"))
        return weights


@lru_cache(maxsize=4096)
def _wish(symbol: str, weight: float) -> Signal:
    """Return a signal for a weight: the same one for the same wish, as it never changes and making one takes
    as long as a bar."""
    return Signal(symbol=symbol, weight=weight)


def keep_whole(parameters: object, name: str, least: int) -> None:
    """Keep a frozen field as an int. Raises ValueError if it is not whole or below `least`."""
    object.__setattr__(parameters, name, whole(name, getattr(parameters, name), least))


def latched(begin_long: Flags, begin_short: Flags, end_long: Flags, end_short: Flags) -> Sides:
    """Return the side after each bar where a position, once begun, lasts until its end, or until the other
    one begins. A bar that begins and ends begins."""
    bars = len(begin_long)
    begins = np.where(begin_long, 1, np.where(begin_short, -1, 0))
    last = np.maximum.accumulate(np.where(begins != 0, np.arange(bars), -1))
    side: Sides = np.where(last >= 0, begins[last], 0)
    for sign, ends in ((1, end_long), (-1, end_short)):
        ended = np.concatenate([[0], np.cumsum(ends)])
        side[(side == sign) & (ended[1:] > ended[last + 1])] = 0
    return side


def _nothing(close: float) -> None:
    """Follow a symbol that is not traded."""
