"""Constraints, intervals and schedules: what `optimize_schedule` promises, by behaviour."""

from __future__ import annotations

import dataclasses
import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.intervals import calculate_optimal_intervals
from trading.execution.optimum.schedule import TradeSchedule, optimize_schedule

# A 0.50 $ share, 50,000 a day, spread 0.02 $, 5 % a day; intervals of a day (calibrate_ac_params' example).
PENNY = AlmgrenChrissParams(eta=4e-5, gamma=4e-6, sigma=0.025, epsilon=0.01, tau=1.0, price=0.50)
# The paper's share (Almgren and Chriss 2000, table 1) in 13 half hours.
PAPER = AlmgrenChrissParams(eta=2.5e-6, gamma=2.5e-7, sigma=0.95, epsilon=0.0625, tau=1 / 13, price=50.0)
U_SHAPE = [9.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0, 2.0, 2.0, 3.0, 4.0, 7.0, 10.0]


def sizes_of(schedule: TradeSchedule) -> list[float]:
    assert schedule.trajectory is not None
    return [float(size) for size in schedule.trajectory.trade_sizes]


def objective(schedule: TradeSchedule, risk_aversion: float) -> float:
    assert schedule.trajectory is not None
    return schedule.trajectory.expected_cost + risk_aversion * schedule.trajectory.variance


class TestConstraints:
    def test_defaults_are_those_that_stand(self) -> None:
        limits = ScheduleConstraints()

        assert limits.max_participation_rate == 0.10
        assert limits.min_slice_size == 0.0
        assert limits.max_slice_size == math.inf
        assert limits.min_intervals == 1
        assert limits.max_intervals is None
        assert (limits.lot_size, limits.max_children, limits.ticket_fee) == (None, None, 0.0)

    def test_constraints_are_frozen(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            ScheduleConstraints().min_intervals = 3  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("max_participation_rate", 0.0),
            ("max_participation_rate", 1.01),
            ("max_participation_rate", math.nan),
            ("min_slice_size", -1.0),
            ("min_slice_size", math.inf),
            ("max_slice_size", 0.0),
            ("max_slice_size", math.nan),
            ("min_intervals", 0),
            ("min_intervals", 1.5),
            ("max_intervals", 0),
            ("lot_size", 0),
            ("lot_size", 0.5),
            ("max_children", 0),
            ("ticket_fee", -0.01),
            ("ticket_fee", math.nan),
        ],
    )
    def test_a_wrong_field_is_named_with_its_value(self, field: str, value: Any) -> None:
        with pytest.raises(ValueError, match=f"{field} is {value!r}"):
            ScheduleConstraints(**{field: value})

    def test_limits_that_contradict_each_other_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"min_slice_size is 200.*max_slice_size 100"):
            ScheduleConstraints(min_slice_size=200, max_slice_size=100)
        with pytest.raises(ValueError, match=r"max_intervals is 3.*min_intervals 5"):
            ScheduleConstraints(min_intervals=5, max_intervals=3)


class TestIntervals:
    @pytest.mark.parametrize(
        ("order", "volume", "rate", "intervals"),
        [
            (290, 100, 0.29, 10),  # a float ceil says 11
            (570, 100, 0.57, 10),  # and here
            (580, 100, 0.58, 10),  # and here
            (291, 100, 0.29, 11),
            (1000, 5000, 0.10, 2),
            (1001, 5000, 0.10, 3),
            (1, 5000, 0.10, 1),
            (0.3, 1.0, 0.1, 3),
            (500, 100, 1.0, 5),
        ],
    )
    def test_the_fewest_intervals_are_exact(
        self, order: float, volume: float, rate: float, intervals: int
    ) -> None:
        assert calculate_optimal_intervals(order, volume, rate) == intervals

    def test_a_tenth_of_the_volume_is_the_default(self) -> None:
        assert calculate_optimal_intervals(5000, 5000) == 10

    def test_numbers_from_numpy_are_read_the_same(self) -> None:
        assert calculate_optimal_intervals(np.float64(290), np.float64(100), np.float64(0.29)) == 10

    @pytest.mark.parametrize("argument", ["order_size", "expected_interval_volume", "max_participation_rate"])
    @pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "ten", None])
    def test_a_wrong_argument_is_named_with_its_value(self, argument: str, value: Any) -> None:
        arguments: dict[str, Any] = {"order_size": 100, "expected_interval_volume": 100} | {argument: value}

        with pytest.raises(ValueError, match=f"{argument} is {value!r}"):
            calculate_optimal_intervals(**arguments)

    def test_more_than_the_whole_volume_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"max_participation_rate is 1\.5"):
            calculate_optimal_intervals(100, 100, 1.5)


