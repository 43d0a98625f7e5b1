"""How many shares a signal means, at what price, within which capital."""

from __future__ import annotations

import math

import numpy as np

from trading.backtest.account import Account
from trading.backtest.config import BacktestConfig
from trading.backtest.history import SymbolBars
from trading.backtest.orders import Order

ROUNDING = 1e-9
"""Relative slack of the capital limit: what the float sums of a day's fills may be off."""
NOTHING = 1e-12
"""The part of the equity below which a change of a weight is what rounding left, and no order."""

NOTHING = 1e-12
"""A weight that is off by less than this share of the equity is met: the rest is rounding."""


def wanted(order: Order, held: float, price: float, equity: float) -> float:
    """Return about how many shares an order still has to trade, signed: its direction, costs left out."""
    if order.change is not None:
        return order.change
    if order.quantity is not None:
        return order.quantity - held
    assert order.weight is not None
    if order.weight == 0.0:
        return -held
    change = order.weight * equity / price - held
    return change if abs(change) * price > NOTHING * equity else 0.0


class Sizer:
    """Sizes orders on one symbol's bars. The bars before the present one tell the usual volume and
    volatility that impact depends on."""

    def __init__(self, config: BacktestConfig, bars: SymbolBars) -> None:
        self.commission = config.commission
        self.slippage = None if config.slippage.is_none else config.slippage
        self.bars = bars
        self._seen = -1
        self._usual = (math.nan, math.nan)
        self._taken_at = -1
        self._taken = 0.0

    def price(self, price: float, shares: float, at: int, limited: bool) -> float:
        """Return what a market order pays (shares above 0) or gets (below 0) per share, at bar `at`."""
        if self.slippage is None or limited or shares == 0.0:
            return price
        volume, volatility = self._usual_at(at)
        worse = self.slippage.per_share_at(price, abs(shares), volume, volatility)
        return price + worse if shares > 0.0 else max(price - worse, 0.0)

    def cost(self, price: float, shares: float, at: int, limited: bool) -> float:
        """Return the capital that opening a position takes: its value and its fee."""
        paid = price if self.slippage is None else self.price(price, shares, at, limited)
        return abs(shares) * paid + self.commission.of(abs(shares), paid)

    def affordable(self, budget: float, price: float, side: float, at: int, limited: bool) -> float:
        """Return the signed shares that use `budget` with fee and slippage; side: 1 long, -1 short."""
        if budget <= 0.0:
            return 0.0
        shares = self.commission.affordable(budget, price)
        if self.slippage is None or limited:
            return side * shares
        # Costs rise with the square root of the size: each step at least halves what the last one was off.
        for _ in range(60):
            paid = self.price(price, side * shares, at, limited)
            # A short sale's capital is its value at the better, unslipped price: slippage is paid out of it.
            fitting = self.commission.affordable(budget, paid if side > 0.0 else price)
            if abs(fitting - shares) <= 1e-13 * shares:
                break
            shares = fitting
        return side * shares

    def most(self, at: int) -> float:
        """Return how many shares bar `at` can still fill."""
        if self.slippage is None or self.slippage.max_participation is None:
            return math.inf
        taken = self._taken if at == self._taken_at else 0.0
        return max(self.slippage.max_participation * float(self.bars.volume[at]) - taken, 0.0)

    def take(self, at: int, shares: float) -> None:
        """Note that bar `at` has filled these shares, bought or sold."""
        self._taken = abs(shares) + (self._taken if at == self._taken_at else 0.0)
        self._taken_at = at

    def _usual_at(self, at: int) -> tuple[float, float]:
        if at != self._seen:
            self._seen, self._usual = at, self._usual_before(at)
        return self._usual

    def _usual_before(self, at: int) -> tuple[float, float]:
        assert self.slippage is not None
        first = max(at - self.slippage.impact_bars, 0)
        if at - first < 2:
            return math.nan, 0.0
        start = max(first - 1, 0)
        closes, volume = self.bars.close[start:at], self.bars.volume[start:at]
        if self.bars.splits is not None:
            # In the shares of bar `at`: a split is no move, and no change of what is usually traded.
            ratios = np.cumprod(self.bars.splits[start + 1 : at + 1][::-1])[::-1]
            closes, volume = closes / ratios, volume * ratios
        returns = closes[1:] / closes[:-1] - 1.0
        return float(volume[first - start :].mean()), float(returns.std())


def target_shares(
    order: Order, account: Account, equity: float, price: float, sizer: Sizer, at: int, limited: bool
) -> tuple[float, float]:
    """Return what an order trades at this price, as (shares that reduce, shares that open), both signed.

    A weight's purchase pays its fee and slippage out of the weight; turning from long to short closes
    first, and opens with what the closing left.
    """
    position = account.positions.get(order.symbol)
    held = 0.0 if position is None else position.quantity
    weight = order.weight
    if weight is None or weight == 0.0:
        return _parted(held, wanted(order, held, price, equity))
    target, current = weight * max(equity, 0.0), held * price
    if abs(target - current) <= NOTHING * equity:
        return 0.0, 0.0
    side = 1.0 if weight > 0.0 else -1.0
    if target * current >= 0.0:
        if abs(target) > abs(current):
            return 0.0, sizer.affordable(abs(target) - abs(current), price, side, at, limited)
        return (target - current) / price, 0.0
    paid = sizer.price(price, -held, at, limited)
    left = equity - abs(held) * abs(price - paid) - sizer.commission.of(abs(held), paid)
    return -held, sizer.affordable(abs(weight) * left, price, side, at, limited)


def whole_shares(shares: float) -> float:
    """Return whole shares, cut towards zero; a whole number that rounding took something from is whole."""
    nearest = round(shares)
    return float(nearest if abs(shares - nearest) <= NOTHING * abs(shares) else int(shares))


def _parted(held: float, change: float) -> tuple[float, float]:
    if held * change >= 0.0:
        return 0.0, change
    if abs(change) <= abs(held):
        return change, 0.0
    return -held, change + held
