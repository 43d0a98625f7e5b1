"""Largest remainder: whole lots, nothing lost, ties to the earliest."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trading.execution.model.lots import whole_lots


def test_largest_remainders_get_the_lots_that_are_left() -> None:
    # Quotas 2.6, 1.1, 1.3 of 5 lots: 2, 1, 1 and one left for the largest remainder.
    assert whole_lots([260, 110, 130], 500, 100) == [300, 100, 100]


def test_ties_go_to_the_earliest() -> None:
    assert whole_lots([250, 250, 250, 250], 1000, 100) == [300, 300, 200, 200]


def test_a_rounding_of_floats_does_not_break_a_tie() -> None:
    nearly = math.nextafter(250, 0)

    assert whole_lots([nearly, 250, 250, 250], 1000, 100) == [300, 300, 200, 200]


def test_whole_lots_stay_as_they_are_though_floats_say_a_little_less() -> None:
    assert whole_lots([299.99999999999994, 200.00000000000003], 500, 100) == [300, 200]


def test_the_odd_rest_goes_to_the_last_slice_that_trades() -> None:
    assert whole_lots([300, 200, 40], 547, 100) == [300, 247, 0]


def test_less_than_a_lot_is_one_slice_where_most_was_wanted() -> None:
    assert whole_lots([10, 20, 20, 5], 55, 100) == [0, 55, 0, 0]


def test_a_fraction_of_a_share_is_kept_too() -> None:
    assert whole_lots([1.0, 1.0], 2.5, 1) == [1, 1.5]


def test_an_empty_slice_stays_empty() -> None:
    assert whole_lots([0, 99, 0, 1], 1000, 1) == [0, 990, 0, 10]


def test_a_cap_moves_the_rounded_lot_to_the_next_remainder() -> None:
    # Quotas 2.6, 1.1, 1.3; the first may not have its third lot.
    assert whole_lots([260, 110, 130], 500, 100, caps=[260, 200, 200]) == [200, 100, 200]


def test_what_exceeds_a_cap_is_shared_by_those_with_room() -> None:
    assert whole_lots([800, 100, 100], 1000, 100, caps=[400, 900, 900]) == [400, 300, 300]


def test_lots_go_to_an_idle_slice_before_a_cap_is_broken() -> None:
    assert whole_lots([500, 500, 0], 1000, 100, caps=[400, 400, 200]) == [400, 400, 200]


def test_the_odd_rest_looks_for_a_slice_with_room() -> None:
    assert whole_lots([100, 100, 100], 330, 100, caps=[130, 120, 110]) == [130, 100, 100]
    assert whole_lots([100, 100, 0], 230, 100, caps=[110, 110, 50]) == [100, 100, 30]


def test_the_total_is_kept_where_caps_cannot_hold_it() -> None:
    assert whole_lots([500, 500], 1000, 100, caps=[100, 100]) == [500, 500]


def test_infinite_caps_do_not_bind() -> None:
    assert whole_lots([30, 70], 1000, 10, caps=[math.inf, math.inf]) == [300, 700]


def test_a_billion_shares_are_placed_at_once() -> None:
    assert whole_lots([1, 1e-9, 1], 10**9, 1, caps=[10, 10**9, 10]) == [10, 10**9 - 20, 10]


SIZES = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=40).filter(any)


@given(sizes=SIZES, total=st.integers(1, 10**7), lot=st.integers(1, 1000))
@example(sizes=[1e-6, 1e6], total=1, lot=1000)
def test_the_total_is_conserved_and_all_but_one_slice_are_whole_lots(
    sizes: list[float], total: int, lot: int
) -> None:
    slices = whole_lots(sizes, total, lot)

    assert sum(slices) == total
    assert all(type(size) is int and size >= 0 for size in slices)
    assert sum(size % lot != 0 for size in slices) == (total % lot != 0)
    assert all(wanted > 0 or got == 0 for wanted, got in zip(sizes, slices, strict=True))


@given(sizes=SIZES, total=st.integers(1, 10**6), lot=st.integers(1, 100))
def test_every_slice_is_within_a_lot_of_its_share(sizes: list[float], total: int, lot: int) -> None:
    """The quota rule of largest remainder, in exact fractions of the whole lots."""
    lots = total // lot
    slices = whole_lots(sizes, lots * lot, lot) if lots else [0] * len(sizes)

    scale = sum(Fraction(size) for size in sizes)
    for size, got in zip(sizes, slices, strict=True):
        assert abs(Fraction(got, lot) - lots * Fraction(size) / scale) < 1 + Fraction(1, 10**6)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 60)), min_size=1, max_size=20),
    lot=st.integers(1, 20),
    part=st.floats(0.01, 1),
)
def test_caps_hold_whenever_whole_lots_within_them_suffice(
    pairs: list[tuple[int, int]], lot: int, part: float
) -> None:
    sizes = [float(size) for size, _ in pairs]
    caps = [float(count * lot) for _, count in pairs]
    total = int(part * sum(caps)) // lot * lot
    if not total or not any(sizes):
        return

    slices = whole_lots(sizes, total, lot, caps)

    assert sum(slices) == total
    assert all(got <= cap for got, cap in zip(slices, caps, strict=True))


@pytest.mark.parametrize(("total", "lot"), [(2**60 - 1, 7), (795_167_643_954_645_264, 1), (10**24 + 1, 1)])
def test_more_lots_than_floats_can_count_are_placed_to_the_last(total: int, lot: int) -> None:
    cap = float(total // 5)

    slices = whole_lots([0.587, 0.148, 1.0, 1e-9, 0.33], total, lot, [math.inf, cap, cap, cap, math.inf])

    assert sum(slices) == total
    assert all(got <= cap for got in slices[1:4])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (([], 100, 1), r"sizes is \[\]"),
        (([0.0, 0.0], 100, 1), r"sizes is \[0.0, 0.0\]"),
        (([1.0, -2.0], 100, 1), r"sizes\[1\] is -2.0"),
        (([math.nan], 100, 1), r"sizes\[0\] is nan"),
        (([1.0, math.inf], 100, 1), r"sizes\[1\] is inf"),
        (([1.0], 0, 1), "total is 0"),
        (([1.0], math.nan, 1), "total is nan"),
        (([1.0], 100, 0), "lot_size is 0"),
        (([1.0], 100, 2.5), "lot_size is 2.5"),
        (([1.0], 100, 1, [1.0, 2.0]), "caps has 2 values: expected 1"),
        (([1.0], 100, 1, [-1.0]), r"caps\[0\] is -1.0"),
        (([1.0], 100, 1, [math.nan]), r"caps\[0\] is nan"),
    ],
)
def test_a_bad_argument_is_named_with_its_value(arguments: tuple[object, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        whole_lots(*arguments)  # type: ignore[call-overload]  # that is the point