class TestHorizon:
    def test_a_number_gives_the_fewest_intervals_that_fit(self) -> None:
        schedule = optimize_schedule(4501, PENNY, 5000)

        assert schedule.intervals_used == 10
        assert len(sizes_of(schedule)) == 10

    def test_min_intervals_lengthens_it(self) -> None:
        schedule = optimize_schedule(400, PENNY, 5000, constraints=ScheduleConstraints(min_intervals=4))

        assert schedule.intervals_used == 4

    def test_max_intervals_is_the_horizon_of_a_number(self) -> None:
        schedule = optimize_schedule(400, PENNY, 5000, 0.0, ScheduleConstraints(max_intervals=8))

        assert sizes_of(schedule) == pytest.approx([50.0] * 8, rel=1e-12)

    def test_a_profile_is_the_horizon(self) -> None:
        schedule = optimize_schedule(200, PENNY, [volume * 100 for volume in U_SHAPE])

        assert len(sizes_of(schedule)) == 13

    def test_only_the_first_max_intervals_of_a_profile_are_used(self) -> None:
        schedule = optimize_schedule(
            250, PENNY, [1000.0, 1000.0, 1000.0, 1e6], constraints=ScheduleConstraints(max_intervals=3)
        )

        assert len(sizes_of(schedule)) == 3

    def test_the_largest_slice_counts_towards_it(self) -> None:
        schedule = optimize_schedule(400, PENNY, 5000, constraints=ScheduleConstraints(max_slice_size=100))

        assert sizes_of(schedule) == [100.0] * 4

    def test_a_horizon_beyond_all_measure_is_infeasible(self) -> None:
        schedule = optimize_schedule(1e9, PENNY, 1.0)

        assert not schedule.feasible
        assert schedule.warnings == (
            "the horizon would be 10000000000 intervals, more than the 100000 that are planned; end it "
            "earlier with max_intervals",
        )


