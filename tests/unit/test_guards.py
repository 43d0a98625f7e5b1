"""What may leave, by hand: shares left, lots, and the share of the market's volume."""

from __future__ import annotations

from typing import Any

import pytest

from trading.execution.smart.guards import Release, allowed_release


def allowed(wanted: int = 100, **changes: Any) -> Release:
    """An order with plenty left, at a tenth of a market that has traded plenty."""
    plain: dict[str, Any] = {
        "unsent": 1_000,
        "lot_size": 1,
        "max_participation": 0.1,
        "done": 0,
        "market_volume": 1_000_000,
        "expected_volume": 0.0,
    }
    return allowed_release(wanted, **{**plain, **changes})


def test_what_no_guard_minds_leaves_as_wanted() -> None:
    assert allowed(100) == Release(100)


def test_no_more_leaves_than_is_left() -> None:
    assert allowed(100, unsent=40).quantity == 40


@pytest.mark.parametrize("unsent", [0, -5])
def test_nothing_leaves_when_nothing_is_left(unsent: int) -> None:
    assert allowed(100, unsent=unsent) == Release(0, "nothing is left to send")


@pytest.mark.parametrize("wanted", [0, -1])
def test_nothing_leaves_when_nothing_is_wanted(wanted: int) -> None:
    assert allowed(wanted) == Release(0)


def test_own_shares_stay_within_the_rate_of_what_is_traded_and_expected() -> None:
    # A tenth of 2,000 traded and 500 expected is 250; 180 are done.
    assert allowed(100, done=180, market_volume=2_000, expected_volume=500.0).quantity == 70


def test_nothing_leaves_beyond_the_rate_and_the_reason_counts() -> None:
    release = allowed(100, done=200, market_volume=2_000)

    assert release == Release(0, "participation: 200 shares done of 2000 traded")


def test_a_rate_that_a_float_cannot_hold_costs_no_share() -> None:
    # 0.29 * 100 is 28.999999999999996 in binary.
    assert allowed(100, max_participation=0.29, market_volume=100).quantity == 29


def test_whole_lots_leave() -> None:
    assert allowed(250, lot_size=100).quantity == 200


def test_less_than_a_lot_waits() -> None:
    assert allowed(90, lot_size=100) == Release(0, "less than a lot of 100 is allowed now")


def test_the_odd_rest_of_an_order_leaves_with_its_last_lots() -> None:
    assert allowed(250, lot_size=100, unsent=250).quantity == 250


def test_an_odd_rest_that_the_rate_cuts_into_waits_for_its_last_lot() -> None:
    # 230 of 250 are allowed: two lots now, the rest of 50 later.
    assert allowed(250, lot_size=100, unsent=250, market_volume=2_300).quantity == 200


def test_a_lowered_release_says_so() -> None:
    assert allowed(100, unsent=40).reason == "participation, lots or the rest of the order"
