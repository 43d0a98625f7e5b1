"""Strategies side by side, their profile, and what the pictures are made of."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest

from trading.execution.comparison.comparison import (
    OrderSizeWarning,
    StrategyComparison,
    compare_strategies,
)
from trading.execution.comparison.labels import REACH, box_around, clear_rise
from trading.execution.comparison.marks import DARK, LIGHT, mark_of, short
from trading.execution.comparison.panels import drawn, frontier_of, with_costs
from trading.execution.comparison.profile import execution_profile_chart
from trading.execution.comparison.words import cost_words, holdings_words, slices_words, undrawn_words
from trading.execution.model.almgren_chriss import generate_ac_trajectory
from trading.execution.model.baselines import (
    generate_market_order_trajectory,
    generate_twap_trajectory,
    generate_vwap_trajectory,
)
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory
from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.schedule import optimize_schedule

# What `calibrate_ac_params` returns for 50,000 shares a day, a spread of 0.02 $, 5 % and 0.50 $.
PARAMS = AlmgrenChrissParams(eta=4e-5, gamma=4e-6, sigma=0.025, epsilon=0.01, price=0.50)
TWAP = generate_twap_trajectory(5000, 10)
VWAP = generate_vwap_trajectory(5000, [1, 2, 3, 2, 1, 1, 2, 3, 2, 1])
AC = generate_ac_trajectory(5000, 10, PARAMS, 1e-5)
MARKET = generate_market_order_trajectory(5000)


def _row(comparison: StrategyComparison, name: str) -> dict[Any, Any]:
    table = comparison.summary_table()
    (row,) = table[table["strategy"] == name].to_dict("records")
    return row


def _with(trajectory: ExecutionTrajectory, **changes: Any) -> ExecutionTrajectory:
    return dataclasses.replace(trajectory, **changes)


# The table


def test_the_table_has_its_columns_in_order() -> None:
    table = compare_strategies(TWAP, AC).summary_table()

    assert list(table.columns) == [
        "strategy",
        "risk_aversion",
        "expected_cost_bps",
        "risk",
        "num_slices",
        "max_slice_pct",
        "min_slice_pct",
        "front_loaded",
        "expected_cost",
        "cost_vs_baseline",
        "risk_vs_baseline",
        "note",
    ]


def test_rows_come_in_the_order_given() -> None:
    table = compare_strategies(MARKET, TWAP, AC, VWAP).summary_table()

    assert table["strategy"].tolist() == ["market", "twap", "ac", "vwap"]


def test_a_strategy_without_params_is_costed_under_those_of_another() -> None:
    row = _row(compare_strategies(TWAP, AC), "twap")

    # Permanent 4e-6 * 5000^2 / 2 = 50, half-spread 0.01 * 5000 = 50, temporary 3.8e-5 * 10 * 500^2 = 95 $;
    # of 5000 * 0.50 = 2500 $ these are 780 bp.
    assert row["expected_cost"] == pytest.approx(195.00)
    assert row["expected_cost_bps"] == pytest.approx(780)
    # 0.025^2 * 500^2 * (9^2 + 8^2 + ... + 1^2 = 285) = 44,531.25 $^2
    assert row["risk"] == pytest.approx(math.sqrt(44_531.25))


def test_equal_slices_are_ten_percent_each_and_load_neither_end() -> None:
    row = _row(compare_strategies(TWAP, AC), "twap")

    assert row["num_slices"] == 10
    assert row["max_slice_pct"] == pytest.approx(10)
    assert row["min_slice_pct"] == pytest.approx(10)
    assert row["front_loaded"] is False


def test_the_optimum_has_the_numbers_of_its_example() -> None:
    row = _row(compare_strategies(TWAP, VWAP, AC, MARKET), "ac")

    assert row["risk_aversion"] == 1e-5
    assert round(row["expected_cost"], 2) == 195.00
    assert round(row["risk"], 2) == 210.76
    assert round(row["max_slice_pct"] * 50, 2) == 502.34  # 1 % is 50 shares
    assert row["front_loaded"] is True


def test_slices_by_volume_cost_what_their_squares_say() -> None:
    row = _row(compare_strategies(TWAP, VWAP, AC), "vwap")

    # Of 18 parts: squares 2 (1 + 4 + 9 + 4 + 1) = 38, so 100 + 3.8e-5 * 5000^2 * 38 / 324 $.
    assert row["expected_cost"] == pytest.approx(100 + 950 * 38 / 324)
    assert row["max_slice_pct"] == pytest.approx(100 * 3 / 18)
    assert row["min_slice_pct"] == pytest.approx(100 / 18)
    assert row["front_loaded"] is False  # the profile ends as it begins


def test_a_market_order_is_one_slice_without_risk() -> None:
    row = _row(compare_strategies(TWAP, AC, MARKET), "market")

    assert row["expected_cost"] == pytest.approx(1050)  # 100 + 3.8e-5 * 5000^2
    assert row["risk"] == 0
    assert (row["num_slices"], row["max_slice_pct"], row["min_slice_pct"]) == (1, 100, 100)
    assert row["front_loaded"] is False


def test_empty_intervals_are_no_slices() -> None:
    halted = generate_vwap_trajectory(100, [0, 3, 0, 1])

    row = _row(StrategyComparison([halted]), "vwap")

    assert (row["num_slices"], row["max_slice_pct"], row["min_slice_pct"]) == (2, 75, 25)
    assert row["front_loaded"] is False  # nothing in the first interval, 25 % in the last


def test_rounding_loads_no_end() -> None:
    sizes = [1 / 3 + 1e-16, 1 / 3, 1 / 3 - 1e-16]
    nearly = ExecutionTrajectory([1, 2 / 3, 1 / 3, 0], sizes, [0, 1, 2, 3])  # type: ignore[arg-type]

    assert _row(StrategyComparison([nearly]), "unnamed")["front_loaded"] is False


def test_the_printed_comparison_shows_every_column() -> None:
    comparison = compare_strategies(TWAP, AC)

    head = str(comparison).splitlines()[0]

    assert head.split() == list(comparison.summary_table().columns)


# Params and price


def test_without_params_nothing_costs_and_the_row_says_so() -> None:
    row = _row(compare_strategies(TWAP, VWAP), "twap")

    assert (row["expected_cost_bps"], row["risk"], row["expected_cost"]) == (0, 0, 0)
    assert row["note"] == "not costed: no params"


def test_without_a_price_basis_points_are_zero_and_the_row_says_so() -> None:
    priceless = dataclasses.replace(PARAMS, price=None)

    row = _row(compare_strategies(TWAP, VWAP, params=priceless), "twap")

    assert (row["expected_cost_bps"], row["note"]) == (0, "no price: cost in bp unknown")
    assert row["expected_cost"] == pytest.approx(195)


def test_a_price_given_counts_before_the_one_carried() -> None:
    # 195 $ of 5000 * 0.25 $
    assert _row(compare_strategies(TWAP, AC, price=0.25), "twap")["expected_cost_bps"] == pytest.approx(1560)


def test_a_price_that_only_one_of_them_carries_is_used_for_all() -> None:
    priceless = _with(AC, params=dataclasses.replace(PARAMS, price=None))

    row = _row(compare_strategies(priceless, AC), "ac")

    assert row["expected_cost_bps"] == pytest.approx(780, abs=0.1)


def test_different_params_are_refused() -> None:
    other = generate_twap_trajectory(5000, 10, dataclasses.replace(PARAMS, sigma=0.03))

    with pytest.raises(ValueError, match="params is None and the strategies carry 2 different ones"):
        compare_strategies(other, AC)


def test_params_given_settle_which_of_several_count() -> None:
    doubled = dataclasses.replace(PARAMS, epsilon=0.02)
    other = generate_twap_trajectory(5000, 10, dataclasses.replace(PARAMS, sigma=0.03))

    comparison = compare_strategies(other, AC, params=doubled)

    assert _row(comparison, "twap")["expected_cost"] == pytest.approx(195 + 50)
    assert {each.params for each in comparison.strategies} == {doubled}


def test_different_prices_are_refused() -> None:
    dearer = generate_twap_trajectory(5000, 10, dataclasses.replace(PARAMS, price=0.60))

    with pytest.raises(
        ValueError, match=re.escape("price is None and the strategies carry several, [0.5, 0.6]")
    ):
        compare_strategies(dearer, AC)


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(ValueError, match="price is "):
        compare_strategies(TWAP, AC, price=price)


# The baseline


def test_costs_and_risks_are_told_against_the_baseline() -> None:
    comparison = compare_strategies(TWAP, AC, MARKET, baseline="market")

    assert _row(comparison, "market")["cost_vs_baseline"] == 0
    assert _row(comparison, "twap")["cost_vs_baseline"] == pytest.approx(195 - 1050)
    assert _row(comparison, "twap")["risk_vs_baseline"] == pytest.approx(math.sqrt(44_531.25))


def test_without_a_twap_nothing_is_relative() -> None:
    table = compare_strategies(VWAP, AC).summary_table()

    assert table[["cost_vs_baseline", "risk_vs_baseline"]].isna().all(axis=None)
    assert table["expected_cost_bps"].notna().all()


def test_another_baseline_that_is_missing_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="baseline is 'twpa': expected one of twap, ac"):
        compare_strategies(TWAP, AC, baseline="twpa")


# What is compared


def test_one_strategy_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="there are 1 strategies: expected at least two"):
        compare_strategies(TWAP)


def test_equal_names_are_told_apart() -> None:
    calm, eager = (generate_ac_trajectory(5000, 10, PARAMS, aversion) for aversion in (1e-6, 1e-3))
    nameless = _with(TWAP, strategy_name="")

    table = compare_strategies(AC, calm, nameless, eager).summary_table()

    assert table["strategy"].tolist() == ["ac", "ac 2", "unnamed", "ac 3"]
    assert table["risk_aversion"].tolist() == [1e-5, 1e-6, 0, 1e-3]


def test_the_trajectories_given_stay_as_they_are() -> None:
    compare_strategies(TWAP, TWAP, AC)

    assert (TWAP.strategy_name, TWAP.params, TWAP.expected_cost) == ("twap", None, 0.0)


def test_different_order_sizes_are_warned_of() -> None:
    with pytest.warns(OrderSizeWarning, match=re.escape("differ (5,000, 4,000 shares)")):
        comparison = compare_strategies(TWAP, generate_vwap_trajectory(4000, [1, 3]), params=PARAMS)

    assert comparison.order_size is None
    assert _row(comparison, "vwap")["max_slice_pct"] == 75  # of its own order


def test_the_common_size_is_the_order() -> None:
    assert compare_strategies(TWAP, AC).order_size == 5000


def test_a_schedule_is_compared_by_its_trajectory() -> None:
    capped = optimize_schedule(5000, PARAMS, [5000.0] * 10, risk_aversion=1e-5)

    row = _row(compare_strategies(TWAP, capped), "optimal")

    # 10 % of 5,000 in each of ten intervals is the whole order: equal slices are the only schedule.
    assert row["expected_cost"] == pytest.approx(195)
    assert row["note"] == ""


def test_a_schedules_warnings_are_its_note() -> None:
    fee = optimize_schedule(5000, PARAMS, [5000.0] * 10, 1e-5, ScheduleConstraints(ticket_fee=1.0))

    row = _row(compare_strategies(TWAP, fee), "optimal")

    assert row["note"] == "ticket fees come on top of expected_cost: 10 x 1.00 $ = 10.00 $"


def test_a_schedule_that_cannot_be_is_refused_with_its_reason() -> None:
    none = optimize_schedule(6000, PARAMS, [5000.0] * 10)

    with pytest.raises(ValueError, match=r"cannot be executed \(.*1000.*\): expected a feasible one"):
        compare_strategies(TWAP, none)


def test_a_best_effort_says_what_it_leaves() -> None:
    part = optimize_schedule(6000, PARAMS, [5000.0] * 10, best_effort=True)
    whole = generate_twap_trajectory(6000, 10)

    row = _row(compare_strategies(whole, part), "optimal")

    assert row["note"].startswith("leaves 1,000 of 6,000 shares; ")
    assert row["max_slice_pct"] == pytest.approx(100 * 500 / 6000)


@pytest.mark.parametrize("name", ["holdings", "trade_sizes", "times"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_trajectory_with_nan_makes_a_row_that_says_so(name: str, value: float) -> None:
    values = getattr(TWAP, name).copy()
    values[3] = value
    broken = _with(TWAP, strategy_name="broken", **{name: values})

    row = _row(compare_strategies(TWAP, broken, AC), "broken")

    assert row["note"] == f"{name}[3] is {value:g}: nothing can be told"
    for figure in ("expected_cost_bps", "risk", "num_slices", "max_slice_pct", "cost_vs_baseline"):
        assert math.isnan(row[figure]), figure
    assert row["front_loaded"] is None


def test_a_row_with_nan_leaves_the_others_alone() -> None:
    broken = _with(VWAP, holdings=np.full(11, math.nan))

    comparison = compare_strategies(broken, TWAP, AC)

    assert _row(comparison, "twap")["expected_cost"] == pytest.approx(195)
    assert comparison.order_size == 5000


def test_an_order_of_no_shares_makes_a_row_that_says_so() -> None:
    empty = ExecutionTrajectory(np.zeros(3), np.zeros(2), np.arange(3.0), strategy_name="empty")

    row = _row(StrategyComparison([TWAP, empty]), "empty")

    assert row["note"] == "holdings[0] is 0: there is nothing to execute"


def test_costs_that_are_no_numbers_are_named() -> None:
    odd = _with(TWAP, expected_cost=math.nan, variance=-1.0, params=PARAMS)

    row = _row(StrategyComparison([odd]), "twap")

    assert row["note"] == "expected_cost is nan; variance is -1"
    assert math.isnan(row["expected_cost_bps"])
    assert math.isnan(row["risk"])


# By itself


def test_a_comparison_takes_its_parts_by_position() -> None:
    comparison = StrategyComparison([TWAP, MARKET], "market", 10_000)

    assert comparison.baseline is not None
    assert comparison.baseline.strategy_name == "market"
    assert _row(comparison, "twap")["max_slice_pct"] == pytest.approx(5)  # 500 of 10,000


def test_a_comparison_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="strategies is empty"):
        StrategyComparison([])


def test_notes_must_match_the_strategies() -> None:
    with pytest.raises(ValueError, match="notes has 1 texts: expected 2"):
        StrategyComparison([TWAP, AC], notes=["only one"])


@pytest.mark.parametrize("size", [0.0, -5.0, math.nan])
def test_an_order_size_that_is_none_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match="order_size is "):
        StrategyComparison([TWAP], "twap", size)


# The profile


def test_the_profile_has_exactly_its_columns() -> None:
    profile = execution_profile_chart(compare_strategies(TWAP, AC))

    assert list(profile.columns) == ["period", "strategy", "holdings_pct", "trade_size_pct"]


def test_the_profile_runs_from_all_to_nothing() -> None:
    profile = execution_profile_chart(compare_strategies(TWAP, VWAP))

    twap = profile[profile["strategy"] == "twap"]
    assert twap["period"].tolist() == list(range(11))
    assert twap["holdings_pct"].tolist() == pytest.approx([100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 0])
    assert twap["trade_size_pct"].tolist() == pytest.approx([0] + [10] * 10)


def test_the_profiles_trades_add_up_to_the_order() -> None:
    profile = execution_profile_chart(compare_strategies(TWAP, VWAP, AC, MARKET))

    traded = profile.groupby("strategy")["trade_size_pct"].sum()
    assert traded.to_dict() == pytest.approx(dict.fromkeys(("twap", "vwap", "ac", "market"), 100.0))


def test_a_shorter_strategy_has_fewer_periods() -> None:
    profile = execution_profile_chart(compare_strategies(TWAP, MARKET))

    market = profile[profile["strategy"] == "market"]
    assert market[["period", "holdings_pct", "trade_size_pct"]].values.tolist() == [[0, 100, 0], [1, 0, 100]]


def test_a_nan_stays_in_the_profile() -> None:
    broken = _with(TWAP, holdings=np.full(11, math.nan), strategy_name="broken")

    profile = execution_profile_chart(compare_strategies(TWAP, broken))

    held = profile[profile["strategy"] == "broken"]["holdings_pct"]
    assert held.isna().all()


# What the pictures are made of


def test_no_strategy_lies_below_the_frontier() -> None:
    strategies = with_costs(drawn(compare_strategies(TWAP, VWAP, AC, MARKET)))

    frontier = frontier_of(strategies)

    risks = [math.sqrt(each.variance) for each in frontier][::-1]
    costs = [each.expected_cost for each in frontier][::-1]
    for each in strategies:
        least = np.interp(math.sqrt(each.strategy.variance), risks, costs)
        # Between two points of a convex line the chord lies above it, by less than 0.1 % here.
        assert each.strategy.expected_cost >= least * 0.999, each.name


def test_the_frontier_runs_from_equal_slices_to_all_at_once() -> None:
    frontier = frontier_of(with_costs(drawn(compare_strategies(TWAP, AC))))

    assert frontier[0].expected_cost == pytest.approx(195)
    assert frontier[-1].expected_cost == pytest.approx(1050, rel=1e-4)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param(None, id="no params"),
        pytest.param(dataclasses.replace(PARAMS, sigma=0.0), id="no volatility"),
        pytest.param(dataclasses.replace(PARAMS, gamma=1e-3), id="eta tilde below 0"),
    ],
)
def test_without_a_frontier_there_is_none(params: AlmgrenChrissParams | None) -> None:
    comparison = compare_strategies(TWAP, VWAP, params=params)

    assert frontier_of(with_costs(drawn(comparison))) == ()


def test_marks_differ_without_their_colour() -> None:
    marks = [(mark.marker, str(mark.dashes)) for mark in map(mark_of, range(45))]

    assert len(set(marks)) == 45


def test_both_palettes_have_the_same_roles_and_no_colour_twice() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)


def _contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2: (L1 + 0.05) / (L2 + 0.05) of the relative luminances."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_letters_and_strategies_stand_out_from_the_paper(palette: dict[str, str]) -> None:
    for role in palette.keys() - {"paper", "line"}:
        assert _contrast(palette[role], palette["paper"]) >= 4.5, role  # WCAG 2 AA for text


def test_a_label_in_the_open_stays_beside_its_point() -> None:
    rise, box = clear_rise("twap", 100, 50, [box_around(100, 50, 6)], 0, 200)

    assert rise == 0
    assert box[0] == 100 + REACH


def test_a_label_moves_up_from_what_is_in_its_way() -> None:
    _, first = clear_rise("twap", 100, 50, [], 0, 200)

    rise, second = clear_rise("ac", 100, 50, [first], 0, 200)

    assert rise > 0
    assert second[1] >= first[3]


def test_a_label_moves_down_only_where_up_is_no_room() -> None:
    _, first = clear_rise("twap", 100, 50, [], 0, 57)

    rise, _ = clear_rise("ac", 100, 50, [first], 0, 57)

    assert rise < 0


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (4200, "4,200"), (780.04, "780"), (29.98, "30"), (3.456, "3.46")]
)
def test_labels_say_three_digits(value: float, text: str) -> None:
    assert short(value) == text


def test_the_pictures_are_told_in_words() -> None:
    strategies = drawn(compare_strategies(TWAP, VWAP, AC, MARKET))

    assert "twap after 5 trading days" in holdings_words(strategies)
    assert "market after 1 trading day." in holdings_words(strategies)
    assert "twap 10 slices of 10 %; vwap 10 slices of 5.56 to 16.7 %" in slices_words(strategies)
    assert "market 1,050 $ (4,200 bp), risk 0 $." in cost_words(strategies, ())


def test_what_is_not_drawn_is_named_with_the_reason() -> None:
    broken = _with(TWAP, holdings=np.full(11, math.nan), strategy_name="broken")

    words = undrawn_words(compare_strategies(TWAP, broken))

    assert words == "Not drawn: broken (holdings[0] is nan: nothing can be told)."