class TestOptimum:
    def test_it_keeps_the_cap_that_the_closed_form_breaks(self) -> None:
        """On 5000 shares in ten intervals of 5000 the unconstrained first slice is 502.34 > 500."""
        schedule = optimize_schedule(5000, PENNY, 5000, 1e-5)

        assert schedule.meets_participation_constraint
        assert sizes_of(schedule) == pytest.approx([500.0] * 10)

    def test_without_risk_aversion_it_is_twap(self) -> None:
        schedule = optimize_schedule(1300, PAPER, 1e5, 0.0, ScheduleConstraints(max_intervals=13))

        assert sizes_of(schedule) == pytest.approx([100.0] * 13, rel=1e-12)

    def test_without_risk_aversion_under_caps_it_fills_like_water(self) -> None:
        # caps 10, 20, 100, 100; 150 shares: 10 + 20 + 60 + 60
        schedule = optimize_schedule(150, PENNY, [100, 200, 1000, 1000], 0.0)

        assert sizes_of(schedule) == pytest.approx([10, 20, 60, 60], rel=1e-12)

    def test_two_slices_are_those_of_hand_calculation(self) -> None:
        """The least of a (n1^2 + n2^2) + r n2^2 is at n1 = X (a + r) / (2 a + r); r = lambda sigma^2 tau."""
        a, r = 4e-5 - 2e-6, 1e-2 * 0.025**2
        schedule = optimize_schedule(1000, PENNY, 1e5, 1e-2, ScheduleConstraints(max_intervals=2))

        assert sizes_of(schedule)[0] == pytest.approx(1000 * (a + r) / (2 * a + r), rel=1e-12)

    def test_aversion_to_risk_trades_earlier(self) -> None:
        limits = ScheduleConstraints(max_intervals=13)
        firsts = [
            sizes_of(optimize_schedule(1e5, PAPER, 1e6, risk, limits))[0] for risk in (0, 1e-7, 1e-6, 1e-5)
        ]

        assert firsts == sorted(firsts)
        assert firsts[0] < firsts[-1]

    def test_a_halted_interval_trades_nothing(self) -> None:
        schedule = optimize_schedule(150, PENNY, [1000, 0, 1000])

        assert sizes_of(schedule)[1] == 0.0
        assert schedule.meets_participation_constraint

    def test_the_last_intervals_may_stay_empty(self) -> None:
        schedule = optimize_schedule(100, PENNY, [1000, 1000, 0, 0])

        assert schedule.intervals_used == 2
        assert len(sizes_of(schedule)) == 4

    def test_its_trajectory_says_how_it_was_made(self) -> None:
        trajectory = optimize_schedule(
            1000, PAPER, 1e5, 2e-6, ScheduleConstraints(max_intervals=4)
        ).trajectory

        assert trajectory is not None
        assert trajectory.strategy_name == "optimal"
        assert trajectory.risk_aversion == 2e-6
        assert trajectory.params == PAPER
        assert list(trajectory.times) == pytest.approx([0, 1 / 13, 2 / 13, 3 / 13, 4 / 13])
        assert trajectory.holdings[0] == 1000
        assert trajectory.holdings[-1] == 0

    def test_cost_and_variance_are_the_papers(self) -> None:
        """Two equal slices of 50 a day apart (hand calculation).

        E = gamma X^2/2 + epsilon X + eta~/tau (50^2 + 50^2) = 0.02 + 1 + 0.19; V = sigma^2 tau 50^2 = 1.5625.
        """
        trajectory = optimize_schedule(100, PENNY, 500, 0.0).trajectory

        assert trajectory is not None
        assert trajectory.expected_cost == pytest.approx(0.02 + 1.0 + 0.19)
        assert trajectory.variance == pytest.approx(1.5625)

    def test_max_slice_pct_is_percent_of_the_order(self) -> None:
        schedule = optimize_schedule(150, PENNY, [100, 200, 1000, 1000], 0.0)

        assert schedule.max_slice_pct == pytest.approx(40.0)  # 60 of 150
        assert optimize_schedule(1, PENNY, 1000).max_slice_pct == 100.0

    def test_an_order_that_fills_every_cap_is_executed(self) -> None:
        schedule = optimize_schedule(
            290, PENNY, [100] * 10, 1e-6, ScheduleConstraints(max_participation_rate=0.29)
        )

        assert schedule.feasible
        assert sizes_of(schedule) == pytest.approx([29.0] * 10)

    def test_a_profile_may_be_an_array_or_a_list(self) -> None:
        as_list = optimize_schedule(150, PENNY, [1000, 700, 1000])
        as_array = optimize_schedule(150, PENNY, np.array([1000, 700, 1000]))

        assert sizes_of(as_list) == sizes_of(as_array)

    def test_the_schedule_is_frozen_and_feasible_is_its_last_field(self) -> None:
        schedule = optimize_schedule(100, PENNY, 1000)

        with pytest.raises(dataclasses.FrozenInstanceError):
            schedule.feasible = False  # type: ignore[misc]
        assert [field.name for field in dataclasses.fields(TradeSchedule)][-1] == "feasible"
        assert schedule.warnings == ()


