"""Whether an order fits, and the words in which it is said that it does not."""

from __future__ import annotations

from fractions import Fraction

import pytest

from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.feasibility import Verdict, caps_of, judge


def verdict(order: float, volumes: list[float], constraints: ScheduleConstraints) -> Verdict:
    return judge(order, caps_of(volumes, constraints), constraints)


def test_an_order_within_the_caps_has_no_reasons_against_it() -> None:
    found = verdict(300, [1000, 1000, 1000], ScheduleConstraints())

    assert found == Verdict(executable=Fraction(300), reasons=())


def test_capacity_is_short_by_what_is_said() -> None:
    found = verdict(350, [1000, 0, 2000], ScheduleConstraints())

    assert found.reasons == ("capacity is short by 50 shares: 3 intervals take at most 300 of 350",)
    assert found.executable == 300


def test_intervals_too_thin_for_the_least_slice_are_named() -> None:
    found = verdict(200, [1000, 400, 900], ScheduleConstraints(min_slice_size=50))

    assert found.reasons == (
        "capacity is short by 10 shares: 3 intervals take at most 190 of 200; 1 of them takes less than "
        "min_slice_size 50 and stays empty",
    )


def test_a_gap_between_numbers_of_slices_is_named() -> None:
    limits = ScheduleConstraints(min_slice_size=100, max_slice_size=120)

    found = verdict(150, [100_000] * 5, limits)

    assert found.reasons == (
        "no number of slices fits 150 shares: 1 slice takes at most 120, 2 slices take at least 200",
    )
    assert found.executable == 120


def test_an_order_below_the_least_slice_is_a_gap() -> None:
    found = verdict(40, [100_000] * 5, ScheduleConstraints(min_slice_size=100))

    assert found.reasons == ("no number of slices fits 40 shares: 1 slice takes at least 100",)
    assert found.executable == 0


@pytest.mark.parametrize(
    ("order", "fits"), [(200, True), (240, True), (241, False), (299, False), (300, True)]
)
def test_gaps_lie_exactly_between_multiples(order: int, fits: bool) -> None:
    # slices of 100..120: 1 -> 100..120, 2 -> 200..240, 3 -> 300..360
    found = verdict(order, [100_000] * 5, ScheduleConstraints(min_slice_size=100, max_slice_size=120))

    assert (found.reasons == ()) is fits


def test_too_few_children_are_named_with_the_number_needed() -> None:
    found = verdict(500, [1000] * 10, ScheduleConstraints(max_children=3))

    assert found.reasons == (
        "max_children is 3: the 3 largest slices take at most 300 of 500 shares, 200 short; at least 5 are "
        "needed",
    )
    assert found.executable == 300


def test_too_few_children_and_too_little_capacity_are_both_said() -> None:
    found = verdict(500, [1000, 2000, 1000], ScheduleConstraints(max_children=1))

    assert found.reasons == (
        "capacity is short by 100 shares: 3 intervals take at most 400 of 500",
        "max_children is 1: the largest slice takes at most 200 of 500 shares, 300 short",
    )
    assert found.executable == 200


def test_numbers_beyond_reading_are_said_in_powers_of_ten() -> None:
    found = verdict(1e300, [1000], ScheduleConstraints())

    assert found.reasons == ("capacity is short by 1e+300 shares: 1 interval takes at most 100 of 1e+300",)


def test_an_odd_lot_is_infeasible_and_its_rest_is_named() -> None:
    found = verdict(1050, [50_000] * 4, ScheduleConstraints(lot_size=100))

    assert found.reasons == ("order_size 1050 is not a whole number of lots of 100: 50 shares would be left",)
    assert found.executable == 1000


def test_caps_are_rounded_down_to_whole_lots() -> None:
    # 10 % of 1990 is 199: one lot of 100 in each of three intervals.
    found = verdict(400, [1990] * 3, ScheduleConstraints(lot_size=100))

    assert found.reasons == (
        "capacity is short by 100 shares: 3 intervals take at most 300 of 400 in whole lots of 100",
    )


def test_a_cap_of_whole_lots_is_not_lost_to_a_float() -> None:
    # 0.29 * 100 is 28.999999999999996 in floats.
    assert caps_of([100], ScheduleConstraints(max_participation_rate=0.29, lot_size=29)) == [29]


def test_a_horizon_shorter_than_min_intervals_is_named() -> None:
    found = verdict(100, [1000] * 3, ScheduleConstraints(min_intervals=5))

    assert found.reasons == ("the horizon has 3 intervals: min_intervals asks for at least 5",)
    assert found.executable == 100


def test_an_order_that_uses_up_every_cap_fits() -> None:
    # In floats 0.1 * (0.1 + 0.2 + ...) falls short of the sum by a last digit.
    limits = ScheduleConstraints(max_participation_rate=0.1)

    assert verdict(0.6, [1.0, 2.0, 3.0], limits).reasons == ()
    assert verdict(290, [100] * 10, ScheduleConstraints(max_participation_rate=0.29)).reasons == ()


def test_several_reasons_are_all_said() -> None:
    found = verdict(1050, [1000, 1000], ScheduleConstraints(lot_size=100, min_intervals=3))

    assert len(found.reasons) == 3
