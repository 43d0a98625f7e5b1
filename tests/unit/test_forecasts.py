"""What a forecast changes in an order, and what it never does."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.execution.forecasts import Forecast, drift_bps, tilted
from trading.execution.orders import ParentOrder, Side, Urgency

ORDER = ParentOrder(
    parent_id="",
    reference="one",
    session=date(2026, 11, 23),
    symbol="ACME",
    side=Side.BUY,
    quantity=900,
    created_at=datetime(2026, 11, 23, 14, 30, tzinfo=UTC),
)


def forecast(probability: float | None, *, acts: bool = True) -> Forecast:
    return Forecast(symbol="ACME", probability=probability, as_of=date(2026, 11, 20), acts=acts)


@pytest.mark.parametrize(
    ("side", "probability", "urgency", "factor"),
    [
        (Side.BUY, 0.6, Urgency.HIGH, 4.0),
        (Side.BUY, 0.55, Urgency.HIGH, 2.0),
        (Side.BUY, 0.52, Urgency.MEDIUM, 4**0.2),
        (Side.BUY, 0.5, Urgency.MEDIUM, 1.0),
        (Side.BUY, 0.45, Urgency.LOW, 0.5),
        (Side.BUY, 0.0, Urgency.LOW, 0.25),
        (Side.SELL, 0.6, Urgency.LOW, 0.25),
        (Side.SELL, 0.45, Urgency.HIGH, 2.0),
    ],
)
def test_what_runs_away_is_done_earlier_and_what_comes_is_waited_for(
    side: Side, probability: float, urgency: Urgency, factor: float
) -> None:
    worked = tilted(replace(ORDER, side=side), forecast(probability))

    assert worked.urgency is urgency
    assert worked.risk_aversion == pytest.approx(1e-6 * factor)


@pytest.mark.parametrize("given", [forecast(0.9, acts=False), forecast(None)])
def test_a_forecast_that_is_not_acted_on_changes_nothing(given: Forecast) -> None:
    assert tilted(ORDER, given) == ORDER


@given(
    probability=st.floats(0, 1),
    side=st.sampled_from(Side),
    urgency=st.sampled_from(Urgency),
    aversion=st.floats(0, 1e-3),
)
def test_a_forecast_moves_urgency_one_level_and_risk_aversion_by_four_at_most(
    probability: float, side: Side, urgency: Urgency, aversion: float
) -> None:
    order = replace(ORDER, side=side, urgency=urgency, risk_aversion=aversion)

    worked = tilted(order, forecast(probability))

    levels = list(Urgency)
    assert abs(levels.index(worked.urgency) - levels.index(urgency)) <= 1
    assert aversion / 4 * (1 - 1e-12) <= worked.risk_aversion <= aversion * 4 * (1 + 1e-12)
    assert replace(worked, urgency=urgency, risk_aversion=aversion) == order


def test_the_expected_move_is_that_of_two_halves_of_a_normal_distribution() -> None:
    """60 to 40, 2 % a day: 0.2 of the mean size 0.02 * sqrt(2 / pi) = 0.0159577."""
    assert drift_bps(0.6, 0.02) == pytest.approx(0.2 * 159.577, rel=1e-5)
    assert drift_bps(0.4, 0.02) == -drift_bps(0.6, 0.02)
    assert drift_bps(1.0, 1.0) == pytest.approx(1e4 * math.sqrt(2 / math.pi))
