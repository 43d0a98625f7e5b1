"""Positions and the capital they use: shorting, flips, averages, refusals, and what comes back on closing."""

from __future__ import annotations

import pytest

from tests.backtest.hand_made_bars import Script, bars, reasons, run, told
from trading.backtest.account import Account
from trading.backtest.costs import Commission, Slippage
from trading.backtest.signals import Signal

FLAT = bars(open=[10] * 6)


def buy(shares: float, symbol: str = "A", **order: object) -> Signal:
    return Signal(symbol=symbol, change=shares, **order)  # type: ignore[arg-type]  # the keywords vary


# Short positions


def test_a_short_position_gains_what_the_price_falls() -> None:
    result = run(bars(open=[10, 10, 9], close=[10, 9.5, 8]), {0: Signal.hold("A", -1.0)})

    # 100 sold at 10: 2000 cash; owed 950, then 800.
    assert told(result.fills) == [(1, -100.0, 10.0)]
    assert result.equity.tolist() == [1000.0, 1050.0, 1200.0]


def test_a_short_trade_is_told_with_its_gain_after_fees() -> None:
    given = bars(open=[10, 10, 8, 8])

    result = run(given, {0: buy(-50), 1: Signal.close("A")}, commission=Commission(per_trade=3.0))

    (trade,) = result.trades
    assert (trade.quantity, trade.entry_price, trade.exit_price) == (-50.0, 10.0, 8.0)
    assert (trade.fees, trade.pnl, trade.entry_cost) == (6.0, 94.0, 503.0)
    assert result.final_equity == 1094.0


@pytest.mark.parametrize("order", [buy(-5.0), Signal(symbol="A", quantity=-5.0), Signal.hold("A", -0.5)])
def test_selling_short_is_refused_where_shorting_is_off(order: Signal) -> None:
    result = run(FLAT, {0: order}, shorting=False)

    assert result.fills == []
    assert reasons(result) == [(1, "SHORTING")]


def test_where_shorting_is_off_a_flip_closes_and_says_that_it_went_no_further() -> None:
    result = run(FLAT, {0: buy(5.0), 1: buy(-8.0)}, shorting=False)

    assert told(result.fills) == [(1, 5.0, 10.0), (2, -5.0, 10.0)]
    assert reasons(result) == [(2, "SHORTING")]


def test_a_flip_closes_one_position_and_opens_the_other_at_once() -> None:
    # All in at 10, 100 shares; at 12 the equity is 1200: 100 shares short.
    result = run(bars(open=[10, 10, 12]), {0: Signal.hold("A", 1.0), 1: Signal.hold("A", -1.0)})

    assert told(result.fills) == [(1, 100.0, 10.0), (2, -100.0, 12.0), (2, -100.0, 12.0)]
    assert [trade.pnl for trade in result.trades] == [200.0]
    assert result.positions == {"A": -100.0}


def test_a_flip_opens_with_what_fee_and_slippage_of_the_closing_left() -> None:
    result = run(
        FLAT,
        {0: buy(10.0), 1: Signal.hold("A", -0.5)},
        commission=Commission(per_trade=1.0),
        slippage=Slippage(per_share=0.1),
    )

    # 1000 - 10 * 10.1 - 1 = 898 + 10 * 9.9 - 1 = 996: half is 498, less 1 of fee, at 10: 49.7.
    assert told(result.fills)[1:] == [
        pytest.approx((2, -10.0, 9.9), rel=1e-12),
        pytest.approx((2, -49.7, 9.9), rel=1e-12),
    ]


# Bankruptcy


def test_who_has_lost_all_is_stopped_and_closed_at_the_next_open() -> None:
    # 100 short at 10: at a close of 25 the equity is 2000 - 2500. Bought back at 26; nothing more is done.
    given = bars(open=[10, 10, 24, 26, 10], close=[10, 10, 25, 26, 10])
    script = {0: Signal.hold("A", -1.0), 2: buy(1.0), 3: buy(1.0), 4: buy(1.0)}

    result = run(given, script)

    assert told(result.fills) == [(1, -100.0, 10.0), (3, 100.0, 26.0)]
    assert result.equity.tolist() == [1000.0, 1000.0, -500.0, -600.0, -600.0]
    assert result.failure is not None
    assert (result.failure.row, result.failure.error) == (2, "it has lost all its capital")


def test_what_a_stopped_strategy_had_waiting_is_refused() -> None:
    given = bars(open=[10, 10, 24, 26], close=[10, 10, 25, 26])

    result = run(given, {0: Signal.hold("A", -1.0), 1: buy(1.0, limit=5.0)})

    assert reasons(result) == [(2, "STOPPED")]


