"""What holds for the cost of every order."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.measured_orders import fill_of, order_of, plan_of
from trading.execution.measures import Window, measure, shortfall
from trading.execution.orders import Fill, ParentOrder, ParentState, Side

cents = st.integers(100, 100_000).map(lambda number: Decimal(number) / 100)


@st.composite
def worked(draw: st.DrawFn) -> tuple[ParentOrder, list[Fill], Decimal]:
    """An order, its fills (never more than it), and the price at its end."""
    sizes = draw(st.lists(st.integers(1, 5_000), max_size=8))
    left = draw(st.integers(0 if sizes else 1, 5_000))
    side = draw(st.sampled_from(Side))
    fills = [
        fill_of(size, draw(cents), number, side=side, fee=Decimal(draw(st.integers(-50, 500))) / 100)
        for number, size in enumerate(sizes)
    ]
    order = order_of(
        side=side,
        quantity=sum(sizes) + left,
        decision_price=draw(cents),
        arrival_price=draw(cents),
        state=ParentState.EXPIRED if left else ParentState.COMPLETED,
    )
    return order, fills, draw(cents)


@given(worked())
def test_the_parts_add_up_to_the_paper_portfolio_less_the_real_one(
    case: tuple[ParentOrder, list[Fill], Decimal],
) -> None:
    order, fills, end = case
    found = shortfall(order, fills, end)
    assert found is not None
    assert order.decision_price is not None

    # Perold (1988): all shares bought at the decision price and held to the end, against what was done.
    paper = order.side.sign * order.quantity * (end - order.decision_price)
    gains = sum((fill.quantity * (end - fill.price) for fill in fills), Decimal(0))
    real = order.side.sign * gains - sum((fill.fee for fill in fills), Decimal(0))
    assert found.total == paper - real
    assert found.total == found.delay + found.since_arrival + found.fees


@given(worked())
def test_a_sale_at_the_same_prices_costs_what_the_purchase_gains(
    case: tuple[ParentOrder, list[Fill], Decimal],
) -> None:
    order, fills, end = case
    mirror = replace(order, side=Side.SELL if order.side is Side.BUY else Side.BUY)
    one, other = (measure(each, [], fills, Window(end_price=end, vwap=end)) for each in (order, mirror))
    assert one.shortfall is not None
    assert other.shortfall is not None

    for part in ("delay", "execution", "opportunity"):
        assert getattr(one.shortfall, part) == -getattr(other.shortfall, part)
    assert one.shortfall.fees == other.shortfall.fees
    if fills:
        assert one.slippage_vwap_bps == pytest.approx(-(other.slippage_vwap_bps or 0.0))


@given(worked())
def test_the_average_price_is_between_the_cheapest_and_the_dearest_fill(
    case: tuple[ParentOrder, list[Fill], Decimal],
) -> None:
    order, fills, end = case
    average = measure(order, [], fills, Window(end_price=end)).average_price

    if fills:
        prices = [fill.price for fill in fills]
        # A mean of equal prices may differ from them in the 28th digit.
        assert average is not None
        assert min(prices) - Decimal("1e-20") <= average <= max(prices) + Decimal("1e-20")
    else:
        assert average is None


@given(worked(), st.integers(2, 9))
def test_in_another_currency_the_dollars_scale_and_the_basis_points_stay(
    case: tuple[ParentOrder, list[Fill], Decimal], rate: int
) -> None:
    order, fills, end = case
    plan = plan_of()
    one = measure(order, [plan], fills, Window(end_price=end))
    assert order.decision_price is not None
    assert order.arrival_price is not None
    dearer = replace(
        order, decision_price=order.decision_price * rate, arrival_price=order.arrival_price * rate
    )
    other = measure(
        dearer,
        [replace(plan, expected_cost=plan.expected_cost * rate, variance=plan.variance * rate**2)],
        [replace(fill, price=fill.price * rate, fee=fill.fee * rate) for fill in fills],
        Window(end_price=end * rate),
    )

    assert one.shortfall is not None
    assert other.shortfall is not None
    assert other.shortfall.total == one.shortfall.total * rate
    assert other.shortfall_bps == pytest.approx(one.shortfall_bps, abs=1e-9)
    assert other.z_score == pytest.approx(one.z_score, abs=1e-9)


@given(worked(), st.randoms(use_true_random=False))
def test_neither_the_order_of_the_fills_nor_their_division_matters(
    case: tuple[ParentOrder, list[Fill], Decimal], source: random.Random
) -> None:
    order, fills, end = case
    halves = [
        replace(fill, quantity=part, fee=fee)
        for fill in fills
        for part, fee in ((fill.quantity // 2, Decimal(0)), (fill.quantity - fill.quantity // 2, fill.fee))
        if part
    ]
    source.shuffle(halves)

    assert measure(order, [], halves, Window(end_price=end)) == measure(
        order, [], fills, Window(end_price=end)
    )


@given(worked())
def test_nothing_filled_has_no_price_and_no_slippage(case: tuple[ParentOrder, list[Fill], Decimal]) -> None:
    order, _, end = case
    found = measure(order, [plan_of()], (), Window(end_price=end, vwap=end, twap=end, volume=1_000))

    assert (found.average_price, found.filled, found.participation) == (None, 0, 0.0)
    assert (found.slippage_arrival_bps, found.slippage_vwap_bps, found.slippage_twap_bps) == (None,) * 3
