"""The strategies that go by prices, each held to the contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.backtest.strategy_contract import HISTORIES, StrategyContract
from trading.backtest.history import PriceHistory, SymbolBars
from trading.backtest.strategies.bollinger import BollingerParameters, BollingerReversion
from trading.backtest.strategies.book_imbalance import BookImbalance, BookImbalanceParameters
from trading.backtest.strategies.buy_and_hold import BuyAndHold, BuyAndHoldParameters
from trading.backtest.strategies.each_symbol import Sides
from trading.backtest.strategies.momentum import (
    CrossSectionalMomentum,
    CrossSectionalMomentumParameters,
    TimeSeriesMomentum,
    TimeSeriesMomentumParameters,
)
from trading.backtest.strategies.moving_average import (
    DeclaredMovingAverageCross,
    MovingAverageCross,
    MovingAverageParameters,
)
from trading.backtest.strategies.order_imbalance import OrderImbalance, OrderImbalanceParameters
from trading.backtest.strategies.rsi import RsiParameters, RsiReversion
from trading.backtest.strategy import IStrategy


class TestBuyAndHold(StrategyContract):
    def make(self) -> IStrategy:
        return BuyAndHold(BuyAndHoldParameters())


class TestBollingerReversionOfSomeSymbols(StrategyContract):
    def make(self) -> IStrategy:
        return BollingerReversion(BollingerParameters(bars=15, width=1.2, symbols=("GAPS", "LATE")))

    def history(self, kind: str) -> PriceHistory:
        return HISTORIES["unaligned"]

    def real(self, bundled: PriceHistory) -> PriceHistory:
        pytest.skip("it has none of those symbols")


class TestMovingAverageCross(StrategyContract):
    def make(self) -> IStrategy:
        return MovingAverageCross(MovingAverageParameters(fast=5, slow=21, shorting=True), "crossing")


class TestMovingAverageCrossOfOneBar(StrategyContract):
    def make(self) -> IStrategy:
        return MovingAverageCross(MovingAverageParameters(fast=1, slow=20))


class TestExponentialMovingAverageCross(StrategyContract):
    def make(self) -> IStrategy:
        return MovingAverageCross(MovingAverageParameters(fast=5, slow=20, average="exponential"))


class TestDeclaredMovingAverageCross(StrategyContract):
    def make(self) -> IStrategy:
        return DeclaredMovingAverageCross(MovingAverageParameters(fast=5, slow=20, shorting=True))


class TestTimeSeriesMomentum(StrategyContract):
    def make(self) -> IStrategy:
        return TimeSeriesMomentum(TimeSeriesMomentumParameters(lookback=30, rebalance=7, shorting=True))


class TestCrossSectionalMomentum(StrategyContract):
    def make(self) -> IStrategy:
        return CrossSectionalMomentum(
            CrossSectionalMomentumParameters(lookback=40, skip=5, hold=2, rebalance=9)
        )


class TestRsiReversion(StrategyContract):
    def make(self) -> IStrategy:
        return RsiReversion(RsiParameters(bars=7, low=40.0, exit=65.0, shorting=True))


class TestBollingerReversion(StrategyContract):
    def make(self) -> IStrategy:
        return BollingerReversion(BollingerParameters(bars=19, width=1.5, shorting=True))


class TestOrderImbalance(StrategyContract):
    def make(self) -> IStrategy:
        return OrderImbalance(OrderImbalanceParameters(volatility_bars=20, imbalance_bars=5, entry=0.2))


class TestBookImbalance(StrategyContract):
    """On bars with a column of scores, as those made from books have."""

    def make(self) -> IStrategy:
        return BookImbalance(BookImbalanceParameters(entry=0.6, exit=0.1, shorting=True))

    def history(self, kind: str) -> PriceHistory:
        return PriceHistory(scored(bars) for bars in HISTORIES[kind].bars.values())

    def real(self, bundled: PriceHistory) -> PriceHistory:
        return PriceHistory(scored(bars) for bars in bundled.head(500).bars.values())


def scored(bars: SymbolBars) -> SymbolBars:
    scores = np.random.default_rng(len(bars)).uniform(-1.0, 1.0, len(bars))
    return replace(bars, extras={"queue_imbalance": scores})


class Peeking(BuyAndHold):
    """Its array form is long whenever the next close is higher."""

    def sides(self, bars: SymbolBars) -> Sides:
        sides: Sides = np.append(bars.close[1:] > bars.close[:-1], False).astype(np.int64)
        return sides


class PeekingContract(StrategyContract):
    def make(self) -> IStrategy:
        return Peeking(BuyAndHoldParameters())


def test_the_contract_is_broken_by_a_look_ahead() -> None:
    contract = PeekingContract()

    with pytest.raises(AssertionError):
        contract.test_the_array_form_is_the_same_on_a_history_that_ends_sooner("one")
    with pytest.raises(AssertionError):
        contract.test_the_array_form_asks_for_what_the_bars_ask_for("one")
