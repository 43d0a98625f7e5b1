"""Momentum: what rose over the last year rises on, of one symbol against its past or against the others."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from trading.backtest.bars import Bar
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.indicators import TIE, Momentum, started
from trading.backtest.signals import Signal
from trading.backtest.strategies.each_symbol import (
    EachSymbol,
    Rule,
    Sides,
    SymbolParameters,
    keep_whole,
)
from trading.backtest.strategy import Signals, State, Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSeriesMomentumParameters(SymbolParameters):
    """lookback: bars that the return is measured over. rebalance: bars between two decisions. shorting:
    whether it is short after a fall, or flat.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    lookback: int = 252
    rebalance: int = 21
    shorting: bool = False

    def __post_init__(self) -> None:
        SymbolParameters.__post_init__(self)
        keep_whole(self, "lookback", 1)
        keep_whole(self, "rebalance", 1)


class TimeSeriesMomentum(EachSymbol):
    """Long what rose over the lookback, short or flat what fell; decided anew every `rebalance` bars.

    Moskowitz, Ooi, Pedersen (2012), Time series momentum, Journal of Financial Economics 104, 228-250, with
    equal shares where they scale positions by volatility, and the return itself, not that above cash. A
    return within `TIE` of 0 is none: flat.
    """

    parameters: TimeSeriesMomentumParameters

    def __init__(self, parameters: TimeSeriesMomentumParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self.warmup = parameters.lookback
        self._below = -1 if parameters.shorting else 0

    def rule(self) -> Rule:
        return started(self._turns())

    def _turns(self) -> Generator[int | None, float, None]:
        rebalance = self.parameters.rebalance
        momentum, wait, held, answer = Momentum(bars=self.warmup).told(), self.warmup, 0, None
        while True:
            change, answer = momentum((yield answer)), None
            if wait:
                wait -= 1
                continue
            wait = rebalance - 1
            side = 1 if change > TIE else self._below if change < -TIE else 0
            if side != held:
                answer = held = side

    def sides(self, bars: SymbolBars) -> Sides:
        sides = np.zeros(len(bars), dtype=np.int64)
        decided = Momentum(bars=self.warmup)(bars)[self.warmup :: self.parameters.rebalance]
        chosen = np.where(decided > TIE, 1, np.where(decided < -TIE, self._below, 0))
        held = np.repeat(chosen, self.parameters.rebalance)
        sides[self.warmup :] = held[: max(len(bars) - self.warmup, 0)]
        return sides


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSectionalMomentumParameters(SymbolParameters):
    """lookback: bars back to where a return begins. skip: bars back to where it ends, fewer than lookback.
    hold: how many symbols are held. rebalance: instants between two decisions.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    lookback: int = 252
    skip: int = 21
    hold: int = 1
    rebalance: int = 21

    def __post_init__(self) -> None:
        SymbolParameters.__post_init__(self)
        keep_whole(self, "lookback", 1)
        keep_whole(self, "skip", 0)
        keep_whole(self, "hold", 1)
        keep_whole(self, "rebalance", 1)
        if self.skip >= self.lookback:
            raise ValueError(f"skip is {self.skip!r}: expected fewer bars than lookback = {self.lookback!r}")


class CrossSectionalMomentum(Strategy):
    """Holds the symbols that rose most, 1 / hold of the equity each; ranked anew every `rebalance` instants.

    Ranked are symbols with a bar at that instant and a close `lookback` of their bars ago; of equal returns
    (to the last bit: both forms divide the same closes) the first in the history's order. A symbol that stays
    among the best keeps its shares; it is not weighed anew. Jegadeesh, Titman (1993), Returns to buying
    winners and selling losers, Journal of Finance 48, 65-91: the winners' side.
    """

    parameters: CrossSectionalMomentumParameters

    def __init__(self, parameters: CrossSectionalMomentumParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self.warmup = parameters.lookback
        self._held: set[str] = set()

    def on_start(self, state: State) -> None:
        self._held = set()

    def on_bar(self, bar: Bar, state: State) -> Signals:
        if not self._is_due(state.row) or bar is not state.bars[-1]:
            return None
        returns = {}
        for each in state.bars:
            closes = state.closes(each.symbol, self.warmup + 1)
            if self._is_traded(each.symbol) and len(closes) > self.warmup:
                returns[each.symbol] = float(closes[-1 - self.parameters.skip] / closes[0] - 1.0)
        return self._turned_to(self._best(returns), state.symbols)

    def _is_due(self, row: int) -> bool:
        return row >= self.warmup and (row - self.warmup) % self.parameters.rebalance == 0

    def _is_traded(self, symbol: str) -> bool:
        return not self.parameters.symbols or symbol in self.parameters.symbols

    def _best(self, returns: dict[str, float]) -> set[str]:
        """Return the symbols to hold; sorting is stable, so that the first of equals is first."""
        ranked = sorted(returns, key=lambda symbol: -returns[symbol])
        return set(ranked[: self.parameters.hold])

    def _turned_to(self, best: set[str], symbols: tuple[str, ...]) -> list[Signal]:
        turned = [symbol for symbol in symbols if (symbol in best) != (symbol in self._held)]
        self._held = best
        return [Signal(symbol=each, weight=(each in best) / self.parameters.hold) for each in turned]

    def signals(self, history: PriceHistory) -> Floats:
        weights = np.full((len(history), len(history.symbols)), np.nan)
        due = np.arange(self.warmup, len(history), self.parameters.rebalance)
        returns = np.column_stack([self._returns(history, symbol, due) for symbol in history.symbols])
        # NaN sorts last, and the stable sort keeps the history's order of equals.
        best = np.argsort(-returns, axis=1, kind="stable")[:, : self.parameters.hold]
        held = np.zeros(returns.shape, dtype=bool)
        np.put_along_axis(held, best, True, axis=1)
        held &= np.isfinite(returns)
        turned = held != np.vstack([np.zeros_like(held[:1]), held[:-1]])
        weights[due] = np.where(turned, held / self.parameters.hold, np.nan)
        return weights

    def _returns(self, history: PriceHistory, symbol: str, due: np.ndarray) -> Floats:
        """Return the symbol's return at each due instant, NaN where it is not ranked."""
        rows, close = history.rows[symbol], history.bars[symbol].close
        at = np.searchsorted(rows, due, side="right") - 1
        ranked = (at >= self.warmup) & (rows[at] == due) & self._is_traded(symbol)
        returns = np.full(len(due), np.nan)
        at = at[ranked]
        returns[ranked] = close[at - self.parameters.skip] / close[at - self.warmup] - 1.0
        return returns