def test_who_has_lost_all_on_the_last_bar_keeps_the_position_and_is_told_so() -> None:
    given = bars(open=[10, 10, 24], close=[10, 10, 25])

    result = run(given, {0: Signal.hold("A", -1.0)})

    assert result.failure is not None
    assert result.positions == {"A": -100.0}
    assert reasons(result) == [(2, "NO_MORE_BARS")]


def test_metrics_of_a_bankrupt_run_are_numbers_or_say_why_they_are_none() -> None:
    given = bars(open=[10, 10, 24, 26, 10], close=[10, 10, 25, 26, 10])

    told_ = run(given, {0: Signal.hold("A", -1.0)}).metrics.to_dict()

    remarks = told_["remarks"]
    assert isinstance(remarks, dict)
    assert all(value is not None or name in remarks for name, value in told_.items())


# Averages


def test_a_part_is_closed_at_the_average_price_paid() -> None:
    # 10 at 10 and 10 at 20: 15 on average. 10 sold at 18 win 30; 10 at 15 stay.
    given = bars(open=[10, 10, 20, 18, 30])
    script = {0: buy(10), 1: buy(10), 2: buy(-10), 3: Signal.close("A")}

    result = run(given, script)

    assert [(each.quantity, each.entry_price, each.pnl) for each in result.trades] == [
        (10.0, 15.0, 30.0),
        (10.0, 15.0, 150.0),
    ]
    assert [(each.entry_row, each.exit_row, each.bars) for each in result.trades] == [(1, 3, 2), (1, 4, 3)]
    assert result.final_equity == 1180.0


def test_a_part_that_is_closed_bears_its_part_of_the_entry_s_fee() -> None:
    # 20 bought for a fee of 4; 5 sold for 4: a quarter of the first and all of the second.
    result = run(FLAT, {0: buy(20), 1: buy(-5)}, commission=Commission(per_trade=4.0))

    (trade,) = result.trades
    assert (trade.fees, trade.pnl, trade.entry_cost) == (5.0, -5.0, 51.0)
    assert trade.return_fraction == pytest.approx(-5 / 51)


def test_a_trade_has_the_metadata_of_the_signal_that_opened_it() -> None:
    script = {
        0: Signal.hold("A", 0.1, why="cheap"),
        1: Signal.hold("A", 0.2, why="cheaper"),
        2: Signal.close("A", why="dear"),
    }

    result = run(FLAT, script)

    assert [trade.metadata for trade in result.trades] == [{"why": "cheap"}]


# Capital


def test_a_request_beyond_what_is_available_is_refused_with_the_capital_of_the_moment() -> None:
    given = [FLAT, bars("B", open=[10] * 6)]

    result = run(given, {0: buy(60, "A"), 1: buy(50, "B")})

    (refused,) = result.rejections
    assert refused.reason.name == "CAPITAL"
    assert (refused.row, refused.symbol) == (2, "B")
    assert (refused.requested, refused.allocated, refused.used, refused.available) == (500, 1000, 600, 400)


def test_a_request_of_all_that_is_available_is_filled() -> None:
    given = [FLAT, bars("B", open=[10] * 6)]

    result = run(given, {0: buy(60, "A"), 1: buy(40, "B")})

    assert len(result.fills) == 2


def test_a_fee_beyond_what_is_available_is_refused() -> None:
    result = run(FLAT, {0: buy(100)}, commission=Commission(per_trade=0.01))

    assert [(each.requested, each.available) for each in result.rejections] == [(1000.01, 1000.0)]


def test_short_positions_use_capital_like_long_ones() -> None:
    given = [FLAT, bars("B", open=[10] * 6)]

    result = run(given, {0: buy(-60, "A"), 1: buy(-50, "B"), 2: buy(-40, "B")})

    assert told(result.fills) == [(1, -60.0, 10.0), (3, -40.0, 10.0)]
    assert reasons(result) == [(2, "CAPITAL")]


def test_capital_comes_back_with_gain_or_loss_when_a_position_closes() -> None:
    # 100 at 10, closed at 12: 1200 are there then, and 100 more at 12 use them up.
    given = bars(open=[10, 10, 12, 12])

    result = run(given, {0: buy(100), 1: Signal.close("A"), 2: buy(100)})

    assert told(result.fills)[-1] == (3, 100.0, 12.0)
    assert [fill.used for fill in result.fills] == [1000.0, -1000.0, 1200.0]


