"""What happens to holdings apart from trades: dividends, splits, interest, borrowing, delisting."""

from __future__ import annotations

import pytest

from tests.backtest.hand_made_bars import bars, reasons, run, told
from trading.backtest.account import Payment
from trading.backtest.costs import Financing
from trading.backtest.result import BacktestResult
from trading.backtest.signals import Signal


def buy(shares: float, **order: object) -> Signal:
    return Signal(symbol="A", change=shares, **order)  # type: ignore[arg-type]  # the keywords vary


# Dividends


def test_a_long_position_gets_a_dividend_on_its_ex_date() -> None:
    # 10 shares; 0.5 each on bar 2, where the price falls by as much.
    given = bars(open=[10, 10, 9.5], dividends={2: 0.5})

    result = run(given, {0: buy(10)})

    assert result.payments == (Payment(2, "dividend", "A", 5.0),)
    assert result.equity.tolist() == [1000.0, 1000.0, 1000.0]


def test_a_short_position_pays_the_dividend() -> None:
    given = bars(open=[10, 10, 9.5], dividends={2: 0.5})

    result = run(given, {0: buy(-10)})

    assert result.payments == (Payment(2, "dividend", "A", -5.0),)
    assert result.equity.tolist() == [1000.0, 1000.0, 1000.0]


def test_who_buys_at_the_open_of_the_ex_date_gets_no_dividend() -> None:
    result = run(bars(open=[10, 10, 9.5], dividends={2: 0.5}), {1: buy(10)})

    assert result.payments == ()


def test_who_sells_at_the_open_of_the_ex_date_gets_the_dividend() -> None:
    result = run(bars(open=[10, 10, 9.5], dividends={2: 0.5}), {0: buy(10), 1: Signal.close("A")})

    assert result.payments == (Payment(2, "dividend", "A", 5.0),)
    assert result.final_equity == 1000.0


def test_a_dividend_is_capital_that_can_be_used() -> None:
    # 1000 used up; the dividend of 100 * 0.5 = 50 buys 5 more at 10.
    given = bars(open=[10, 10, 10, 10], dividends={2: 0.5})

    result = run(given, {0: buy(100), 2: buy(5)})

    assert told(result.fills) == [(1, 100.0, 10.0), (3, 5.0, 10.0)]


# Splits


def split(script: dict[int, Signal], **columns: object) -> BacktestResult:
    """Return a run over a split of two new shares for one before the third bar, from 10 to 5."""
    usual: dict[str, object] = {"open": [10, 10, 5, 6]} | columns
    return run(bars(splits={2: 2.0}, **usual), script)  # type: ignore[arg-type]  # the columns vary


def test_a_split_makes_no_money() -> None:
    result = split({0: buy(10)})

    # 900 cash; 10 * 10, 20 * 5, 20 * 6.
    assert result.equity.tolist() == [1000.0, 1000.0, 1000.0, 1020.0]
    assert result.positions == {"A": 20.0}


def test_a_split_of_a_short_position_makes_no_money() -> None:
    result = split({0: buy(-10)})

    assert result.equity.tolist() == [1000.0, 1000.0, 1000.0, 980.0]


def test_a_trade_across_a_split_is_told_in_new_shares() -> None:
    result = split({0: buy(10), 2: Signal.close("A")})

    (trade,) = result.trades
    assert (trade.quantity, trade.entry_price, trade.exit_price, trade.pnl) == (20.0, 5.0, 6.0, 20.0)


def test_a_split_leaves_what_a_position_cost() -> None:
    result = split({0: buy(10), 1: buy(1000.0)})

    # Refused at the third bar: 2000 new shares at 5; 100 are used as before.
    (refused,) = result.rejections
    assert (refused.requested, refused.used, refused.available) == (10_000.0, 100.0, 900.0)


@pytest.mark.parametrize(
    ("order", "filled"),
    [
        (Signal(symbol="A", change=3.0), (2, 6.0, 5.0)),
        (Signal(symbol="A", quantity=13.0), (2, 6.0, 5.0)),  # 26 new ones, of which 20 are held
        (Signal(symbol="A", change=3.0, limit=8.0), (2, 6.0, 4.0)),
        (Signal(symbol="A", change=3.0, stop=11.0), (3, 6.0, 5.5)),
        (Signal(symbol="A", weight=0.11), (2, pytest.approx(2.0), 5.0)),  # 110 of 1000 are 22 new shares
    ],
)
def test_an_order_that_waits_through_a_split_is_restated(
    order: Signal, filled: tuple[int, float, float]
) -> None:
    result = split({0: buy(10), 1: order}, low=[10, 10, 4, 5.4], open=[10, 10, 5, 5.2], high=[10, 10, 5, 6])

    assert told(result.fills)[1] == filled


def test_a_reverse_split_may_leave_a_part_of_a_share_which_is_sold_with_the_rest() -> None:
    given = bars(open=[10, 10, 100, 100], splits={2: 0.1})

    result = run(given, {0: buy(15), 2: Signal.close("A")}, fractional=False)

    assert told(result.fills) == [(1, 15.0, 10.0), (3, -1.5, 100.0)]


def test_on_a_day_of_both_the_dividend_is_per_new_share() -> None:
    given = bars(open=[10, 10, 4.5], splits={2: 2.0}, dividends={2: 0.5})

    result = run(given, {0: buy(10)})

    # 20 new shares: 900 + 20 * 4.5 + 20 * 0.5
    assert result.final_equity == 1000.0