class TestLots:
    def test_every_slice_is_a_whole_number_of_lots(self) -> None:
        schedule = optimize_schedule(
            2300, PAPER, [size * 2000 for size in U_SHAPE], 1e-6, ScheduleConstraints(lot_size=100)
        )

        assert sum(sizes_of(schedule)) == 2300
        assert all(size % 100 == 0 for size in sizes_of(schedule))

    def test_lots_of_one_share_round_the_answer_in_fractions(self) -> None:
        limits = ScheduleConstraints(max_intervals=13)
        fractions = sizes_of(optimize_schedule(98_765, PAPER, 1e6, 1e-6, limits))

        lots = sizes_of(optimize_schedule(98_765, PAPER, 1e6, 1e-6, dataclasses.replace(limits, lot_size=1)))

        assert sum(lots) == 98_765
        assert max(abs(lot - size) for lot, size in zip(lots, fractions, strict=True)) <= 1

    def test_a_limit_on_children_is_kept_where_there_are_too_many_lots_to_visit(self) -> None:
        """250,000 lots in 10 slices: equal ones at lambda 0, the first ten (prefix property)."""
        limits = ScheduleConstraints(lot_size=1, max_children=10, max_intervals=40)

        schedule = optimize_schedule(250_000, PAPER, 1e6, 0.0, limits)

        assert sizes_of(schedule) == [25_000.0] * 10 + [0.0] * 30
        assert schedule.warnings == ()


class TestFractionsWithPatterns:
    """Without lots: which intervals trade is then searched for, their sizes follow."""

    def test_210_ties_go_to_the_earliest_pattern(self) -> None:
        # 400 shares in slices of exactly 100, ten intervals, no risk: C(10, 4) = 210 equal schedules.
        limits = ScheduleConstraints(min_slice_size=100, max_slice_size=100)

        schedule = optimize_schedule(400, PENNY, [1e6] * 10, 0.0, limits)

        assert sizes_of(schedule) == pytest.approx([100.0] * 4 + [0.0] * 6)
        assert schedule.intervals_used == 4

    def test_slices_below_the_least_size_are_not_made(self) -> None:
        limits = ScheduleConstraints(min_slice_size=30)

        sizes = sizes_of(optimize_schedule(100, PENNY, [1000] * 10, 1e-3, limits))

        assert sum(sizes) == pytest.approx(100)
        assert all(size == 0 or size >= 30 for size in sizes)
        assert sizes[3:] == [0.0] * 7

    def test_a_fee_makes_the_number_of_slices_an_outcome(self) -> None:
        """n equal slices of 1200 / n cost a 1200^2 / n + fee n, a = 3.8e-5: n = sqrt(54.72 / fee) = 6.04."""
        schedule = optimize_schedule(
            1200, PENNY, 1e6, 0.0, ScheduleConstraints(max_intervals=20, ticket_fee=1.5)
        )

        assert sizes_of(schedule) == pytest.approx([200.0] * 6 + [0.0] * 14)

    def test_fees_are_named_beside_the_models_cost(self) -> None:
        schedule = optimize_schedule(
            1200, PENNY, 1e6, 0.0, ScheduleConstraints(max_intervals=20, ticket_fee=1.5)
        )

        # E = 4e-6 * 1200^2 / 2 + 0.01 * 1200 + 3.8e-5 * 6 * 200^2
        assert schedule.trajectory is not None
        assert schedule.trajectory.expected_cost == pytest.approx(2.88 + 12.0 + 9.12)
        assert schedule.warnings == ("ticket fees come on top of expected_cost: 6 x 1.50 $ = 9.00 $",)

    @pytest.mark.parametrize("risk_aversion", [0.0, 1e-6, 1e-5])
    @pytest.mark.parametrize("children", [2, 3])
    def test_the_best_children_are_those_of_trying_all(self, risk_aversion: float, children: int) -> None:
        volumes = [5e5, 2e5, 3e5, 1e5, 6e5, 9e5]
        limits = ScheduleConstraints(max_children=children)
        tried = [
            optimize_schedule(
                80_000, PAPER, [v if k in on else 0.0 for k, v in enumerate(volumes)], risk_aversion
            )
            for on in combinations(range(6), children)
        ]

        best = optimize_schedule(80_000, PAPER, volumes, risk_aversion, limits)

        least = min(objective(one, risk_aversion) for one in tried if one.feasible)
        assert objective(best, risk_aversion) == pytest.approx(least, rel=1e-12)
        assert best.warnings == ()

    @pytest.mark.parametrize("risk_aversion", [1e-2, 1.0, 1e4])
    def test_a_tiny_least_slice_changes_nothing_however_great_the_aversion(
        self, risk_aversion: float
    ) -> None:
        """kappa T is 60 to 60,000 here: prices fall by hundreds of powers of ten towards the end."""
        limits = ScheduleConstraints(max_intervals=78, max_participation_rate=1.0)
        plain = optimize_schedule(1e5, PAPER, 2e4, risk_aversion, limits)

        least = optimize_schedule(
            1e5, PAPER, 2e4, risk_aversion, dataclasses.replace(limits, min_slice_size=1e-6)
        )

        assert objective(least, risk_aversion) == pytest.approx(objective(plain, risk_aversion), rel=1e-9)
        assert objective(least, risk_aversion) >= objective(plain, risk_aversion) * (1 - 1e-12)

    def test_a_long_horizon_is_answered_in_time_if_not_with_proof(self) -> None:
        limits = ScheduleConstraints(max_children=900, min_slice_size=50)

        schedule = optimize_schedule(1e5, PAPER, [2000.0 + k % 7 for k in range(3000)], 1e-6, limits)

        assert schedule.meets_participation_constraint
        assert schedule.trajectory is not None
        assert schedule.trajectory.num_slices <= 900

    def test_an_optimum_that_is_not_proven_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trading.execution.optimum.patterns.MOST_LOOKS", 40)
        limits = ScheduleConstraints(max_children=4)

        schedule = optimize_schedule(100_000, PAPER, [v * 5e4 for v in U_SHAPE], 1e-6, limits)

        assert schedule.feasible
        assert schedule.meets_participation_constraint
        assert "not proven optimal" in schedule.warnings[0]