def test_weights_beyond_the_whole_are_refused() -> None:
    given = [FLAT, bars("B", open=[10] * 6)]

    result = run(given, {0: [Signal.hold("A", 0.6), Signal.hold("B", 0.6)]})

    assert [fill.symbol for fill in result.fills] == ["A"]
    assert [(each.symbol, each.requested, each.available) for each in result.rejections] == [
        ("B", 600.0, 400.0)
    ]


def test_weights_that_make_up_the_whole_are_filled_as_far_as_capital_goes() -> None:
    # A doubles after half is put in it: half of 1500 is 750, but 500 are left.
    given = [bars("A", open=[10, 10, 20]), bars("B", open=[10] * 3)]

    result = run(given, {0: Signal.hold("A", 0.5), 1: Signal.hold("B", 0.5)})

    assert told(result.fills) == [(1, 50.0, 10.0), (2, 50.0, 10.0)]
    assert result.rejections == ()


def test_the_fees_of_weights_that_make_up_the_whole_come_out_of_them() -> None:
    given = [FLAT, bars("B", open=[10] * 6)]
    script = {0: [Signal.hold("A", 0.5), Signal.hold("B", 0.5)]}

    result = run(given, script, commission=Commission(bps=100))

    # A: 500 = n * 10 * 1.01. Then the equity is 1000 - n * 0.1, and half of it goes to B.
    first = 500 / 10.1
    assert [fill.quantity for fill in result.fills] == pytest.approx(
        [first, 0.5 * (1000 - first * 0.1) / 10.1], rel=1e-12
    )


def test_whether_weights_fit_is_not_told_by_closes_that_have_not_been() -> None:
    # 50 of A were asked for as shares: a weight of 0.5 at the open of bar 2, whatever its close will be.
    script = {0: buy(50, "A"), 1: Signal.hold("B", 0.5)}
    fills = []
    for close in (10.0, 100.0):
        given = [bars("A", open=[10, 10, 10], close=[10, 10, close]), bars("B", open=[10.0] * 3)]
        result = run(given, script, commission=Commission(per_trade=1.0))
        fills.append(told(result.fills))

    assert fills[0] == fills[1]


def test_what_reduces_is_filled_before_what_opens() -> None:
    given = [FLAT, bars("B", open=[10] * 6), bars("C", open=[10] * 6)]
    script: Script = {0: Signal.hold("C", 1.0), 1: [Signal.hold("B", 1.0), Signal.close("C")]}

    result = run(given, script)

    assert [(fill.symbol, fill.quantity) for fill in result.fills] == [("C", 100), ("C", -100), ("B", 100)]


def test_two_positions_that_flip_together_have_the_capital_of_both() -> None:
    # Long A, short B, 500 each at 10. At 8 A lost 100 and B won 100. Turned round, each is half of 1000.
    given = [bars("A", open=[10, 10, 8]), bars("B", open=[10, 10, 8])]
    script = {
        0: [Signal.hold("A", 0.5), Signal.hold("B", -0.5)],
        1: [Signal.hold("A", -0.5), Signal.hold("B", 0.5)],
    }

    result = run(given, script)

    assert result.positions == {"A": -62.5, "B": 62.5}


def test_in_what_order_signals_come_plays_no_part() -> None:
    given = [FLAT, bars("B", open=[10] * 6)]
    one, two = Signal.hold("A", 0.7), Signal.hold("B", 0.7)

    assert run(given, {0: [one, two]}).fills == run(given, {0: [two, one]}).fills


# The account itself


def test_available_is_allocated_less_used_through_everything() -> None:
    account = Account(1000.0)
    seen = []

    def note() -> None:
        assert account.available == account.allocated - account.used
        assert account.used == sum(position.entry_cost for position in account.positions.values())
        seen.append((account.allocated, account.used, account.cash))

    account.fill(0, "A", 10.0, 20.0, 2.0, {})
    note()
    account.pay(1, "dividend", "A", 5.0)
    note()
    account.split(1, "A", 2.0)
    note()
    account.fill(2, "A", -5.0, 11.0, 1.0, {})  # a quarter of 202: 50.5 come back, 55 - 1 were got
    note()
    account.adjust(3, -100.0)
    note()
    account.fill(4, "B", -10.0, 10.0, 1.0, {})
    note()
    account.fill(5, "B", 10.0, 9.0, 1.0, {})
    note()

    assert seen == [
        (1000.0, 202.0, 798.0),
        (1005.0, 202.0, 803.0),
        (1005.0, 202.0, 803.0),
        (1008.5, 151.5, 857.0),
        (908.5, 151.5, 757.0),
        (908.5, 252.5, 856.0),
        (916.5, 151.5, 765.0),
    ]
