"""At what price, on which bar, and how long an order waits: each bar written down by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.backtest.hand_made_bars import bars, reasons, run, told
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission, Slippage
from trading.backtest.signals import Signal, Timing


def buy(shares: float = 1.0, **order: object) -> Signal:
    return Signal(symbol="A", change=shares, **order)  # type: ignore[arg-type]  # the keywords vary


def sell(shares: float = 1.0, **order: object) -> Signal:
    return buy(-shares, **order)


# When and at what price


def test_an_order_is_filled_at_the_open_of_the_bar_after_its_decision() -> None:
    given = bars(open=[10, 11, 12], close=[10.5, 11.5, 12.5])

    result = run(given, {0: buy()})

    assert told(result.fills) == [(1, 1.0, 11.0)]


def test_an_order_for_the_close_is_filled_at_the_close_of_the_bar_after_its_decision() -> None:
    given = bars(open=[10, 11, 12], close=[10.5, 11.5, 12.5])

    result = run(given, {0: buy(timing=Timing.CLOSE)})

    assert told(result.fills) == [(1, 1.0, 11.5)]


def test_a_backtest_can_fill_every_order_at_closes() -> None:
    given = bars(open=[10, 11, 12], close=[10.5, 11.5, 12.5])

    result = run(given, {0: Signal.hold("A", 1.0)}, capital=115.0, timing=Timing.CLOSE)

    assert told(result.fills) == [(1, 10.0, 11.5)]


def test_one_order_may_ask_for_the_open_where_the_others_are_filled_at_closes() -> None:
    given = bars(open=[10, 11], close=[10.5, 11.5])

    result = run(given, {0: buy(timing=Timing.OPEN)}, timing=Timing.CLOSE)

    assert told(result.fills) == [(1, 1.0, 11.0)]


@pytest.mark.parametrize(
    ("bar", "price"),
    [
        ({"open": 10, "high": 11, "low": 9.5, "close": 10}, None),  # never as low as 9
        ({"open": 10, "high": 11, "low": 8.5, "close": 10}, 9.0),
        ({"open": 10, "high": 11, "low": 9.0, "close": 10}, 9.0),  # touched is reached
        ({"open": 8.0, "high": 9, "low": 7.0, "close": 9}, 8.0),  # the open is better than the limit
        ({"open": 10, "high": 11, "low": 10, "close": 8.8}, 9.0),  # a low recorded above the close
    ],
)
def test_a_limit_buys_at_its_price_or_a_better_open(bar: dict[str, float], price: float | None) -> None:
    given = bars(**{name: [10, value] for name, value in bar.items()})  # type: ignore[arg-type]

    result = run(given, {0: buy(limit=9.0)})

    assert told(result.fills) == ([] if price is None else [(1, 1.0, price)])


@pytest.mark.parametrize(
    ("bar", "price"),
    [
        ({"open": 10, "high": 10.5, "low": 9, "close": 10}, None),
        ({"open": 10, "high": 11.5, "low": 9, "close": 10}, 11.0),
        ({"open": 12, "high": 12.5, "low": 9, "close": 10}, 12.0),
        ({"open": 10, "high": 10, "low": 9, "close": 11.2}, 11.0),  # a high recorded below the close
    ],
)
def test_a_limit_sells_at_its_price_or_a_better_open(bar: dict[str, float], price: float | None) -> None:
    given = bars(**{name: [10, value] for name, value in bar.items()})  # type: ignore[arg-type]

    result = run(given, {0: sell(limit=11.0)})

    assert told(result.fills) == ([] if price is None else [(1, -1.0, price)])


@pytest.mark.parametrize(
    ("bar", "price"),
    [
        ({"open": 10, "high": 10.5, "low": 9, "close": 10}, None),
        ({"open": 10, "high": 11.5, "low": 9, "close": 10}, 11.0),
        ({"open": 12, "high": 12.5, "low": 9, "close": 10}, 12.0),  # the gap is paid
    ],
)
def test_a_stop_buys_at_its_price_or_a_worse_open(bar: dict[str, float], price: float | None) -> None:
    given = bars(**{name: [10, value] for name, value in bar.items()})  # type: ignore[arg-type]

    result = run(given, {0: buy(stop=11.0)})

    assert told(result.fills) == ([] if price is None else [(1, 1.0, price)])


@pytest.mark.parametrize(
    ("bar", "price"),
    [
        ({"open": 10, "high": 10.5, "low": 9.5, "close": 10}, None),
        ({"open": 10, "high": 10.5, "low": 8.5, "close": 10}, 9.0),
        ({"open": 8, "high": 10.5, "low": 7.5, "close": 10}, 8.0),
    ],
)
def test_a_stop_sells_at_its_price_or_a_worse_open(bar: dict[str, float], price: float | None) -> None:
    given = bars(**{name: [10, value] for name, value in bar.items()})  # type: ignore[arg-type]

    result = run(given, {0: sell(stop=9.0)})

    assert told(result.fills) == ([] if price is None else [(1, -1.0, price)])


# A stop with a limit: buy from 11 on, at 11.5 at most


def test_a_stop_with_a_limit_is_filled_where_its_stop_is_reached_within_its_limit() -> None:
    given = bars(open=[10, 10], high=[10, 11.2], low=[10, 9.8], close=[10, 11])

    result = run(given, {0: buy(stop=11.0, limit=11.5)})

    assert told(result.fills) == [(1, 1.0, 11.0)]


def test_a_stop_with_a_limit_does_not_follow_a_gap_beyond_its_limit() -> None:
    # It opens at 12: the stop is reached, the limit is not; on the next bar it comes back to 11.5.
    given = bars(open=[10, 12, 12], high=[10, 13, 12], low=[10, 11.8, 11], close=[10, 12, 11.2])

    result = run(given, {0: buy(stop=11.0, limit=11.5)})

    assert told(result.fills) == [(2, 1.0, 11.5)]


def test_a_stop_that_was_reached_once_is_a_limit_order_for_good() -> None:
    # After the gap to 12 the next bar opens at 10.5: below the stop, within the limit.
    given = bars(open=[10, 12, 10.5], high=[10, 12, 10.6], low=[10, 12, 10.4], close=[10, 12, 10.5])

    result = run(given, {0: buy(stop=11.0, limit=11.5)})

    assert told(result.fills) == [(2, 1.0, 10.5)]


def test_a_gap_beyond_the_stop_that_comes_back_within_the_bar_fills_at_the_limit() -> None:
    given = bars(open=[10, 12], high=[10, 12.5], low=[10, 11.4], close=[10, 12])

    result = run(given, {0: buy(stop=11.0, limit=11.5)})

    assert told(result.fills) == [(1, 1.0, 11.5)]


@pytest.mark.parametrize(("close", "filled"), [(10.4, [(1, 1.0, 10.5)]), (10.8, [])])
def test_what_was_reached_before_a_stop_within_a_bar_does_not_count_for_its_limit(
    close: float, filled: list[tuple[int, float, float]]
) -> None:
    # Buy from 11 on at 10.5 at most. The low of 10 may have come before the high of 11.2: only the close
    # came after it for certain.
    given = bars(open=[10.7, 10.7], high=[10.7, 11.2], low=[10.7, 10.0], close=[10.7, close])

    result = run(given, {0: buy(stop=11.0, limit=10.5)})

    assert told(result.fills) == filled


# Groups: a target at 12 and a stop at 9


BRACKET = (
    Signal(symbol="A", quantity=0.0, limit=12.0, group="exit"),
    Signal(symbol="A", quantity=0.0, stop=9.0, group="exit"),
)


def test_the_first_of_a_group_that_fills_cancels_the_others() -> None:
    # Bar 2 reaches the target of 12; bar 3 falls through the stop, when nothing is left to sell.
    given = bars(open=[10, 10, 11, 9.5], high=[10, 10, 12.5, 10], low=[10, 10, 10, 8], close=[10, 10, 11, 8])

    result = run(given, {0: buy(), 1: BRACKET})

    assert told(result.fills) == [(1, 1.0, 10.0), (2, -1.0, 12.0)]
    assert reasons(result) == []


def test_a_bar_that_reaches_target_and_stop_is_taken_for_the_worse_case() -> None:
    given = bars(open=[10, 10, 11], high=[10, 10, 12.5], low=[10, 10, 8], close=[10, 10, 11])

    result = run(given, {0: buy(), 1: BRACKET})

    assert told(result.fills) == [(1, 1.0, 10.0), (2, -1.0, 9.0)]


def test_an_open_beyond_the_target_fills_it_before_the_bar_can_fall_to_the_stop() -> None:
    given = bars(open=[10, 10, 12.2], high=[10, 10, 12.5], low=[10, 10, 8], close=[10, 10, 11])

    result = run(given, {0: buy(), 1: BRACKET})

    assert told(result.fills) == [(1, 1.0, 10.0), (2, -1.0, 12.2)]


def test_an_order_of_a_group_that_is_refused_leaves_the_others_waiting() -> None:
    # 200 shares at 10 cost 2000 of 1000; the stop of the same group buys 10 at 11.
    group = (buy(200.0, limit=10.0, group="in"), buy(10.0, stop=11.0, group="in"))
    given = bars(open=[10, 10, 10], high=[10, 10, 11], low=[10, 10, 10])

    result = run(given, {0: group})

    assert told(result.fills) == [(2, 10.0, 11.0)]
    assert reasons(result) == [(1, "CAPITAL")]


def test_the_rest_of_a_partly_filled_order_of_a_group_goes_on_waiting() -> None:
    # A tenth of 50 shares a bar: the target sells 5 of 10 on bar 3 and the rest on bar 4.
    given = bars(
        open=[10, 10, 10, 12, 12, 12], high=[10, 10, 10, 12, 12, 12], volume=[1e3, 1e3, 1e3, 50, 50, 50]
    )
    slippage = Slippage(max_participation=0.1)

    result = run(given, {0: buy(10.0), 1: BRACKET}, slippage=slippage)

    assert told(result.fills) == [(1, 10.0, 10.0), (3, -5.0, 12.0), (4, -5.0, 12.0)]


# How long an order waits


def test_an_order_waits_as_many_bars_as_it_is_valid() -> None:
    given = bars(open=[10, 10, 10, 8])

    result = run(given, {0: buy(limit=9.0, valid_bars=2)})

    assert told(result.fills) == []
    assert reasons(result) == [(2, "EXPIRED")]


def test_an_order_is_still_filled_on_the_last_bar_it_is_valid_for() -> None:
    given = bars(open=[10, 10, 8, 8])

    result = run(given, {0: buy(limit=9.0, valid_bars=2)})

    assert told(result.fills) == [(2, 1.0, 8.0)]


def test_bars_that_a_symbol_does_not_have_do_not_count_for_its_orders() -> None:
    given = [bars("A", open=[10, 10, 8], days=[0, 3, 4]), bars("B", open=[5] * 5)]

    result = run(given, {0: buy(limit=9.0, valid_bars=2)})

    assert told(result.fills) == [(4, 1.0, 8.0)]


def test_an_order_without_validity_waits_until_the_end_which_is_said() -> None:
    given = bars(open=[10] * 5)

    result = run(given, {0: buy(limit=9.0)})

    assert reasons(result) == [(4, "NO_MORE_BARS")]


def test_a_new_signal_replaces_the_waiting_orders_of_its_symbol() -> None:
    given = bars(open=[10, 10, 8])

    result = run(given, {0: buy(1.0, limit=9.0), 1: buy(2.0)})

    assert told(result.fills) == [(2, 2.0, 8.0)]
    assert reasons(result) == []


def test_a_new_signal_leaves_the_orders_of_other_symbols_waiting() -> None:
    given = [bars("A", open=[10, 10, 8]), bars("B", open=[5, 5, 5])]

    result = run(given, {0: buy(limit=9.0), 1: Signal(symbol="B", change=1.0)})

    assert [fill.symbol for fill in result.fills] == ["A", "B"]


def test_another_group_replaces_a_group() -> None:
    given = bars(open=[10, 10, 8])

    result = run(given, {0: buy(1.0, limit=9.0, group="one"), 1: buy(2.0, limit=9.0, group="two")})

    assert told(result.fills) == [(2, 2.0, 8.0)]


@pytest.mark.parametrize("fractional", [True, False])
def test_a_cancelled_order_is_neither_filled_nor_rejected(fractional: bool) -> None:
    given = bars(open=[10, 10, 8])

    result = run(given, {0: buy(limit=9.0), 1: Signal.cancel("A")}, fractional=fractional)

    assert result.fills == []
    assert reasons(result) == []


def test_a_cancellation_of_a_symbol_that_ends_is_no_refused_order() -> None:
    given = [bars("A", open=[10, 10]), bars("B", open=[5] * 4)]

    result = run(given, {0: buy(limit=9.0), 1: Signal.cancel("A")})

    assert reasons(result) == []


@pytest.mark.parametrize("order", [buy(), buy(limit=20.0), buy(timing=Timing.CLOSE), Signal.hold("A", 1.0)])
def test_a_decision_on_the_last_bar_is_never_filled_and_said_to_be_so(order: Signal) -> None:
    given = bars(open=[10, 10, 10])

    result = run(given, {2: order})

    assert result.fills == []
    assert reasons(result) == [(2, "NO_MORE_BARS")]
    assert result.rejections[0].signal == order


# How much


def test_a_quantity_is_what_is_held_in_the_end() -> None:
    given = bars(open=[10, 10, 10, 10])

    result = run(given, {0: Signal(symbol="A", quantity=7.0), 1: Signal(symbol="A", quantity=3.0)})

    assert told(result.fills) == [(1, 7.0, 10.0), (2, -4.0, 10.0)]


def test_what_is_held_already_is_no_order() -> None:
    given = bars(open=[10, 10, 10])

    result = run(given, {0: Signal(symbol="A", quantity=7.0), 1: Signal(symbol="A", quantity=7.0)})

    assert told(result.fills) == [(1, 7.0, 10.0)]
    assert reasons(result) == []


@pytest.mark.parametrize("fractional", [True, False])
def test_to_close_what_is_not_held_is_no_order(fractional: bool) -> None:
    given = bars(open=[10, 10])

    result = run(given, {0: Signal.close("A")}, fractional=fractional)

    assert result.fills == []
    assert reasons(result) == []


def test_a_weight_is_a_share_of_the_equity_at_the_fill() -> None:
    # 1000 at 10: half is 50 shares. At 20 the equity is 500 + 1000: half is 750, 37.5 shares.
    given = bars(open=[10, 10, 20])

    result = run(given, {0: Signal.hold("A", 0.5), 1: Signal.hold("A", 0.5)})

    assert told(result.fills) == [(1, 50.0, 10.0), (2, -12.5, 20.0)]


def test_a_weight_at_a_limit_is_a_share_of_the_equity_at_the_limit() -> None:
    # 50 shares and 500 cash. At the limit of 8 the equity is 900: 0.75 of it is 675, or 84.375 shares.
    given = bars(open=[10, 10, 10], low=[10, 10, 7])

    result = run(given, {0: Signal.hold("A", 0.5), 1: Signal(symbol="A", weight=0.75, limit=8.0)})

    assert told(result.fills)[1] == pytest.approx((2, 34.375, 8.0))


def test_sizes_and_prices_may_be_decimals() -> None:
    given = bars(open=[10, 10, 8])
    order = Signal(symbol="A", weight=Decimal("0.5"), limit=Decimal(9))  # type: ignore[arg-type]  # see above

    result = run(given, {0: order})

    assert told(result.fills) == [(2, 62.5, 8.0)]


# Whole shares


def test_whole_shares_are_cut_towards_zero() -> None:
    given = bars(open=[10, 30, 30, 30, 30])
    script = {0: Signal.hold("A", 1.0), 1: Signal(symbol="A", change=-3.7), 2: Signal.hold("A", -1.0)}

    result = run(given, script, fractional=False)

    # 1000 / 30 = 33.3; then 3 of 3.7 are sold; then the other 30 go, and 1000 / 30 = 33.3 are sold short.
    assert told(result.fills) == [(1, 33.0, 30.0), (2, -3.0, 30.0), (3, -30.0, 30.0), (3, -33.0, 30.0)]


def test_what_rounding_took_from_a_whole_number_does_not_cost_a_share() -> None:
    # 1000.5 buys exactly 1000 / 10 = 100 shares with a fee of 5 bps: 100 * 10 * 1.0005. In floats the
    # quotient may be 99.99999999999999.
    for fee in (1, 3, 5, 7, 11, 13, 17, 19, 23, 29):
        given = bars(open=[10, 10])

        result = run(
            given,
            {0: Signal.hold("A", 1.0)},
            capital=1000 * (1 + fee * 1e-4),
            fractional=False,
            commission=Commission(bps=fee),
        )

        assert told(result.fills) == [(1, 100.0, 10.0)]


def test_less_than_a_whole_share_is_refused() -> None:
    given = bars(open=[10, 10])

    result = run(given, {0: buy(0.9)}, fractional=False)

    assert result.fills == []
    assert reasons(result) == [(1, "TOO_SMALL")]


def test_a_weight_that_its_fee_uses_up_is_refused() -> None:
    given = bars(open=[10, 10])

    result = run(given, {0: Signal.hold("A", 0.01)}, commission=Commission(per_trade=15.0))

    assert result.fills == []
    assert reasons(result) == [(1, "TOO_SMALL")]


# Bad orders


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "0 sizes"),
        ({"weight": 1.0, "quantity": 1.0}, "2 sizes"),
        ({"weight": 1.0, "change": 1.0}, "2 sizes"),
        ({"weight": float("nan")}, "nan: expected a finite number"),
        ({"quantity": float("inf")}, "inf: expected a finite number"),
        ({"weight": "0.5"}, "'0.5': expected a finite number"),
        ({"weight": True}, "True: expected a finite number"),
        ({"change": 1.0, "limit": 0.0}, "limit is 0.0: expected a number above 0"),
        ({"change": 1.0, "stop": -1.0}, "stop is -1.0: expected a number above 0"),
        ({"change": 1.0, "limit": float("nan")}, "limit is nan: expected a finite number"),
        ({"change": 1.0, "valid_bars": 0}, "valid_bars is 0: expected a whole number from 1 up"),
        ({"change": 1.0, "valid_bars": 1.5}, "valid_bars is 1.5: expected a whole number from 1 up"),
        ({"weight": 1.0, "timing": "close"}, "timing is 'close': expected Timing.OPEN"),
        ({"change": 1.0, "limit": 1.0, "timing": Timing.OPEN}, "expected None for an order with limit"),
    ],
)
def test_an_order_that_makes_no_sense_is_an_error_that_names_field_and_value(
    fields: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Signal(symbol="A", **fields)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"timing": "close"}, "timing is 'close': expected Timing.OPEN or Timing.CLOSE"),
        ({"delisting_recovery": 1.5}, "delisting_recovery is 1.5: expected a share from 0 to 1"),
        ({"delisting_recovery": float("nan")}, "delisting_recovery is nan: expected a share from 0 to 1"),
    ],
)
def test_rules_that_make_no_sense_are_an_error_that_names_field_and_value(
    fields: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        BacktestConfig(**fields)  # type: ignore[arg-type]  # that is the point