class TestInfeasible:
    def test_it_does_not_raise_and_returns_no_schedule_that_pretends(self) -> None:
        schedule = optimize_schedule(1000, PENNY, [1000, 2000])

        assert schedule == TradeSchedule(
            trajectory=None,
            constraints=ScheduleConstraints(),
            intervals_used=0,
            max_slice_pct=0.0,
            meets_participation_constraint=False,
            warnings=("capacity is short by 700 shares: 2 intervals take at most 300 of 1000",),
            feasible=False,
        )

    def test_150_shares_in_slices_of_100_to_120_are_a_gap(self) -> None:
        limits = ScheduleConstraints(min_slice_size=100, max_slice_size=120)

        schedule = optimize_schedule(150, PENNY, 1e6, constraints=limits)

        assert not schedule.feasible
        assert schedule.warnings == (
            "no number of slices fits 150 shares: 1 slice takes at most 120, 2 slices take at least 200",
        )

    def test_best_effort_executes_the_most_and_stays_infeasible(self) -> None:
        schedule = optimize_schedule(1000, PENNY, [1000, 2000], best_effort=True)

        assert sizes_of(schedule) == [100.0, 200.0]
        assert schedule.trajectory is not None
        assert list(schedule.trajectory.holdings) == [1000.0, 900.0, 700.0]
        assert not schedule.feasible
        assert not schedule.meets_participation_constraint
        assert schedule.warnings[1] == "best effort: executes 300 of 1000 shares, leaves 700"

    def test_best_effort_leaves_the_odd_lot(self) -> None:
        schedule = optimize_schedule(
            350, PENNY, [5000] * 3, 0.0, ScheduleConstraints(lot_size=100), best_effort=True
        )

        assert sizes_of(schedule) == [100.0, 100.0, 100.0]
        assert not schedule.feasible

    def test_best_effort_in_a_gap_executes_the_fewer_slices(self) -> None:
        limits = ScheduleConstraints(min_slice_size=100, max_slice_size=120, max_intervals=5)

        schedule = optimize_schedule(150, PENNY, 1e6, 0.0, limits, best_effort=True)

        assert sizes_of(schedule) == pytest.approx([120.0, 0, 0, 0, 0])

    def test_best_effort_for_nothing_executable_has_no_trajectory(self) -> None:
        limits = ScheduleConstraints(min_slice_size=100)

        schedule = optimize_schedule(40, PENNY, 1e6, constraints=limits, best_effort=True)

        assert schedule.trajectory is None
        assert not schedule.feasible

    def test_best_effort_of_a_feasible_order_is_the_optimum(self) -> None:
        plain = optimize_schedule(150, PENNY, [1000, 700, 1000])

        assert sizes_of(optimize_schedule(150, PENNY, [1000, 700, 1000], best_effort=True)) == sizes_of(plain)


