"""Shapes of volume as numbers: the default U, other buckets, parts of a session."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.execution.profile_store import Profile
from trading.execution.smart.plan import SessionHours
from trading.execution.volume_profiles import rebucket, shape_between, u_shape

DAY = date(2026, 11, 20)
OPEN, CLOSE = datetime(2026, 11, 20, 14, 30, tzinfo=UTC), datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
HOURS = SessionHours(day=DAY, open=OPEN, close=CLOSE)
EARLY = SessionHours(day=DAY, open=OPEN, close=OPEN + timedelta(hours=3.5), is_early_close=True)

positive_shapes = st.lists(st.floats(0.0, 1e3), min_size=1, max_size=80).filter(lambda s: sum(s) > 1e-3)


def shares(values: list[float]) -> tuple[float, ...]:
    return tuple(value / sum(values) for value in values)


def test_the_default_is_a_u_that_sums_to_one() -> None:
    shape = u_shape(26)

    assert sum(shape) == pytest.approx(1, abs=1e-12)
    assert shape == pytest.approx(shape[::-1])
    assert list(shape[:13]) == sorted(shape[:13], reverse=True)


def test_the_default_gives_the_half_hours_at_the_ends_what_its_formula_says() -> None:
    """By hand: f(x) = 0.65 + 1.75 z^4 with z = 2x - 1; from 0 to 1/13 that is 0.65/13 + 0.175 (1 - (11/13)^5)
    = 0.05 + 0.175 * 0.566243 = 0.149092."""
    assert u_shape(13)[0] == pytest.approx(0.149092, abs=1e-6)
    assert u_shape(13)[-1] == pytest.approx(0.149092, abs=1e-6)


def test_the_default_lies_between_the_half_hours_of_real_symbols() -> None:
    """Shares of the first and last half hour: SPY in 2011 13.3 % and 13.8 %, AAPL 18.8 % and 13.4 %."""
    first, last = u_shape(13)[0], u_shape(13)[-1]

    assert 0.133 < first < 0.188
    assert 0.134 < last < 0.16
    assert (first + last) / 2 == pytest.approx((0.133 + 0.138 + 0.188 + 0.134) / 4, abs=0.002)


@given(st.integers(1, 400))
def test_the_default_sums_to_one_in_any_number_of_buckets(buckets: int) -> None:
    shape = u_shape(buckets)

    assert len(shape) == buckets
    assert min(shape) > 0
    assert sum(shape) == pytest.approx(1, abs=1e-12)


def test_the_default_in_fewer_buckets_is_the_sum_of_its_parts() -> None:
    fine, coarse = u_shape(78), u_shape(26)

    assert [sum(fine[3 * i : 3 * i + 3]) for i in range(26)] == pytest.approx(coarse)


@given(positive_shapes, st.integers(1, 400))
def test_other_buckets_hold_the_same_volume(values: list[float], buckets: int) -> None:
    assert sum(rebucket(values, buckets)) == pytest.approx(sum(values), rel=1e-12)


@given(positive_shapes, st.integers(1, 8))
def test_finer_buckets_and_back_are_what_they_were(values: list[float], times: int) -> None:
    back = rebucket(rebucket(values, times * len(values)), len(values))

    assert back == pytest.approx(values, abs=1e-9 * sum(values))


def test_a_bucket_that_spans_an_edge_takes_its_part_of_both() -> None:
    """Three buckets of 6, 3, 3 in two: 6 + half of 3, half of 3 + 3."""
    assert rebucket((6, 3, 3), 2) == pytest.approx((7.5, 4.5))


@pytest.mark.parametrize(
    ("shape", "buckets", "says"),
    [
        ((), 2, "shape is"),
        ((1.0, -1.0), 2, "shape is"),
        ((float("nan"),), 2, "shape is"),
        ((1.0,), 0, "buckets is"),
    ],
)
def test_what_is_no_shape_cannot_be_divided(shape: tuple[float, ...], buckets: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rebucket(shape, buckets)


@given(positive_shapes, st.integers(1, 100))
def test_the_whole_session_holds_the_whole_volume(values: list[float], n: int) -> None:
    parts = shape_between(shares(values), HOURS, OPEN, CLOSE, n)

    assert sum(parts) == pytest.approx(1, abs=1e-9)


@given(positive_shapes, st.integers(1, 389), st.integers(1, 30), st.integers(1, 30))
def test_a_session_cut_anywhere_holds_the_whole_volume(
    values: list[float], minute: int, first: int, second: int
) -> None:
    middle = OPEN + timedelta(minutes=minute)

    parts = shape_between(shares(values), HOURS, OPEN, middle, first)
    rest = shape_between(shares(values), HOURS, middle, CLOSE, second)

    assert sum(parts) + sum(rest) == pytest.approx(1, abs=1e-9)
    assert min(*parts, *rest) >= 0


def test_the_last_hour_has_the_volume_of_its_buckets() -> None:
    """An hour is four of the 26 buckets."""
    shape = u_shape(26)

    parts = shape_between(shape, HOURS, CLOSE - timedelta(hours=1), CLOSE, 4)

    assert parts == pytest.approx(shape[-4:])


def test_a_half_day_has_the_whole_shape_in_its_hours() -> None:
    parts = shape_between(u_shape(26), EARLY, EARLY.open, EARLY.close, 26)

    assert parts == pytest.approx(u_shape(26))


def test_nothing_trades_in_a_pause() -> None:
    """Three hours with the middle one closed, even volume: half before, nothing, half after."""
    pause = (OPEN + timedelta(hours=1), OPEN + timedelta(hours=2))
    hours = SessionHours(day=DAY, open=OPEN, close=OPEN + timedelta(hours=3), pauses=(pause,))

    assert shape_between((1.0,), hours, hours.open, hours.close, 3) == pytest.approx((0.5, 0.0, 0.5))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (OPEN, OPEN),
        (OPEN - timedelta(minutes=1), CLOSE),
        (OPEN, CLOSE + timedelta(minutes=1)),
        (CLOSE, OPEN),
    ],
)
def test_a_stretch_that_is_not_of_the_session_is_refused(start: datetime, end: datetime) -> None:
    with pytest.raises(ValueError, match="expected a stretch of the session"):
        shape_between((1.0,), HOURS, start, end, 2)


def test_half_a_shape_and_no_intervals_are_refused() -> None:
    with pytest.raises(ValueError, match="shape is"):
        shape_between((0.25, 0.25), HOURS, OPEN, CLOSE, 2)
    with pytest.raises(ValueError, match="n is 0"):
        shape_between((1.0,), HOURS, OPEN, CLOSE, 0)


def test_a_profile_that_does_not_sum_to_one_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="early_shape is"):
        Profile(symbol="ABC", shape=(1.0,), early_shape=(0.5,), days=5, minutes=1, first=DAY, as_of=DAY)
