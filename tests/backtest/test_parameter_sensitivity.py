"""Plateau or peak: the fall of a score around the best parameters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.research.statistics.sensitivity import neighbours_of, parameter_sensitivity

# A grid of fast (5 to 25) and slow (50 to 250) averages; row 12, (15, 150), is its middle.
GRID = [(fast, slow) for fast in (5, 10, 15, 20, 25) for slow in (50, 100, 150, 200, 250)]


def test_a_plateau_falls_by_nothing() -> None:
    found = parameter_sensitivity(1.5, [1.5, 1.5, 1.5])

    assert (found.fall, found.worst_fall) == (0.0, 0.0)


def test_a_peak_falls_by_what_its_neighbours_lack() -> None:
    # The median of 0.2, 0.5, 1.0, 1.2 is 0.75, which keeps 0.375 of 2.0; the worst keeps a tenth.
    found = parameter_sensitivity(2.0, [1.0, 0.2, 1.2, 0.5])

    assert found.fall == pytest.approx(0.625)
    assert found.worst_fall == pytest.approx(0.9)
    assert (found.median, found.worst, found.neighbours) == (0.75, 0.2, 4)


def test_neighbours_that_lose_are_a_fall_above_1_and_better_ones_below_0() -> None:
    assert parameter_sensitivity(1.0, [-0.5]).fall == 1.5
    assert parameter_sensitivity(1.0, [1.5]).fall == -0.5


def test_a_best_score_that_is_a_loss_still_falls_to_a_greater_one() -> None:
    assert parameter_sensitivity(-1.0, [-1.5]).fall == 0.5


@pytest.mark.parametrize(("neighbour", "fall"), [(-0.1, math.inf), (0.0, 0.0), (0.1, -math.inf)])
def test_from_a_score_of_0_any_fall_is_infinite(neighbour: float, fall: float) -> None:
    assert parameter_sensitivity(0.0, [neighbour]).fall == fall


@given(
    best=st.floats(0.1, 10),
    scores=st.lists(st.floats(-10, 10), min_size=1, max_size=8),
    unit=st.sampled_from([0.5, 4.0, 1024.0]),
)
def test_the_unit_of_the_score_does_not_matter(best: float, scores: list[float], unit: float) -> None:
    one = parameter_sensitivity(best, scores)
    other = parameter_sensitivity(best * unit, [score * unit for score in scores])

    assert other.fall == pytest.approx(one.fall)
    assert one.worst_fall >= one.fall


def test_neighbours_are_the_steps_around_on_a_grid() -> None:
    # A step is a quarter of each parameter's range: all eight around, and nothing else.
    near = neighbours_of(GRID, 12, reach=0.25)

    assert list(near) == [6, 7, 8, 11, 13, 16, 17, 18]


def test_a_step_of_a_grid_counts_though_its_last_digits_are_rounded() -> None:
    # 0.1 * 3 is 0.30000000000000004
    steps = [[0.1 * i] for i in range(11)]

    assert list(neighbours_of(steps, 2, reach=0.1)) == [1, 3]


def test_a_parameter_that_never_changes_separates_nobody() -> None:
    assert list(neighbours_of([[1.0, 7.0], [1.05, 7.0], [2.0, 7.0]], 0)) == [1]


def test_a_lonely_point_has_no_neighbour_and_so_no_sensitivity() -> None:
    near = neighbours_of([[0.0], [10.0]], 0)

    assert len(near) == 0
    with pytest.raises(
        ValueError, match=r"neighbour_scores has shape \(0,\): expected one dimension of at least 1"
    ):
        parameter_sensitivity(1.0, [])


def test_scores_that_are_none_are_refused_by_name_and_value() -> None:
    with pytest.raises(ValueError, match="best_score is nan: expected a finite number"):
        parameter_sensitivity(math.nan, [1.0])
    with pytest.raises(ValueError, match=r"neighbour_scores\[1\] is -inf"):
        parameter_sensitivity(1.0, [1.0, -math.inf])


@pytest.mark.parametrize(
    ("centre", "reach", "message"),
    [
        (25, 0.1, "centre is 25: expected a row of the 25 points"),
        (-1, 0.1, "centre is -1: expected a whole number from 0 up"),
        (0, 1.5, r"reach is 1\.5: expected a number between 0 and 1"),
    ],
)
def test_a_centre_or_reach_that_cannot_be_is_refused(centre: int, reach: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neighbours_of(GRID, centre, reach=reach)


def test_points_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"points has shape \(2,\): expected \(points, parameters\)"):
        neighbours_of([1.0, 2.0], 0)