class TestBadInput:
    @pytest.mark.parametrize("order", [0, -5, math.nan, math.inf, "many", None])
    def test_a_wrong_order_size_is_named(self, order: Any) -> None:
        with pytest.raises(ValueError, match=f"order_size is {order!r}"):
            optimize_schedule(order, PENNY, 1000)

    @pytest.mark.parametrize("volume", [0, -5.0, math.nan, math.inf, "much", None])
    def test_a_wrong_volume_is_named(self, volume: Any) -> None:
        with pytest.raises(ValueError, match=f"expected_interval_volume is {volume!r}"):
            optimize_schedule(100, PENNY, volume)

    @pytest.mark.parametrize("volume", [-1.0, math.nan, math.inf])
    def test_the_wrong_interval_of_a_profile_is_named(self, volume: float) -> None:
        with pytest.raises(ValueError, match=rf"expected_interval_volume\[1\] is {volume!r}"):
            optimize_schedule(100, PENNY, [1000.0, volume, 1000.0])

    def test_no_volume_anywhere_is_refused(self) -> None:
        with pytest.raises(ValueError, match="expected_interval_volume is 0 in all 3 intervals"):
            optimize_schedule(100, PENNY, [0, 0, 0])

    @pytest.mark.parametrize("profile", [[], [[1000, 1000]], np.zeros((2, 2)) + 1000])
    def test_a_wrong_shape_is_named(self, profile: Any) -> None:
        with pytest.raises(ValueError, match="expected_interval_volume has shape"):
            optimize_schedule(100, PENNY, profile)

    def test_a_ragged_profile_is_named(self) -> None:
        ragged: Any = [1000, [1000, 2000]]

        with pytest.raises(ValueError, match=r"expected_interval_volume is \[1000, \[1000, 2000\]\]"):
            optimize_schedule(100, PENNY, ragged)

    def test_a_negative_risk_aversion_is_refused_with_the_reason(self) -> None:
        with pytest.raises(ValueError, match=r"risk_aversion is -1e-06.*risk would be sought"):
            optimize_schedule(100, PENNY, 1000, -1e-6)

    def test_a_risk_aversion_that_is_no_number_is_refused(self) -> None:
        with pytest.raises(ValueError, match="risk_aversion is nan"):
            optimize_schedule(100, PENNY, 1000, math.nan)

    def test_a_risk_beyond_all_numbers_is_refused(self) -> None:
        with pytest.raises(ValueError, match="risk_aversion \\* sigma"):
            optimize_schedule(100, AlmgrenChrissParams(eta=1.0, gamma=0.0, sigma=1e200), 1000, 1e-6)

    def test_more_lots_than_floats_can_count_are_refused(self) -> None:
        lots = ScheduleConstraints(lot_size=10)

        with pytest.raises(ValueError, match=r"^order_size is 1e\+17: expected at most 9.0072e\+16 shares"):
            optimize_schedule(1e17, PENNY, [1e18, 1e18], 1e-9, lots)
        assert optimize_schedule(1e16, PENNY, [1e18, 1e18], 1e-9, lots).feasible

    def test_weights_too_far_apart_for_floats_are_refused(self) -> None:
        params = AlmgrenChrissParams(eta=4e-5, gamma=0.0, sigma=0.025, tau=1e300)

        for limits in (ScheduleConstraints(), ScheduleConstraints(lot_size=10, ticket_fee=1.0)):
            with pytest.raises(ValueError, match=r"^risk \* tau / \(eta_tilde / tau\) is inf"):
                optimize_schedule(100, params, [1000, 1000], 1e-5, limits)

    def test_an_aversion_that_is_too_small_to_matter_is_none(self) -> None:
        assert sizes_of(optimize_schedule(200, PENNY, [2000, 2000], 5e-324)) == [100, 100]

    def test_a_cost_that_falls_with_speed_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"eta - gamma\*tau/2"):
            optimize_schedule(100, AlmgrenChrissParams(eta=1e-6, gamma=4e-6, sigma=0.1), 1000)