def test_a_split_of_what_is_not_held_changes_nothing() -> None:
    result = split({})

    assert result.record == []


# Interest and borrowing: a rate of 36.5 % is a thousandth a day


def test_cash_earns_interest_by_the_day_and_compounds() -> None:
    result = run(bars(open=[10] * 3), {}, financing=Financing(cash_rate=0.365))

    # 1000 * 0.001 = 1, then 1001 * 0.001 = 1.001.
    assert result.equity.tolist() == pytest.approx([1000.0, 1001.0, 1002.001], rel=1e-14)
    assert [(each.row, each.kind, each.symbol) for each in result.payments] == [
        (1, "interest", ""),
        (2, "interest", ""),
    ]


def test_a_weekend_earns_three_days() -> None:
    result = run(bars(open=[10] * 2, days=[4, 7]), {}, financing=Financing(cash_rate=0.365))

    assert result.final_equity == pytest.approx(1003.0, rel=1e-14)


def test_what_a_short_sale_brings_in_earns_nothing() -> None:
    # 10 sold at 10, 1000 of one's own; at bar 2 a day's interest on 1001: that of bar 1 is in it.
    result = run(bars(open=[10] * 3), {0: buy(-10)}, financing=Financing(cash_rate=0.365))

    assert [each.amount for each in result.payments] == pytest.approx([1.0, 1.001], rel=1e-14)


def test_borrowed_shares_cost_by_their_last_close() -> None:
    given = bars(open=[10, 10, 10, 10], close=[10, 12, 20, 10])

    result = run(given, {0: buy(-10)}, financing=Financing(borrow_rate=0.365))

    # Sold at bar 1: a night at 10 * 12 and one at 10 * 20.
    assert [(each.row, each.kind, each.symbol) for each in result.payments] == [
        (2, "borrow", "A"),
        (3, "borrow", "A"),
    ]
    assert [each.amount for each in result.payments] == pytest.approx([-0.12, -0.2], rel=1e-14)


def test_the_night_before_a_split_is_paid_in_old_shares() -> None:
    given = bars(open=[10, 10, 5], splits={2: 2.0})

    result = run(given, {0: buy(-10)}, financing=Financing(borrow_rate=0.365))

    assert [each.amount for each in result.payments] == pytest.approx([-0.1], rel=1e-14)


def test_a_long_position_borrows_nothing() -> None:
    result = run(bars(open=[10] * 3), {0: buy(100)}, financing=Financing(cash_rate=0.1, borrow_rate=0.1))

    assert {each.kind for each in result.payments} == {"interest"}


# The end of a symbol


OTHER = bars("B", open=[5] * 6)


def test_a_position_becomes_cash_after_its_symbol_s_last_bar() -> None:
    given = [bars("A", open=[10, 10, 12], close=[10, 11, 13]), OTHER]

    result = run(given, {0: buy(10)})

    # At the instant after the last bar, at its close; no fee.
    assert told(result.fills) == [(1, 10.0, 10.0), (3, -10.0, 13.0)]
    assert result.equity.tolist() == [1000.0, 1010.0, 1030.0, 1030.0, 1030.0, 1030.0]
    assert result.positions == {}
    assert result.fills[-1].metadata == {"reason": "delisted"}
    assert [(trade.exit_row, trade.pnl) for trade in result.trades] == [(3, 30.0)]


@pytest.mark.parametrize(("recovery", "brought"), [(0.5, 65.0), (0.0, 0.0)])
def test_a_delisted_position_brings_what_is_recovered(recovery: float, brought: float) -> None:
    given = [bars("A", open=[10, 10, 12], close=[10, 11, 13]), OTHER]

    result = run(given, {0: buy(10)}, delisting_recovery=recovery)

    assert result.final_equity == 900.0 + brought
    assert result.trades[0].pnl == brought - 100.0


def test_a_delisted_short_position_is_bought_back_at_the_whole_last_close() -> None:
    given = [bars("A", open=[10, 10, 12], close=[10, 11, 13]), OTHER]

    result = run(given, {0: buy(-10)}, delisting_recovery=0.0)

    assert told(result.fills)[-1] == (3, 10.0, 13.0)
    assert result.final_equity == 970.0


def test_the_capital_of_a_delisted_position_is_free_again() -> None:
    # All of it is in A until instant 3, where the order of instant 2 is filled already.
    given = [bars("A", open=[10, 10, 10]), OTHER]

    result = run(given, {0: Signal.hold("A", 1.0), 2: Signal.hold("B", 1.0)})

    assert told(result.fills) == [(1, 100.0, 10.0), (3, -100.0, 10.0), (3, 200.0, 5.0)]


def test_orders_that_wait_for_a_symbol_that_has_ended_are_refused() -> None:
    given = [bars("A", open=[10, 10, 10]), OTHER]

    result = run(given, {0: buy(1.0, limit=9.0)})

    assert reasons(result) == [(3, "NO_MORE_BARS")]


def test_an_order_for_a_symbol_that_has_ended_is_refused_in_the_end() -> None:
    given = [bars("A", open=[10, 10, 10]), OTHER]

    result = run(given, {4: buy(1.0)})

    assert reasons(result) == [(5, "NO_MORE_BARS")]


def test_a_symbol_whose_last_bar_is_the_history_s_is_marked_and_not_delisted() -> None:
    given = [bars("A", open=[10, 10, 10], days=[0, 1, 5]), OTHER]

    result = run(given, {0: buy(10)})

    assert result.positions == {"A": 10.0}
