"""Splits in traded prices: the account is right, rules of price see a move, and a run says so once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.backtest.hand_made_bars import bars
from trading.backtest import BacktestEngine, OrchestratorConfig, PriceHistory, StrategyOrchestrator
from trading.backtest.strategies.registry import made

RISING = [100.0 + at for at in range(40)]
SPLIT_AT = 30


def traded(symbol: str = "A", split_at: int = SPLIT_AT) -> Any:
    """Return bars that rise by 1 a day and are split 4 for 1."""
    opens = [price / (4.0 if at >= split_at else 1.0) for at, price in enumerate(RISING)]
    return bars(symbol, open=opens, splits={split_at: 4.0})


def warnings(
    history: PriceHistory, *, beside: bool = False, arrays: bool = False
) -> Sequence[Mapping[str, Any]]:
    strategies = [made("buy_and_hold"), made("rsi", bars=7)]
    with capture_logs() as logged:
        if beside:
            config = OrchestratorConfig(log_dir=None, arrays=arrays)
            StrategyOrchestrator([(each, 0.5) for each in strategies], config).run(history, 1000)
        else:
            BacktestEngine().run(strategies[0], history, 1000, arrays=arrays)
    return logged


@pytest.mark.parametrize("arrays", [False, True])
@pytest.mark.parametrize("beside", [False, True])
def test_a_run_on_prices_that_jump_on_a_split_logs_one_warning(beside: bool, arrays: bool) -> None:
    """However many strategies and symbols it has; it names those that are split."""
    history = PriceHistory([traded("A"), bars("FLAT", open=[10.0] * 40), traded("B", 20)])

    (logged,) = warnings(history, beside=beside, arrays=arrays)

    assert (logged["event"], logged["log_level"]) == ("prices.jump", "warning")
    assert (logged["symbols"], logged["splits"]) == ("A, B", 2)
    assert "take adjusted ones for rules of price" in logged["detail"]


@pytest.mark.parametrize(
    "given",
    [
        bars(open=RISING),
        bars(open=RISING, splits={3: 1.0}),
        bars(open=RISING, splits={0: 4.0}),  # before the first bar there is no price to jump from
        bars(open=RISING, splits={}, dividends={5: 1.0}),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_a_run_without_a_split_logs_nothing(given: Any, beside: bool) -> None:
    assert not warnings(PriceHistory([given]), beside=beside)


def test_a_rule_of_price_takes_a_split_for_a_fall_that_adjusted_prices_do_not_show() -> None:
    """Prices that only rise are never oversold; after a split they are, on the traded ones."""
    strategy = made("rsi", bars=7)

    on_traded = BacktestEngine().run(strategy, PriceHistory([traded()]), 1000)
    on_adjusted = BacktestEngine().run(strategy, PriceHistory([bars(open=RISING)]), 1000)

    assert [fill.row for fill in on_traded.fills] == [SPLIT_AT + 1]
    assert on_adjusted.fills == []


def test_who_holds_through_a_split_has_the_same_on_traded_and_on_adjusted_prices() -> None:
    strategy = made("buy_and_hold")

    on_traded = BacktestEngine().run(strategy, PriceHistory([traded()]), 1000)
    on_adjusted = BacktestEngine().run(strategy, PriceHistory([bars(open=RISING)]), 1000)

    # Bought at 101 and worth 139.
    assert on_traded.final_equity == pytest.approx(1000 * 139 / 101)
    assert on_adjusted.final_equity == pytest.approx(1000 * 139 / 101)
