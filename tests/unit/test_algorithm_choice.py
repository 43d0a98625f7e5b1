"""Which algorithm an order gets: by its size, by what moves it up from there, or by a person's choice."""

from __future__ import annotations

import pytest

from tests.unit.orders_to_plan import CLOSE, HOURS, MINUTE, OPEN, facts_of, order_of
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.choice import LADDER, choose
from trading.execution.smart.plan import Choice

LIQUID = 100_000_000.0
"""Shares a day: so many that only the size table speaks."""


def choice_of(quantity: int, daily_volume: float = LIQUID, **changes: object) -> Choice:
    order = order_of(quantity=quantity, **{"algorithm": "auto", **changes})
    return choose(order, facts_of(daily_volume=daily_volume), HOURS, OPEN, CLOSE)


@pytest.mark.parametrize(
    ("quantity", "algorithm"),
    [
        (1, "market"),
        (499, "market"),
        (500, "twap"),
        (1_999, "twap"),
        (2_000, "vwap"),
        (4_999, "vwap"),
        (5_000, "adaptive"),
        (10_000, "adaptive"),
        (10_001, "iceberg"),
    ],
)
def test_a_liquid_symbols_order_is_chosen_by_size(quantity: int, algorithm: str) -> None:
    assert choice_of(quantity).algorithm == algorithm


@pytest.mark.parametrize(
    ("daily_volume", "algorithm"),
    [
        (400_001, "market"),  # just below 0.1 % of the day
        (400_000, "twap"),
        (80_000, "vwap"),
        (20_000, "adaptive"),
        (4_000, "iceberg"),
    ],
)
def test_a_small_order_of_an_illiquid_symbol_is_never_sent_at_once(
    daily_volume: float, algorithm: str
) -> None:
    # 400 shares: 0.1 %, 0.5 %, 2 % and 10 % of these volumes.
    assert choice_of(400, daily_volume).algorithm == algorithm


def test_an_order_that_fills_the_caps_is_worked_with_care() -> None:
    # Ten minutes of 20,000 shares at 10 % are room for 2,000: 1,200 are 60 % of it, 0.15 % of the day.
    order = order_of(quantity=1_200, algorithm="auto")

    choice = choose(order, facts_of(), HOURS, OPEN, OPEN + 10 * MINUTE)

    assert choice.algorithm == "adaptive"
    assert (
        choice.rule == "twap by size (1,200 shares), raised to adaptive (60% of what the caps have room for)"
    )


def test_nothing_is_sent_at_once_across_a_wide_spread() -> None:
    order = order_of(quantity=100, algorithm="auto")

    choice = choose(order, facts_of(daily_spread=0.25), HOURS, OPEN, CLOSE)

    assert choice.algorithm == "twap"
    assert "the spread is 0.50% of the price" in choice.rule


def test_what_is_more_than_one_slice_is_not_a_market_order() -> None:
    # At a hundredth of the volume one slice has room for 100 shares; 101 are 0.013 % of the day.
    choice = choice_of(101, 780_000.0, max_participation=0.01)

    assert choice.algorithm == "twap"
    assert "its cap needs 2 slices" in choice.rule


def test_the_numbers_the_rule_looked_at_are_recorded() -> None:
    numbers = dict(choice_of(7_800, 780_000.0).numbers)

    assert numbers == {
        "quantity": 7_800,
        "daily_volume": 780_000.0,
        "share_of_daily_volume": pytest.approx(0.01),
        "slices_needed": 8,
        "capacity": 78_000,
        "spread_over_price": pytest.approx(0.0004),
        "daily_volatility": 0.02,
    }


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_a_persons_choice_wins_and_is_recorded_as_theirs(name: str) -> None:
    choice = choice_of(7_800, 780_000.0, algorithm=name)

    assert (choice.algorithm, choice.rule) == (name, f"{name} was asked for by the order")


def test_an_unknown_algorithm_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"algorithm is 'vwop': expected one of auto, market, twap, vwap"):
        choice_of(100, algorithm="vwop")


def test_every_name_of_the_ladder_is_an_algorithm() -> None:
    assert set(LADDER) <= set(ALGORITHMS)


def test_what_market_is_chosen_for_can_be_sent_at_once() -> None:
    for quantity in (1, 100, 300, 499):
        for daily_volume in (2_000.0, 50_000.0, 499_500.0, 1_000_000.0):
            order = order_of(quantity=quantity, algorithm="auto")
            facts = facts_of(daily_volume=daily_volume, shape=(0.1, 0.4, 0.4, 0.1))
            if choose(order, facts, HOURS, OPEN, CLOSE).algorithm == "market":
                assert quantity <= 0.4 / 19.5 * daily_volume * 0.10
