"""The day so far against what was expected of it, in numbers that were worked out by hand."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.unit.orders_to_plan import HOURS, MINUTE, OPEN, facts_of, quote_of
from trading.execution.markets.market import Quote
from trading.execution.smart.conditions import PriceTrack, conditions_of


def quote_at(mid: str) -> Quote:
    price = Decimal(mid)
    return Quote(symbol="ACME", bid=price - Decimal("0.01"), ask=price + Decimal("0.01"), at=OPEN)


def track_of(mids: list[str], every: timedelta = MINUTE) -> PriceTrack:
    track = PriceTrack()
    for number, mid in enumerate(mids):
        track.note(quote_at(mid), OPEN + number * every)
    return track


def test_mid_prices_closer_than_a_minute_are_not_noted() -> None:
    track = track_of(["100"] * 7, every=timedelta(seconds=20))

    assert [at for at, _ in track.mids] == [OPEN, OPEN + MINUTE, OPEN + 2 * MINUTE]


def test_the_oldest_prices_are_forgotten_first() -> None:
    track = PriceTrack(most=3)
    for number in range(5):
        track.note(quote_at(str(100 + number)), OPEN + number * MINUTE)

    assert [mid for _, mid in track.mids] == [102.0, 103.0, 104.0]


def test_too_few_prices_say_nothing_of_volatility() -> None:
    assert track_of(["100"] * 5).daily_volatility(HOURS) is None
    assert track_of(["100"] * 6).daily_volatility(HOURS) == 0.0


def test_volatility_is_scaled_from_the_time_seen_to_a_session() -> None:
    # Up and down by 1 % each minute: five returns of ln 1.01 in 5 of 390 minutes.
    track = track_of(["100", "101"] * 3)

    assert track.daily_volatility(HOURS) == pytest.approx(math.log(1.01) * math.sqrt(390), rel=1e-12)


def test_ratios_are_against_what_was_expected() -> None:
    # Twice the spread of 0.02 $, and 300 shares where 400 were expected.
    conditions = conditions_of(
        facts_of(), HOURS, PriceTrack(), quote_of("49.98", "50.02"), traded=300, expected=400.0
    )

    assert conditions.spread_ratio == pytest.approx(2.0)
    assert conditions.volume_ratio == pytest.approx(0.75)
    assert conditions.volatility_ratio is None


def test_the_volatility_ratio_is_against_the_facts() -> None:
    track = track_of(["100", "101"] * 3)

    conditions = conditions_of(
        facts_of(daily_volatility=0.02), HOURS, track, quote_of(), traded=0, expected=0.0
    )

    assert conditions.volatility_ratio == pytest.approx(math.log(1.01) * math.sqrt(390) / 0.02)


@pytest.mark.parametrize(("traded", "expected"), [(0, 400.0), (300, 0.0)])
def test_without_volume_on_both_sides_there_is_no_ratio(traded: int, expected: float) -> None:
    conditions = conditions_of(facts_of(), HOURS, PriceTrack(), quote_of(), traded=traded, expected=expected)

    assert conditions.volume_ratio is None


def test_without_expected_volatility_there_is_no_ratio() -> None:
    conditions = conditions_of(
        facts_of(daily_volatility=0.0),
        HOURS,
        track_of(["100", "101"] * 3),
        quote_of(),
        traded=0,
        expected=0.0,
    )

    assert conditions.volatility_ratio is None
