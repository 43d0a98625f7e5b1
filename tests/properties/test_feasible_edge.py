"""Whether an order fits never hangs on a float's last digit, although floats decide where they can."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.feasibility import ample_caps, caps_of, judge
from trading.execution.optimum.schedule import optimize_schedule

PARAMS = AlmgrenChrissParams(eta=2.5e-6, gamma=2.5e-7, sigma=0.95, epsilon=0.0625, tau=1 / 13)

decimals = st.integers(1, 10**9).flatmap(
    lambda digits: st.sampled_from([0, 1, 2, 4]).map(lambda places: digits / 10**places)
)
volumes = st.lists(st.just(0.0) | decimals, min_size=1, max_size=40).filter(any)
rates = st.sampled_from([0.1, 0.29, 0.57, 1.0, 1 / 3, 0.07]) | st.floats(0.001, 1)
near_one = st.sampled_from([0.0, 1e-16, 1e-13, 1e-10, 2e-9, 1e-7, 0.5]).flatmap(
    lambda apart: st.sampled_from([1 - apart, 1 + apart])
)


def capacity(market: list[float], rate: float, most: float) -> Fraction:
    """Add up the caps as the decimals that a person reads."""
    caps = [Fraction(str(rate)) * Fraction(str(volume)) for volume in market]
    return sum((min(cap, Fraction(str(most))) for cap in caps), Fraction(0))


@settings(max_examples=300)
@given(volumes, rates, decimals, near_one)
def test_an_order_at_the_edge_of_capacity_fits_exactly_when_the_decimals_say_so(
    market: list[float], rate: float, most: float, part: float
) -> None:
    room = capacity(market, rate, most)
    order = float(room) * part

    schedule = optimize_schedule(order, PARAMS, market, 1e-6, ScheduleConstraints(rate, 0.0, most))

    assert schedule.feasible is (Fraction(str(order)) <= room)
    assert schedule.meets_participation_constraint is schedule.feasible


@given(volumes, rates, decimals, st.floats(0.01, 1.2))
def test_caps_in_floats_are_those_in_fractions(
    market: list[float], rate: float, most: float, part: float
) -> None:
    limits = ScheduleConstraints(rate, 0.0, most)
    order = float(capacity(market, rate, most)) * part

    floats = ample_caps(order, market, limits)

    exact = caps_of(market, limits)
    if floats is None:
        assert part > 1 - 1e-8 or Fraction(str(rate)).denominator > 2**53
    else:
        assert floats == pytest.approx([float(cap) for cap in exact], rel=5e-16, abs=0)
        assert judge(order, exact, limits).reasons == ()


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=40).filter(any), st.integers(1, 100))
def test_caps_in_floats_of_whole_volumes_are_exact(market: list[int], percent: int) -> None:
    limits = ScheduleConstraints(percent / 100)

    floats = ample_caps(0.5 * percent / 100 * sum(market), list(map(float, market)), limits)

    assert floats == [float(Fraction(percent * volume, 100)) for volume in market]
