"""What a child may cost at most (a sale bring at least): by urgency, time, tick and the order's limit."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.unit.orders_to_plan import CLOSE, MINUTE, OPEN, order_of, quote_of, request_of
from trading.execution.orders import DeadlinePolicy, OrderKind, Side, Urgency
from trading.execution.smart.algorithm import Conditions
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.plan import ExecutionPlan
from trading.execution.smart.pricing import limit_for

TWAP = ALGORITHMS["twap"].plan(request_of())
LATE = OPEN + 3 * MINUTE
"""In the second half of the first slice."""


def price(
    urgency: Urgency,
    side: Side = Side.BUY,
    *,
    plan: ExecutionPlan = TWAP,
    late: bool = False,
    bid: str = "49.98",
    ask: str = "50.02",
    limit_price: str | None = None,
) -> str:
    limit = Decimal(limit_price) if limit_price else None
    order = order_of(urgency=urgency, side=side, limit_price=limit)
    kind, found = limit_for(order, quote_of(bid, ask), plan, at=LATE if late else OPEN)
    assert kind is OrderKind.LIMIT
    return str(found)


@pytest.mark.parametrize(
    ("urgency", "buy", "sell"),
    [
        (Urgency.LOW, "49.98", "50.02"),  # joins its own side
        (Urgency.MEDIUM, "50.00", "50.00"),  # the mid price
        (Urgency.HIGH, "50.06", "49.94"),  # across, and one spread of 0.04 more at most
    ],
)
def test_urgency_decides_how_far_a_price_goes(urgency: Urgency, buy: str, sell: str) -> None:
    assert price(urgency) == buy
    assert price(urgency, Side.SELL) == sell


@pytest.mark.parametrize(
    ("urgency", "buy"), [(Urgency.LOW, "50.00"), (Urgency.MEDIUM, "50.06"), (Urgency.HIGH, "50.06")]
)
def test_in_the_second_half_of_a_slice_the_price_goes_one_step_further(urgency: Urgency, buy: str) -> None:
    assert price(urgency, late=True) == buy


def test_a_child_may_pay_the_impact_that_its_plan_expects() -> None:
    """A slice of 3 % of its volume: across to 50.02, and three spreads of 0.04 more at most."""
    first = replace(TWAP.slices[0], quantity=300, expected_volume=10_000.0)
    plan = replace(TWAP, slices=(first, *TWAP.slices[1:]))

    assert price(Urgency.HIGH, plan=plan) == "50.14"
    assert price(Urgency.HIGH, Side.SELL, plan=plan) == "49.86"


def test_a_plan_that_makes_up_for_a_shortfall_is_priced_one_step_further() -> None:
    behind = replace(TWAP, number=2, cause="slice 3 fell short by 120 shares")

    assert price(Urgency.LOW, plan=behind) == "50.00"
    assert price(Urgency.MEDIUM, plan=behind) == "50.06"


def test_a_price_between_ticks_is_rounded_to_the_careful_side() -> None:
    assert price(Urgency.MEDIUM, bid="49.98", ask="50.01") == "49.99"
    assert price(Urgency.MEDIUM, Side.SELL, bid="49.98", ask="50.01") == "50.00"


def test_below_a_dollar_the_tick_is_a_hundredth_of_a_cent() -> None:
    assert price(Urgency.MEDIUM, bid="0.4950", ask="0.4961") == "0.4955"


def test_a_tick_may_be_given() -> None:
    found = limit_for(order_of(), quote_of("49.98", "50.11"), TWAP, at=OPEN, tick=Decimal("0.05"))

    assert found == (OrderKind.LIMIT, Decimal("50.00"))


def test_crossing_a_locked_market_may_still_pay_a_tick_more() -> None:
    assert price(Urgency.HIGH, bid="50.00", ask="50.00") == "50.01"


def test_a_sale_is_never_offered_for_nothing() -> None:
    assert price(Urgency.HIGH, Side.SELL, bid="0.0002", ask="0.0008") == "0.0001"


def test_no_price_goes_beyond_the_orders_own_limit() -> None:
    assert price(Urgency.HIGH, limit_price="50.01") == "50.01"
    assert price(Urgency.HIGH, Side.SELL, limit_price="50.00") == "50.00"
    assert price(Urgency.LOW, limit_price="60") == "49.98"


def test_the_algorithm_market_sends_market_orders() -> None:
    order = order_of(quantity=100)
    plan = ALGORITHMS["market"].plan(request_of(order))

    assert limit_for(order, quote_of(), plan, at=OPEN) == (OrderKind.MARKET, None)


def test_a_market_order_with_a_limit_is_a_limit_order_at_it() -> None:
    order = order_of(quantity=100, limit_price=Decimal("50.005"))
    plan = ALGORITHMS["market"].plan(request_of(order))

    assert limit_for(order, quote_of(), plan, at=OPEN) == (OrderKind.LIMIT, Decimal("50.00"))


def test_force_goes_to_the_market_in_the_last_slice_only() -> None:
    order = order_of(deadline_policy=DeadlinePolicy.FORCE)

    assert limit_for(order, quote_of(), TWAP, at=CLOSE - 6 * MINUTE)[0] is OrderKind.LIMIT
    assert limit_for(order, quote_of(), TWAP, at=CLOSE - 5 * MINUTE) == (OrderKind.MARKET, None)


def test_adaptive_is_more_patient_while_the_spread_is_wide() -> None:
    order = order_of()
    wide = Conditions(spread_ratio=3.0)
    first = ALGORITHMS["adaptive"].plan(request_of(order))
    plan = ALGORITHMS["adaptive"].plan(request_of(order, previous=first, conditions=wide))

    assert price(Urgency.MEDIUM, plan=first) == "50.00"
    assert price(Urgency.MEDIUM, plan=plan) == "49.98"
