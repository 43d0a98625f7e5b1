"""How many shares a signal means, at what price, within which capital."""

from __future__ import annotations

import math

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
    signal = order.signal
    if order.change is not None:
        return order.change
    if signal.quantity is not None:
        return signal.quantity - held
    assert signal.weight is not None
    if signal.weight == 0.0:
        return -held
    change = signal.weight * equity / price - held
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
        # Costs rise with size: from above, each step cuts what the last one overshot.
        for _ in range(60):
            paid = self.price(price, side * shares, at, limited)
            # A short sale's capital is its value at the better, unslipped price: slippage is paid out of it.
            fitting = self.commission.affordable(budget, paid if side > 0.0 else price)
            if abs(fitting - shares) <= 1e-13 * shares:
                break
            shares = fitting
        return side * shares

    def most(self, at: int) -> float:
        """Return the largest part of an order that bar `at` can fill, in shares."""
        if self.slippage is None or self.slippage.max_participation is None:
            return math.inf
        return self.slippage.max_participation * float(self.bars.volume[at])

    def _usual_at(self, at: int) -> tuple[float, float]:
        if at != self._seen:
            self._seen, self._usual = at, self._usual_before(at)
        return self._usual

    def _usual_before(self, at: int) -> tuple[float, float]:
        assert self.slippage is not None
        first = max(at - self.slippage.impact_bars, 0)
        if at - first < 2:
            return math.nan, 0.0
        closes = self.bars.close[max(first - 1, 0) : at]
        returns = closes[1:] / closes[:-1] - 1.0
        return float(self.bars.volume[first:at].mean()), float(returns.std())


def target_shares(
    order: Order, account: Account, equity: float, price: float, sizer: Sizer, at: int, limited: bool
) -> tuple[float, float]:
    """Return what an order trades at this price, as (shares that reduce, shares that open), both signed.

    A weight's purchase pays its fee and slippage out of the weight; turning from long to short closes
    first, and opens with what the closing left.
    """
    position = account.positions.get(order.symbol)
    held = 0.0 if position is None else position.quantity
    weight = order.signal.weight
    if weight is None or weight == 0.0:
        return _parted(held, wanted(order, held, price, equity))
    target, current = weight * equity, held * price
    if abs(target - current) <= equity * NOTHING:
        return 0.0, 0.0
    if abs(target - current) <= NOTHING * equity:
        return 0.0, 0.0
    side = 1.0 if weight > 0.0 else -1.0
    if target * current >= 0.0:
        if abs(target) > abs(current):
            return 0.0, sizer.affordable(abs(target) - abs(current), price, side, at, limited)
        return (target - current) / price, 0.0
    fee = sizer.commission.of(abs(held), sizer.price(price, -held, at, limited))
    return -held, sizer.affordable(abs(weight) * (equity - fee), price, side, at, limited)


def _parted(held: float, change: float) -> tuple[float, float]:
    if held * change >= 0.0:
        return 0.0, change
    if abs(change) <= abs(held):
        return change, 0.0
    return -held, change + held
