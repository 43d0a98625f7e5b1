"""Each algorithm's plan against hand calculations, and what it does at the turns of a slice."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.orders_to_plan import (
    CLOSE,
    EARLY,
    FLAT,
    HOURS,
    MINUTE,
    OPEN,
    PAUSE,
    WITH_PAUSE,
    facts_of,
    order_of,
    play,
    progress_of,
    request_of,
    sizes,
)
from trading.execution.orders import ParentOrder
from trading.execution.smart.algorithm import Conditions
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.algorithms.sliced import SlicedAlgorithm
from trading.execution.smart.algorithms.twap import evenly
from trading.execution.smart.plan import ExecutionPlan, SessionHours

VOLATILE_DAY = Conditions(volatility_ratio=1.8)
FIVE = 5 * MINUTE


def plan_of(name: str, order: ParentOrder | None = None, **changes: Any) -> ExecutionPlan:
    return ALGORITHMS[name].plan(request_of(order, **changes))


# What the plans are


def test_every_algorithm_is_found_by_its_own_name() -> None:
    assert list(ALGORITHMS) == ["market", "twap", "vwap", "adaptive", "iceberg", "pov", "arrival_price"]
    assert [algorithm.name for algorithm in ALGORITHMS.values()] == list(ALGORITHMS)


def test_twap_trades_the_same_in_every_slice() -> None:
    assert sizes(plan_of("twap")) == [100] * 78


def test_the_few_lots_of_a_small_twap_are_spread_over_the_day() -> None:
    # 6 lots in 78 slices: one every 13, in the middle of them.
    found = sizes(plan_of("twap", order_of(quantity=600, lot_size=100)))

    assert [i for i, size in enumerate(found) if size] == [6, 19, 32, 45, 58, 71]


def test_a_small_order_has_fewer_slices_that_are_worth_a_ticket() -> None:
    # 700 shares of 50 $: in 78 slices 449 $ each, in 39 897 $, in 26 1,346 $, in 13 2,692 $.
    plan = plan_of("twap", order_of(quantity=700))

    assert len(plan.slices) == 13
    assert set(sizes(plan)) == {53, 54}
    assert plan.slices[0].end - plan.slices[0].start == 6 * FIVE


def test_the_last_shares_of_a_large_order_keep_its_short_slices() -> None:
    # 6 shares of 50 $ half an hour before the close: six slices to try in, not one.
    first = plan_of("twap")
    rest = plan_of("twap", quantity=6, start=CLOSE - 6 * FIVE, now=CLOSE - 6 * FIVE, previous=first, number=2)

    assert sizes(rest) == [1] * 6


def test_the_rest_of_a_small_order_keeps_its_long_slices() -> None:
    first = plan_of("twap", order_of(quantity=700))
    start = CLOSE - 12 * FIVE
    rest = plan_of("twap", quantity=100, start=start, now=start, previous=first, number=2)

    assert sizes(rest) == [50, 50]


def test_an_order_too_small_for_any_slice_has_the_longest_ones() -> None:
    # 42 shares of 50 $ are worth 2,100 $ in all: 6 whole hours from the open and the half one that is left.
    plan = plan_of("twap", order_of(quantity=42))

    assert len(plan.slices) == 7
    assert sum(sizes(plan)) == 42


def test_vwap_follows_the_volume_curve() -> None:
    # Three quarters of the day's volume in its first half: 5,850 of 7,800 shares in 39 slices.
    found = plan_of("vwap", facts=facts_of(shape=(0.75, 0.25)))

    assert sizes(found) == [150] * 39 + [50] * 39


def test_what_a_cap_cuts_off_a_twap_goes_evenly_to_the_other_slices() -> None:
    # Half of the slices trade 2,000 shares (cap 200): 39 * 200, and 31,200 over the other 39.
    facts = facts_of(daily_volume=1_000_000.0, shape=(0.078, 0.922))

    found = sizes(plan_of("twap", order_of(quantity=39_000), facts=facts))

    assert found == [200] * 39 + [800] * 39


def test_market_sends_everything_in_the_first_slice() -> None:
    assert sizes(plan_of("market", order_of(quantity=400))) == [400] + [0] * 77


def test_a_market_order_beyond_the_cap_of_one_slice_is_refused() -> None:
    plan = plan_of("market", order_of(quantity=1_001))

    assert not plan.is_feasible
    assert plan.slices == ()
    assert "there is room for 1,000" in plan.reasons[0]


def test_pov_is_planned_at_its_rate_until_it_is_done() -> None:
    plan = plan_of("pov", order_of(quantity=2_500))

    assert sizes(plan)[:4] == [1_000, 1_000, 500, 0]
    assert plan.rate == 0.10


def test_arrival_price_without_risk_aversion_is_twap() -> None:
    order = order_of(quantity=7_830, risk_aversion=0.0)

    assert sizes(plan_of("arrival_price", order)) == sizes(plan_of("twap", order))


def test_arrival_price_is_the_papers_closed_form_where_no_cap_binds() -> None:
    # Almgren and Chriss 2000, eq. 18: n_j = 2 sinh(kappa tau / 2) cosh(kappa (T - t_(j-1/2))) X
    # / sinh(kappa T) with tau = 1/78, sigma = 0.02 * 50, eta = 0.02 / 7,800, gamma = 0.02 / 78,000.
    tau, sigma, risk_aversion = 1 / 78, 1.0, 2e-5
    eta_tilde = 0.02 / 7_800 - 0.02 / 78_000 * tau / 2
    kappa = math.acosh(1 + risk_aversion * sigma**2 / eta_tilde * tau**2 / 2) / tau
    expected = [
        2 * math.sinh(kappa * tau / 2) * math.cosh(kappa * (1 - (j + 0.5) * tau)) * 7_800 / math.sinh(kappa)
        for j in range(78)
    ]

    found = sizes(plan_of("arrival_price", order_of(risk_aversion=risk_aversion)))

    assert found == pytest.approx(expected, abs=1.0)
    assert sum(found) == 7_800


def test_arrival_price_in_lots_keeps_to_a_least_slice() -> None:
    order = order_of(quantity=5_000, lot_size=100, min_slice=300, risk_aversion=1e-5)

    found = sizes(plan_of("arrival_price", order))

    assert sum(found) == 5_000
    assert all(size == 0 or size >= 300 for size in found)


def test_an_iceberg_shows_a_quarter_of_its_largest_slice_unless_told() -> None:
    # 39,000 shares are 500 a slice; a tenth of the order would be eight slices.
    assert plan_of("iceberg", order_of(quantity=39_000)).display == 125
    assert plan_of("iceberg", order_of(quantity=39_000, display_size=40)).display == 40


def test_an_iceberg_that_may_show_less_than_a_lot_is_refused() -> None:
    plan = plan_of("iceberg", order_of(quantity=20_000, lot_size=100, display_size=50))

    assert not plan.is_feasible
    assert plan.reasons == ("display_size 50 is less than one lot of 100: none can be shown",)


def test_adaptive_begins_as_vwap_and_stays_adaptive() -> None:
    plan = plan_of("adaptive", facts=facts_of(shape=(0.75, 0.25)))

    assert (plan.algorithm, plan.inner) == ("adaptive", "vwap")
    assert sizes(plan) == [150] * 39 + [50] * 39


# What they cost


def test_a_market_plan_costs_what_the_paper_says_of_an_immediate_trade() -> None:
    # Eq. 13: E = epsilon X + eta X^2 / tau, V = 0: 0.01 * 390 + 0.02 / 7,800 * 390^2 * 78 = 3.9 + 30.42.
    plan = plan_of("market", order_of(quantity=390))

    assert plan.expected_cost == pytest.approx(34.32)
    assert plan.variance == 0
    assert plan.expected_cost_bps == pytest.approx(34.32 / (390 * 50) * 1e4)


def test_a_twap_plan_costs_and_risks_what_the_paper_says_of_even_trading() -> None:
    # Eq. 10: E = gamma X^2 / 2 + epsilon X + (eta - gamma tau / 2) X^2 / T
    #           = 7.8 + 78 + (0.02 / 7,800 - 0.02 / 78,000 / 156) * 7,800^2 = 241.7.
    # Eq. 11: V = sigma^2 X^2 T (1 - 1/N) (1 - 1/(2N)) / 3 with sigma = 1, N = 78.
    plan = plan_of("twap")

    assert plan.expected_cost == pytest.approx(7.8 + 78 + (0.02 / 7_800 - 0.02 / 78_000 / 156) * 7_800**2)
    assert plan.variance == pytest.approx(7_800**2 * (1 - 1 / 78) * (1 - 1 / 156) / 3)


def test_costs_are_compared_with_the_arrival_price_once_it_is_known() -> None:
    plan = plan_of("twap", order_of(arrival_price=Decimal("25"), arrived_at=OPEN))

    assert plan.price == 25.0
    assert plan.expected_cost_bps == pytest.approx(plan.expected_cost / (25 * 7_800) * 1e4)


# When they trade


def test_a_start_within_a_slice_keeps_to_the_sessions_grid() -> None:
    plan = plan_of("twap", start=OPEN + 7 * MINUTE)

    assert plan.slices[0].start == OPEN + 7 * MINUTE
    assert plan.slices[0].end == OPEN + 10 * MINUTE
    assert plan.slices[-1].end == CLOSE


def test_a_piece_of_seconds_is_joined_to_the_slice_beside_it() -> None:
    order, end = order_of(quantity=1_600), OPEN + 20.5 * MINUTE

    plan = plan_of("twap", order, start=OPEN + 4.5 * MINUTE, end=end)

    assert [(s.start - OPEN) / MINUTE for s in plan.slices] == [4.5, 10, 15]
    assert plan.slices[-1].end == end


def test_no_slice_lies_in_a_pause_or_crosses_one() -> None:
    plan = plan_of("twap", order_of(quantity=3_320), hours=WITH_PAUSE)

    assert all(s.end <= PAUSE[0] or s.start >= PAUSE[1] for s in plan.slices)
    assert sum(sizes(plan)) == 3_320


def test_on_an_early_close_the_plan_ends_with_the_session_and_counts_on_half_the_volume() -> None:
    plan = plan_of("twap", hours=EARLY, end=EARLY.close)

    assert plan.end == EARLY.close
    assert sum(s.expected_volume for s in plan.slices) == pytest.approx(390_000)
    assert any("closes early" in warning for warning in plan.warnings)


def test_an_early_close_has_its_own_curve() -> None:
    facts = facts_of(early_shape=(0.75, 0.25))

    plan = plan_of("vwap", order_of(quantity=4_200), facts=facts, hours=EARLY, end=EARLY.close)

    assert sizes(plan) == [150] * 21 + [50] * 21


def test_slices_are_longer_where_five_minutes_have_no_room_for_a_lot() -> None:
    # 7,800 shares a day: 10 % are 10 shares in five minutes, 120 in an hour.
    order, facts = order_of(quantity=300, lot_size=100), facts_of(daily_volume=7_800.0)

    plan = plan_of("twap", order, facts=facts)

    assert plan.slices[0].end - plan.slices[0].start == timedelta(hours=1)
    assert sorted(sizes(plan)) == [0, 0, 0, 0, 100, 100, 100]


def test_the_length_of_a_slice_can_be_chosen() -> None:
    fast = SlicedAlgorithm(name="twap", divide=evenly, slice_length=timedelta(milliseconds=250))

    facts = facts_of(daily_volume=78_000_000.0)

    plan = fast.plan(request_of(order_of(quantity=40), facts=facts, end=OPEN + timedelta(seconds=10)))

    assert sizes(plan) == [1] * 40


# When it cannot be done


def test_an_order_beyond_the_caps_says_by_how_much_and_what_would_fit() -> None:
    # 78 slices of at most 1,000; at 10.3 % they hold 1,030 each, 80,340 in all.
    plan = plan_of("twap", order_of(quantity=80_000))

    assert not plan.is_feasible
    assert plan.slices == ()
    reason = plan.reasons[0]
    assert "short by 2,000 shares by 2026-11-20 21:00 UTC" in reason
    assert "max_participation 0.103" in reason
    assert "at 0.1 it needs 1.03 days" in reason


def test_the_room_that_is_named_is_the_most_there_is() -> None:
    # 10 shares in five minutes are no lot of 100; an hour has 120, and the half hour at the end 60: six lots.
    order, facts = order_of(quantity=700, lot_size=100), facts_of(daily_volume=7_800.0)

    plan = plan_of("vwap", order, facts=facts)

    assert plan.reasons[0].startswith("short by 100 shares")
    assert "room for 600 in lots of 100" in plan.reasons[0]


def test_an_order_in_no_trading_time_is_refused() -> None:
    plan = plan_of("twap", hours=WITH_PAUSE, start=PAUSE[0], end=PAUSE[1])

    assert plan.reasons == ("nothing trades between 2026-11-20 15:32 and 2026-11-20 16:30 UTC",)


def test_an_order_that_no_slices_can_make_up_is_refused() -> None:
    # Two hours with at most 120 shares each, in slices of at least 100: too many for one, too few for two.
    order, facts = order_of(quantity=150, min_slice=100), facts_of(daily_volume=7_800.0)

    plan = plan_of("twap", order, facts=facts, end=OPEN + timedelta(hours=2))

    assert not plan.is_feasible
    assert "150 shares cannot be made of slices of 0 or 100 (min_slice)" in plan.reasons[0]


def test_an_order_that_has_begun_is_planned_as_far_as_it_fits() -> None:
    previous = plan_of("twap")

    plan = plan_of("twap", previous=previous, start=CLOSE - FIVE, number=2)

    assert plan.is_feasible
    assert (plan.quantity, sizes(plan)) == (1_000, [1_000])
    assert "short by 6,800 shares" in plan.reasons[0]
    assert plan.reasons[0] in plan.warnings


def test_a_rest_below_the_least_slice_is_not_given_up() -> None:
    order = order_of(min_slice=100)

    plan = plan_of("twap", order, previous=plan_of("twap", order), quantity=30)

    assert sum(sizes(plan)) == 30
    assert any("min_slice 100" in warning for warning in plan.warnings)


@pytest.mark.parametrize("changes", [{"quantity": 0}, {"end": OPEN}])
def test_impossible_arguments_are_errors(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        plan_of("twap", **changes)


# What a person is told


def test_a_plan_says_where_its_curve_is_from_and_what_was_assumed() -> None:
    sources = (
        ("profile", "default U shape: no profile of the symbol was measured"),
        ("spread", "assumed: 2 bp of the price, at least a tick of 0.01"),
        ("age", "old: the last bar is of 2026-11-02"),
    )

    plan = plan_of("vwap", facts=facts_of(sources=sources))

    assert plan.profile == "default U shape: no profile of the symbol was measured"
    assert plan.warnings == (
        "the volume curve is not this symbol's own: default U shape: no profile of the symbol was measured",
        "the spread is assumed: 2 bp of the price, at least a tick of 0.01",
        "the facts are old: the last bar is of 2026-11-02",
    )


def test_a_plan_gives_both_laws_where_the_linear_rule_is_far_from_the_empirical_one() -> None:
    # 5,000 of 50,000 shares a day at 0.50 $ with a spread of 0.02 $, evenly over the day: eta * 5,000 =
    # 0.20 $ or 4,000 bp by the linear rule, 0.142 * 0.05 * 0.1^0.6 = 17.8 bp by the law.
    facts = facts_of(daily_volume=50_000.0, daily_spread=0.02, daily_volatility=0.05, price=0.50)

    plan = plan_of("twap", order_of(quantity=4_992, max_participation=0.2), facts=facts)

    doubt = next(warning for warning in plan.warnings if "empirical law" in warning)
    assert "3993.6 bp by the linear rule" in doubt
    assert "17.8 bp by the empirical law" in doubt


def test_a_large_order_is_called_large() -> None:
    plan = plan_of("twap", order_of(quantity=78_000))

    assert any("10.0% of a day's volume" in warning for warning in plan.warnings)


# What to do now


def test_a_slice_is_released_when_it_starts() -> None:
    plan = plan_of("twap")

    step = ALGORITHMS["twap"].step(progress_of(plan))

    assert (step.release, step.cancel, step.replan, step.slice_index) == (100, False, None, 0)


def test_nothing_is_released_before_the_plan_starts() -> None:
    plan = plan_of("twap", start=OPEN + 10 * MINUTE)

    step = ALGORITHMS["twap"].step(progress_of(plan))

    assert (step.release, step.wake_at) == (0, OPEN + 10 * MINUTE)


def test_nothing_more_is_released_while_the_slice_is_open() -> None:
    plan = plan_of("twap")

    step = ALGORITHMS["twap"].step(progress_of(plan, filled=30, leaves=70))

    assert (step.release, step.cancel) == (0, False)
    assert step.wake_at == OPEN + FIVE / 2


def test_what_is_open_is_taken_back_in_the_middle_of_a_slice_and_sent_again() -> None:
    plan, twap = plan_of("twap"), ALGORITHMS["twap"]
    middle = OPEN + FIVE / 2

    back = twap.step(progress_of(plan, now=middle, filled=30, leaves=70))
    again = twap.step(progress_of(plan, now=back.wake_at, filled=30, leaves=0))

    assert (back.cancel, back.release) == (True, 0)
    assert (again.cancel, again.release) == (False, 70)


def test_what_a_slice_has_left_open_is_cancelled_at_its_end() -> None:
    plan = plan_of("twap")

    step = ALGORITHMS["twap"].step(progress_of(plan, now=OPEN + FIVE, filled=60, leaves=40))

    assert (step.cancel, step.release, step.replan) == (True, 0, None)


def test_a_slice_that_fell_short_is_planned_anew_and_not_sent_at_once() -> None:
    plan = plan_of("twap")

    step = ALGORITHMS["twap"].step(progress_of(plan, now=OPEN + FIVE, filled=60))

    assert step.replan == "slice 1 fell short by 40 shares"
    assert step.release == 0


def test_a_late_fill_of_more_than_planned_is_planned_anew() -> None:
    plan = plan_of("twap")

    step = ALGORITHMS["twap"].step(progress_of(plan, filled=101))

    assert step.replan == "1 share more than planned were filled by slice 1"


def test_after_the_last_slice_everything_open_is_taken_back() -> None:
    plan = plan_of("twap", end=OPEN + 10 * MINUTE, quantity=200)

    step = ALGORITHMS["twap"].step(progress_of(plan, now=OPEN + 10 * MINUTE, filled=150, leaves=50))

    assert (step.cancel, step.release) == (True, 0)


def test_an_infeasible_plan_releases_nothing() -> None:
    plan = plan_of("twap", order_of(quantity=80_000))

    assert ALGORITHMS["twap"].step(progress_of(plan)).release == 0


def test_a_remainder_below_a_lot_waits_for_the_next_plan() -> None:
    order = order_of(lot_size=100)
    plan = plan_of("twap", order)

    step = ALGORITHMS["twap"].step(progress_of(plan, order, filled=37, now=OPEN + MINUTE))

    assert step.release == 0  # 63 of the slice's 100 are no lot


def test_an_iceberg_shows_nothing_more_while_a_child_is_open() -> None:
    order = order_of(quantity=39_000)
    plan, iceberg = plan_of("iceberg", order), ALGORITHMS["iceberg"]

    first = iceberg.step(progress_of(plan, order))
    waiting = iceberg.step(progress_of(plan, order, leaves=125))
    again = iceberg.step(progress_of(plan, order, filled=125))

    assert [first.release, waiting.release, again.release] == [125, 0, 125]


def test_pov_releases_its_rate_of_the_markets_volume_less_what_is_done() -> None:
    order = order_of(quantity=2_500)
    plan = plan_of("pov", order)

    progress = progress_of(plan, order, now=OPEN + MINUTE, market_volume=5_000, filled=300, leaves=50)

    assert ALGORITHMS["pov"].step(progress).release == 150


def test_pov_does_not_follow_every_trade() -> None:
    # A tenth of the slice's 1,000 shares is the least it sends.
    order = order_of(quantity=2_500)
    plan, pov = plan_of("pov", order), ALGORITHMS["pov"]

    assert pov.step(progress_of(plan, order, now=OPEN + MINUTE, market_volume=999)).release == 0
    assert pov.step(progress_of(plan, order, now=OPEN + MINUTE, market_volume=1_000)).release == 100


# Adaptive


def at_second_slice(plan: ExecutionPlan, conditions: Conditions) -> str | None:
    progress = progress_of(plan, now=OPEN + FIVE, filled=sizes(plan)[0], conditions=conditions)
    return ALGORITHMS["adaptive"].step(progress).replan


@pytest.mark.parametrize(
    ("conditions", "cause"),
    [
        (Conditions(), None),
        (Conditions(volume_ratio=1.2, spread_ratio=1.9, volatility_ratio=1.4), None),
        (VOLATILE_DAY, "volatility is 1.80 times the expected one: from vwap to arrival_price"),
        (Conditions(spread_ratio=2.5), "the spread is 2.50 times the usual one: from vwap to twap"),
        (Conditions(volume_ratio=0.5), "volume is 0.50 times the expected one, planned for 1.00 times"),
    ],
)
def test_adaptive_plans_anew_when_the_day_is_not_as_expected(
    conditions: Conditions, cause: str | None
) -> None:
    assert at_second_slice(plan_of("adaptive"), conditions) == cause


def test_adaptive_looks_only_before_a_slice_is_sent() -> None:
    plan = plan_of("adaptive")
    within = progress_of(plan, now=OPEN + 6 * MINUTE, filled=100, leaves=100, conditions=VOLATILE_DAY)

    assert ALGORITHMS["adaptive"].step(within).replan is None


def test_adaptive_keeps_its_inner_algorithm_until_the_day_is_calm_again() -> None:
    plan = plan_of("adaptive", previous=plan_of("adaptive"), conditions=VOLATILE_DAY)

    assert (plan.algorithm, plan.inner) == ("adaptive", "arrival_price")
    assert at_second_slice(plan, Conditions(volatility_ratio=1.3)) is None
    assert at_second_slice(plan, Conditions()) is None
    assert at_second_slice(plan, Conditions(volatility_ratio=1.1)) is not None


def test_adaptive_counts_on_the_volume_that_has_been_seen() -> None:
    plan = plan_of("adaptive", previous=plan_of("adaptive"), conditions=Conditions(volume_ratio=0.5))

    assert plan.slices[0].expected_volume == pytest.approx(5_000)
    assert dict(plan.choice.numbers)["volume_ratio"] == 0.5
    assert at_second_slice(plan, Conditions(volume_ratio=0.55)) is None


def test_a_volatile_day_makes_adaptive_faster() -> None:
    order = order_of(risk_aversion=1e-5)
    calm = plan_of("adaptive", order)

    volatile = plan_of("adaptive", order, previous=calm, conditions=VOLATILE_DAY)

    assert sizes(volatile)[0] > sizes(calm)[0]
    assert sizes(volatile)[-1] < sizes(calm)[-1]


def test_adaptive_keeps_its_type_in_every_plan_of_a_wild_day() -> None:
    ratios = [0.5, 2.0, 1.0]

    played = play(
        ALGORITHMS["adaptive"],
        request_of(),
        conditions=lambda now: Conditions(volume_ratio=ratios[(now - OPEN) // timedelta(minutes=30) % 3]),
    )

    assert played.filled == 7_800
    assert len(played.plans) > 10
    assert {plan.algorithm for plan in played.plans} == {"adaptive"}


# The page about them


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_page_describes_every_algorithm(name: str) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "execution-algorithms.md"

    assert f"\n## {name}\n" in page.read_text(encoding="utf-8")


# From the start to the end


@pytest.mark.parametrize("name", list(ALGORITHMS))
@pytest.mark.parametrize("hours", [HOURS, EARLY, WITH_PAUSE], ids=["full", "early close", "pause"])
@pytest.mark.parametrize(("lot_size", "shape"), [(1, FLAT), (100, (0.4, 0.1, 0.1, 0.4))])
def test_everything_is_done_when_the_market_fills_what_is_sent(
    name: str, hours: SessionHours, lot_size: int, shape: tuple[float, ...]
) -> None:
    order = order_of(quantity=400 if name == "market" else 5_430, lot_size=lot_size, algorithm=name)
    request = request_of(order, hours=hours, end=hours.close, facts=facts_of(shape=shape))

    played = play(ALGORITHMS[name], request)

    assert played.filled == order.quantity
    assert len(played.plans) == 1


def test_a_shortfall_is_spread_over_the_slices_left() -> None:
    # Half of the first slice is filled: 50 of 100 are missing, less than one share for each slice left.
    plan = plan_of("twap")

    rest = ALGORITHMS["twap"].plan(
        replace(request_of(), quantity=7_750, start=OPEN + FIVE, previous=plan, number=2)
    )

    assert set(sizes(rest)) == {100, 101}
    assert len(rest.slices) == 77
