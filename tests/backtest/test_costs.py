"""What trading costs: each fee and each slipped price by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.hand_made_bars import bars, run, told
from trading.backtest.costs import Commission, Financing, Slippage
from trading.backtest.signals import Signal


def buy(shares: float, **order: object) -> Signal:
    return Signal(symbol="A", change=shares, **order)  # type: ignore[arg-type]  # the keywords vary


# Commissions


@pytest.mark.parametrize(
    ("commission", "fee"),
    [
        (Commission(), 0.0),
        (Commission(per_trade=1.5), 1.5),
        (Commission(per_share=0.01), 1.0),  # 100 * 0.01
        (Commission(bps=5), 0.5),  # 1000 * 0.0005
        (Commission(per_trade=1.5, per_share=0.01, bps=5), 3.0),
        (Commission(bps=5, minimum=2.0), 2.0),
        (Commission(per_trade=1.5, bps=10, minimum=2.0), 2.5),
    ],
)
def test_the_fee_of_a_hundred_shares_at_ten(commission: Commission, fee: float) -> None:
    assert commission.of(100.0, 10.0) == pytest.approx(fee, rel=1e-15)


def test_nothing_traded_costs_no_minimum() -> None:
    assert Commission(per_trade=1.0, minimum=5.0).of(0.0, 10.0) == 0.0


cash = st.floats(0.0, 1e6)
fees = st.builds(
    Commission,
    per_trade=st.floats(0, 20),
    per_share=st.floats(0, 1),
    bps=st.floats(0, 500),
    minimum=st.floats(0, 50),
)


@given(fees, cash, st.floats(0.01, 1e4))
def test_what_cash_can_buy_uses_all_of_it_and_no_more(
    commission: Commission, cash: float, price: float
) -> None:
    shares = commission.affordable(cash, price)

    cost = shares * price + commission.of(shares, price)
    if shares > 0.0:
        assert cost == pytest.approx(cash, rel=1e-9)
    else:
        assert commission.of(1e-9, price) >= cash - 1e-6  # not even the fee of next to nothing


def test_all_in_pays_its_fee_out_of_the_cash() -> None:
    # 1000 = n * 10 * 1.001 + 1: n = 999 / 10.01 = 99.8002.
    result = run(
        bars(open=[10, 10]), {0: Signal.hold("A", 1.0)}, commission=Commission(per_trade=1.0, bps=10)
    )

    assert result.fills[0].quantity == pytest.approx(999 / 10.01, rel=1e-14)
    assert result.equity[1] == pytest.approx(999 / 1.001, rel=1e-14)


def test_a_round_trip_pays_both_fees() -> None:
    # 1000 - 50 * 10 - 2.5 (5 for a thousand) = 497.5; + 50 * 12 - 3 = 1094.5.
    result = run(bars(open=[10, 10, 12]), {0: buy(50), 1: Signal.close("A")}, commission=Commission(bps=50))

    assert [fill.fee for fill in result.fills] == pytest.approx([2.5, 3.0])
    assert result.final_equity == pytest.approx(1094.5, rel=1e-14)


# Slippage


def test_a_fixed_slippage_and_half_the_spread_are_added_to_a_purchase_and_taken_from_a_sale() -> None:
    # 0.05 and half of 20 bps of 100: 0.15 a share.
    slippage = Slippage(per_share=0.05, spread_bps=20)

    result = run(bars(open=[100, 100, 100]), {0: buy(1), 1: buy(-1)}, slippage=slippage)

    assert [fill.price for fill in result.fills] == pytest.approx([100.15, 99.85], rel=1e-14)
    assert result.final_equity == pytest.approx(999.7, rel=1e-14)


def test_a_stop_pays_slippage_and_a_limit_does_not() -> None:
    given_bars = bars(open=[10, 10, 10], high=[10, 11, 10], low=[10, 10, 9])
    slippage = Slippage(per_share=0.1)

    stopped = run(given_bars, {0: buy(1, stop=11.0)}, slippage=slippage)
    limited = run(given_bars, {0: buy(1, limit=9.0)}, slippage=slippage)
    both = run(given_bars, {0: buy(1, stop=11.0, limit=11.0)}, slippage=slippage)

    assert told(stopped.fills) == [(1, 1.0, 11.1)]
    assert told(limited.fills) == [(2, 1.0, 9.0)]
    assert told(both.fills) == [(1, 1.0, 11.0)]


def test_nobody_is_paid_less_than_nothing() -> None:
    result = run(bars(open=[1, 1, 1]), {0: buy(1), 1: buy(-1)}, slippage=Slippage(per_share=2.0))

    assert told(result.fills) == [(1, 1.0, 3.0), (2, -1.0, 0.0)]


def test_all_in_pays_its_slippage_out_of_the_cash() -> None:
    # 1000 / 10.1
    result = run(bars(open=[10, 10]), {0: Signal.hold("A", 1.0)}, slippage=Slippage(per_share=0.1))

    assert result.fills[0].quantity == pytest.approx(1000 / 10.1, rel=1e-12)


def test_impact_is_two_thirds_of_the_square_root_law_s_peak() -> None:
    # 1e4 * 0.02 * sqrt(0.01) = 20 bps at the peak, 13.33 on average: of 100.
    worse = Slippage(impact=1.0).per_share_at(100.0, 10.0, 1000.0, 0.02)

    assert worse == pytest.approx(100 * 1e-4 * 40 / 3, rel=1e-14)


@pytest.mark.parametrize("volume", [0.0, math.nan])
def test_impact_where_nothing_is_usually_traded_is_that_of_trading_all_of_it(volume: float) -> None:
    # 1e4 * 0.02 * sqrt(1) * 2 / 3 = 133.3 bps
    worse = Slippage(impact=1.0).per_share_at(100.0, 10.0, volume, 0.02)

    assert worse == pytest.approx(100 * 1e-4 * 400 / 3, rel=1e-14)


@pytest.mark.parametrize(
    ("prices", "volume", "splits", "price"),
    [
        # Returns of +10 % and -10 % in the two bars before: a deviation of 0.1, and a hundredth of what is
        # usually traded: 2/3 * 0.1 * 0.1 = 1/150 worse.
        ([100, 110, 99, 100], [9e9, 1000, 1000, 9e9], None, 100 * (1 + 1 / 150)),
        # The same, with two new shares for each old one from the third bar on, or from the fill's.
        ([100, 110, 49.5, 50], [9e9, 500, 1000, 9e9], {2: 2.0}, 50 * (1 + 1 / 150)),
        ([100, 110, 99, 50], [9e9, 500, 500, 9e9], {3: 2.0}, 50 * (1 + 1 / 150)),
    ],
)
def test_impact_comes_from_the_volume_and_volatility_of_the_bars_before(
    prices: list[float], volume: list[float], splits: dict[int, float] | None, price: float
) -> None:
    given_bars = bars(open=prices, volume=volume, splits=splits)
    order = buy(10 if splits != {3: 2.0} else 5)  # an order that waits through a split is restated

    result = run(given_bars, {2: order}, capital=5000.0, slippage=Slippage(impact=1.0, impact_bars=2))

    (fill,) = told(result.fills)
    assert fill == pytest.approx((3, 10.0, price), rel=1e-12)


def test_impact_does_not_know_the_bar_it_is_filled_on() -> None:
    fills = []
    for close, volume in ((100.0, 1e3), (300.0, 1e9)):
        given_bars = bars(open=[100, 110, 99, 100], close=[100, 110, 99, close], volume=[1e3] * 3 + [volume])
        result = run(given_bars, {2: buy(5)}, slippage=Slippage(impact=1.0, impact_bars=2))
        fills.append(result.fills)

    assert fills[0] == fills[1]


def test_all_in_with_impact_uses_the_cash_and_no_more() -> None:
    given_bars = bars(open=[100, 110, 99, 100], volume=1000.0)

    result = run(given_bars, {2: Signal.hold("A", 1.0)}, capital=50_000.0, slippage=Slippage(impact=2.0))

    (fill,) = result.fills
    assert fill.quantity * fill.price == pytest.approx(50_000, rel=1e-12)
    assert fill.price > 100


# Participation


def test_a_large_order_takes_its_share_of_each_bar_until_it_is_whole() -> None:
    result = run(
        bars(open=[10, 11, 12, 13, 14], volume=100.0), {0: buy(25)}, slippage=Slippage(max_participation=0.1)
    )

    assert told(result.fills) == [(1, 10.0, 11.0), (2, 10.0, 12.0), (3, 5.0, 13.0)]


def test_what_is_left_of_a_large_order_at_the_end_is_said() -> None:
    result = run(bars(open=[10, 10], volume=100.0), {0: buy(25)}, slippage=Slippage(max_participation=0.1))

    assert [(each.row, each.reason.name) for each in result.rejections] == [(1, "NO_MORE_BARS")]


def test_a_bar_without_volume_fills_nothing_and_is_no_fill() -> None:
    given_bars = bars(open=[10, 10, 11, 12], volume=[100, 100, 0, 100])

    result = run(given_bars, {0: buy(5), 1: Signal.close("A")}, slippage=Slippage(max_participation=0.1))

    assert told(result.fills) == [(1, 5.0, 10.0), (3, -5.0, 12.0)]
    assert len(result.trades) == 1


def test_a_limit_that_the_open_and_the_bar_meet_takes_its_share_once() -> None:
    result = run(
        bars(open=[10, 9, 9, 9], volume=100.0),
        {0: buy(25, limit=9.5)},
        slippage=Slippage(max_participation=0.1),
    )

    assert told(result.fills) == [(1, 10.0, 9.0), (2, 10.0, 9.0), (3, 5.0, 9.0)]


def test_the_rest_of_a_stop_is_filled_at_the_opens_that_follow() -> None:
    # It is reached at 11 and takes a tenth of the bar; the next opens at 10, below the stop.
    given_bars = bars(open=[10, 10, 10], high=[10, 11, 10], volume=100.0)

    result = run(given_bars, {0: buy(15, stop=11.0)}, slippage=Slippage(max_participation=0.1))

    assert told(result.fills) == [(1, 10.0, 11.0), (2, 5.0, 10.0)]


def test_a_flip_takes_its_share_of_the_bar_for_both_its_parts() -> None:
    # 10 a bar: 8 are held; 8 are sold and 2 sold short, then the other 6.
    given_bars = bars(open=[10, 10, 10, 10], volume=100.0)
    script = {0: buy(8), 1: Signal(symbol="A", quantity=-8.0)}

    result = run(given_bars, script, slippage=Slippage(max_participation=0.1))

    assert [(fill.row, fill.quantity) for fill in result.fills] == [(1, 8.0), (2, -8.0), (2, -2.0), (3, -6.0)]


def test_whole_shares_stay_whole_when_a_bar_fills_a_part() -> None:
    # A tenth of 55 is 5.5.
    result = run(
        bars(open=[10, 10, 10, 10], volume=55.0),
        {0: buy(12)},
        slippage=Slippage(max_participation=0.1),
        fractional=False,
    )

    assert [fill.quantity for fill in result.fills] == [5.0, 5.0, 2.0]


# Bad costs


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (Commission, "bps", -1.0),
        (Commission, "minimum", math.nan),
        (Commission, "per_trade", "1"),
        (Slippage, "per_share", -0.1),
        (Slippage, "impact", 0.0),
        (Slippage, "impact_bars", 1),
        (Slippage, "max_participation", 0.0),
        (Slippage, "max_participation", 1.5),
        (Slippage, "max_participation", math.nan),
        (Financing, "cash_rate", -0.01),
        (Financing, "borrow_rate", math.inf),
    ],
)
def test_a_cost_that_makes_no_sense_is_an_error_that_names_it(make: type, field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value!r}: expected"):
        make(**{field: value})
