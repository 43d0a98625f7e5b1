"""Positions at average cost, every number by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.valued import fill
from trading.execution.orders import Fill
from trading.portfolio.positions import Position, after_fill


def position_of(*fills: Fill) -> Position:
    position = Position()
    for each in fills:
        position = after_fill(position, each)
    return position


def test_purchases_average_their_cost() -> None:
    # 100 at 10 and 50 at 13 cost 1,650: 11 a share.
    found = position_of(fill(100, "10"), fill(50, "13"))

    assert (found.quantity, found.cost, found.average_cost) == (150, Decimal(1650), Decimal(11))


def test_a_sale_realises_against_the_average_and_leaves_the_average_as_it_was() -> None:
    # 60 of 150 shares at 11 sold at 12: 60 earned; 90 shares at 11 are left.
    found = position_of(fill(100, "10"), fill(50, "13"), fill(-60, "12"))

    assert (found.quantity, found.realised, found.average_cost) == (90, Decimal(60), Decimal(11))


def test_a_short_position_earns_when_it_is_bought_back_cheaper() -> None:
    # 100 sold at 20, 40 bought back at 18: 80 earned.
    found = position_of(fill(-100, "20"), fill(40, "18"))

    assert (found.quantity, found.cost, found.realised) == (-60, Decimal(-1200), Decimal(80))


def test_a_fill_through_zero_closes_one_side_and_opens_the_other_at_its_price() -> None:
    # 100 at 10; 150 sold at 12: 100 of them earn 200, 50 are short at 12.
    found = position_of(fill(100, "10"), fill(-150, "12"))

    assert (found.quantity, found.average_cost, found.realised) == (-50, Decimal(12), Decimal(200))


def test_a_closed_position_costs_nothing_however_often_its_cost_was_split() -> None:
    # 3 shares for 10.00: a third of it is not a whole number of anything.
    found = position_of(fill(1, "3.33"), fill(2, "3.335"), fill(-1, "4"), fill(-1, "4"), fill(-1, "4"))

    assert (found.quantity, found.cost, found.average_cost) == (0, Decimal(0), None)
    assert found.realised == Decimal(2)


def test_fees_and_rebates_are_kept_apart() -> None:
    found = position_of(fill(100, "10", fee="1.00"), fill(-100, "11", fee="-0.25"))

    assert (found.realised, found.fees) == (Decimal(100), Decimal("0.75"))


@pytest.mark.parametrize(("quantity", "earned"), [(100, 50), (-100, -50)])
def test_what_is_not_realised_is_the_price_against_the_average(quantity: int, earned: int) -> None:
    assert position_of(fill(quantity, "10")).unrealised(Decimal("10.5")) == earned


def test_a_cost_of_the_other_sign_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cost is -5 for 10 shares: expected the same sign"):
        Position(quantity=10, cost=Decimal(-5))
