"""The commonest case in closed form: one symbol, all in or all out at the next open, fees in basis points."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from trading.backtest.alternating import AlternatingFills
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission
from trading.backtest.history import Floats, Ints, PriceHistory
from trading.backtest.rejections import Reason, Rejection
from trading.backtest.signals import Signal, Timing


def decides_all_in_or_out(weights: Floats, history: PriceHistory, config: BacktestConfig) -> bool:
    """Return whether nothing else can happen than that all cash buys, and all shares are sold, at opens.

    weights: shape (instants, symbols).
    """
    if weights.shape[1] > 1 or not _is_plain(history, config):
        return False
    only = weights[:, 0]
    return bool(((only == 0.0) | (only == 1.0) | (only != only)).all())


def _is_plain(history: PriceHistory, config: BacktestConfig) -> bool:
    (bars,) = history.bars.values()
    return (
        config.commission == Commission(bps=config.commission.bps)
        and config.slippage.is_none
        and config.financing.is_none
        and config.timing is Timing.OPEN
        and config.fractional
        and bars.dividends is None
        and bars.splits is None
    )


class AllInOrOut:
    """What decisions for all or nothing come to: equity[i] = cash + shares * close[i], where a purchase at p
    turns the cash into cash / (p (1 + fee)) shares and a sale gives shares * p (1 - fee).

    weights: shape (instants,), of 0, 1 and NaN. fee: as a fraction of the value.
    """

    def __init__(self, weights: Floats, history: PriceHistory, capital: float, fee: float) -> None:
        self.history = history
        self.capital = capital
        self.fee = fee
        (self._bars,) = history.bars.values()
        decided = np.flatnonzero(weights == weights)
        said = weights[decided]
        before = np.concatenate([[0.0], said[:-1]])
        self.rows: Ints = decided[said != before] + 1
        """The instants of the fills: purchases and sales in turn."""
        self._last = float(weights[-1])
        if len(self.rows) and self.rows[-1] == len(weights):
            self.rows = self.rows[:-1]
        self._prices = self._bars.open[self.rows]

    @cached_property
    def _levels(self) -> tuple[Floats, Floats]:
        """Cash while out, and shares while in, each in turn: shapes (purchases + 1 or the same,) both."""
        bought, sold = self._prices[::2], self._prices[1::2]
        paid = bought * (1.0 + self.fee)
        won = sold * (1.0 - self.fee) / paid[: len(sold)]
        cash: Floats = self.capital * np.concatenate([[1.0], np.cumprod(won)])
        shares: Floats = cash[: len(bought)] / paid
        return cash, shares

    @property
    def equity(self) -> Floats:
        """Cash and shares at each close, shape (instants,)."""
        cash, shares = self._levels
        levels = np.zeros((2, len(self.rows) + 1))
        levels[0, ::2], levels[1, 1::2] = cash, shares
        spans = np.diff(self.rows, prepend=0, append=len(self.history))
        equity: Floats = np.repeat(levels[1], spans)
        equity *= self._bars.close
        equity += np.repeat(levels[0], spans)
        return equity

    def fills(self) -> AlternatingFills:
        """Return the fills: each purchase binds all the cash, and each sale releases what its one bound."""
        cash, bought = self._levels
        quantities, used = (np.repeat(each, 2)[: len(self.rows)] for each in (bought, cash[: len(bought)]))
        quantities[1::2] *= -1.0
        used[1::2] *= -1.0
        fees = np.abs(quantities) * self._prices * self.fee
        return AlternatingFills(
            symbol=self._bars.symbol,
            rows=self.rows,
            quantities=quantities,
            prices=self._prices,
            fees=fees,
            used=used,
        )

    @property
    def allocated(self) -> float:
        """The capital at the end: what was given, won and lost."""
        return float(self._levels[0][-1])

    @property
    def used(self) -> float:
        """What the position that is open at the end cost, 0 if none is."""
        if len(self.rows) % 2 == 0:
            return 0.0
        return float(self._levels[1][-1] * self._prices[-1] * (1.0 + self.fee))

    def rejections(self) -> list[Rejection]:
        """Return the refusal of what was decided on the last bar, if anything was."""
        if self._last != self._last:
            return []
        return [
            Rejection(
                row=len(self.history) - 1,
                symbol=self._bars.symbol,
                signal=Signal(symbol=self._bars.symbol, weight=self._last),
                reason=Reason.NO_MORE_BARS,
                requested=0.0,
                allocated=self.allocated,
                used=self.used,
                available=self.allocated - self.used,
            )
        ]
