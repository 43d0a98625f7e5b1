"""What holds for every plan and every step, whatever the order, the day and the progress."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.orders_to_plan import (
    EARLY,
    FLAT,
    HOURS,
    WITH_PAUSE,
    facts_of,
    order_of,
    play,
    progress_of,
    request_of,
    sizes,
)
from trading.execution.facts import MarketFacts
from trading.execution.smart.algorithm import Conditions, PlanRequest, Progress
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.algorithms.apportion import round_to_lots, water_fill
from trading.execution.smart.plan import ExecutionPlan
from trading.execution.smart.planning import session_days

NAMES = st.sampled_from(list(ALGORITHMS))
RATIOS = st.none() | st.floats(0.01, 100.0)
CONDITIONS = st.builds(Conditions, volume_ratio=RATIOS, spread_ratio=RATIOS, volatility_ratio=RATIOS)


@st.composite
def days(draw: st.DrawFn) -> MarketFacts:
    weights = draw(st.lists(st.integers(0, 20), min_size=1, max_size=8).filter(any))
    shape = tuple(weight / sum(weights) for weight in weights)
    return facts_of(
        daily_volume=draw(st.floats(500.0, 5e7)),
        daily_spread=draw(st.floats(0.0001, 1.0)),
        daily_volatility=draw(st.floats(0.0, 0.2)),
        price=draw(st.floats(0.1, 1000.0)),
        shape=shape,
    )


@st.composite
def requests(draw: st.DrawFn, /, minutes: int = 390, **given: int) -> PlanRequest:
    """minutes: the longest horizon. given: fields of the order that are not drawn."""
    hours = draw(st.sampled_from([HOURS, EARLY, WITH_PAUSE]))
    seconds = int((hours.close - hours.open).total_seconds())
    start = draw(st.integers(0, seconds - 1))
    end = min(start + draw(st.integers(1, 60 * minutes) | st.just(60 * minutes)), seconds)
    facts = draw(days())
    part = draw(st.floats(1e-6, 0.2))
    order = order_of(
        algorithm=draw(NAMES),
        quantity=max(1, int(part * facts.daily_volume)),
        lot_size=given.get("lot_size", draw(st.sampled_from([1, 1, 7, 100]))),
        min_slice=given.get("min_slice", draw(st.sampled_from([0, 0, 3, 50, 100, 550]))),
        max_participation=draw(st.sampled_from([0.01, 0.1, 0.29, 1.0])),
        risk_aversion=draw(st.sampled_from([0.0, 1e-6, 1e-3])),
        display_size=draw(st.none() | st.integers(1, 500)),
    )
    return request_of(
        order,
        facts=facts,
        hours=hours,
        start=hours.open + timedelta(seconds=start),
        end=hours.open + timedelta(seconds=end),
        now=hours.open + timedelta(seconds=start),
    )


def is_finite(plan: ExecutionPlan) -> bool:
    return all(map(math.isfinite, (plan.expected_cost, plan.variance, plan.expected_cost_bps)))


def assert_legal(plan: ExecutionPlan, request: PlanRequest) -> None:
    """Whole lots within caps and hours, nothing lost."""
    order, previous_end = request.order, request.start
    assert is_finite(plan)
    assert sum(sizes(plan)) == plan.quantity
    busy = [s for s in plan.slices if s.quantity]
    for planned in plan.slices:
        assert request.start <= previous_end <= planned.start < planned.end <= request.end
        assert all(planned.end <= a or planned.start >= b for a, b in request.hours.pauses)
        assert 0 <= planned.quantity <= order.max_participation * planned.expected_volume * (1 + 1e-9)
        previous_end = planned.end
    assert all(s.quantity % order.lot_size == 0 for s in busy[:-1])


@given(requests())
def test_a_plan_loses_no_share_and_keeps_to_caps_lots_and_hours(request: PlanRequest) -> None:
    plan = ALGORITHMS[request.order.algorithm].plan(request)

    if plan.is_feasible:
        assert plan.quantity == request.quantity
        assert_legal(plan, request)
        assert all(size == 0 or size >= request.order.min_slice for size in sizes(plan))
    else:
        assert plan.slices == ()
        assert plan.reasons
        assert all(plan.reasons)


@given(requests(), CONDITIONS, st.integers(1, 10**6))
def test_a_later_plan_does_what_fits_and_says_what_does_not(
    request: PlanRequest, conditions: Conditions, quantity: int
) -> None:
    algorithm = ALGORITHMS[request.order.algorithm]
    previous = algorithm.plan(request)
    later = replace(
        request,
        quantity=min(quantity, request.quantity),
        previous=previous,
        conditions=conditions,
        number=2,
    )

    plan = algorithm.plan(later)

    if plan.is_feasible:
        assert 0 < plan.quantity <= later.quantity
        assert bool(plan.reasons) == (plan.quantity < later.quantity)
        assert_legal(plan, later)
    else:
        assert plan.reasons


@given(requests())
def test_vwap_with_a_flat_curve_is_twap(request: PlanRequest) -> None:
    facts = facts_of(daily_volume=request.facts.daily_volume, shape=FLAT)
    flat = replace(request, facts=facts)

    assert sizes(ALGORITHMS["vwap"].plan(flat)) == sizes(ALGORITHMS["twap"].plan(flat))


@given(requests(lot_size=1, min_slice=0))
def test_arrival_price_is_never_worse_than_twap_by_more_than_rounding(request: PlanRequest) -> None:
    best, even = (ALGORITHMS[name].plan(request) for name in ("arrival_price", "twap"))
    assert best.is_feasible == even.is_feasible

    # Rounded to single shares, each slice n costs at most half a share at its margin more: eta / tau * n,
    # and the shares left after it are at most half a share more at risk.
    facts = request.facts
    eta = facts.daily_spread / (0.01 * facts.daily_volume)
    sigma = facts.daily_volatility * facts.price
    rounding = sum(
        eta / session_days(request.hours, s.start, s.end) * (s.quantity + 1)
        + request.order.risk_aversion * sigma**2 * (best.quantity + 1)
        for s in best.slices
    )
    objectives = [p.expected_cost + request.order.risk_aversion * p.variance for p in (best, even)]
    assert objectives[0] <= objectives[1] * (1 + 1e-9) + rounding


@st.composite
def progresses(draw: st.DrawFn) -> Progress:
    request = draw(requests())
    plan = ALGORITHMS[request.order.algorithm].plan(request)
    quantity = request.quantity
    filled = draw(st.integers(0, quantity))
    seconds = int((request.end - request.start).total_seconds())
    return progress_of(
        plan,
        request.order,
        now=request.start + timedelta(seconds=draw(st.integers(-60, seconds + 60))),
        filled=filled,
        leaves=draw(st.just(0) | st.integers(0, quantity - filled)),
        planned_from=draw(st.just(0) | st.integers(0, filled)),
        market_volume=draw(st.integers(0, 10**8)),
        conditions=draw(CONDITIONS),
    )


@given(progresses())
def test_a_step_releases_no_more_than_is_left_and_gives_the_same_answer_again(progress: Progress) -> None:
    algorithm = ALGORITHMS[progress.plan.algorithm]

    step = algorithm.step(progress)

    assert step == algorithm.step(progress)
    assert 0 <= step.release <= progress.order.quantity - progress.filled - progress.leaves
    assert step.wake_at > progress.now
    assert sum([step.release > 0, step.cancel, step.replan is not None]) <= 1
    assert not step.cancel or progress.leaves > 0
    assert step.replan is None or progress.leaves == 0
    if progress.plan.display is not None and step.release:
        assert progress.leaves + step.release <= max(progress.plan.display, 0)
    if not progress.plan.is_feasible:
        assert step.release == 0


@given(requests(minutes=40), st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_nothing_is_overfilled_or_lost_when_the_market_fills_in_parts(
    request: PlanRequest, quarters: list[int]
) -> None:
    """Each child is filled in part, at once; the rest is cancelled by the algorithm and planned anew."""
    turn = iter(range(10**9))

    played = play(
        ALGORITHMS[request.order.algorithm],
        request,
        fills=lambda sent: -(-sent * quarters[next(turn) % len(quarters)] // 4),
    )

    assert played.filled <= request.order.quantity
    for (progress, step), slice_filled in zip(played.steps, played.slice_filled, strict=True):
        assert progress.filled + progress.leaves + step.release <= request.order.quantity
        for planned in progress.plan.slices if step.release else ():
            if planned.start <= progress.now < planned.end and request.order.algorithm != "pov":
                sent = slice_filled + progress.leaves + step.release
                cap = request.order.max_participation * planned.expected_volume
                assert sent <= cap * (1 + 1e-9) + 1e-9


@given(requests(minutes=40))
def test_what_fills_at_once_is_done_to_the_last_share(request: PlanRequest) -> None:
    """But for pov: it trails the market by its last looks, so it may end a little short."""

    played = play(ALGORITHMS[request.order.algorithm], request)

    if not played.plan.is_feasible:
        assert played.filled == 0
    elif request.order.algorithm == "pov":
        assert played.filled <= request.order.quantity
    else:
        assert played.filled == request.order.quantity


CAPS = st.lists(st.integers(0, 30), min_size=1, max_size=8)


@given(CAPS, st.integers(1, 8), st.integers(0, 100), st.randoms(use_true_random=False))
def test_lots_are_found_whenever_slices_exist(
    caps: list[int], least: int, total: int, source: object
) -> None:
    """Against the sums that can be reached at all, slice by slice."""
    reachable = {0}
    for cap in caps:
        reachable |= {a + size for a in reachable for size in range(least, cap + 1)}
    targets = water_fill([1.0] * len(caps), caps, min(total, sum(caps)))

    found = round_to_lots(targets, caps, least, total)

    assert (found is not None) == (total in reachable)
    if found is not None:
        assert sum(found) == total
        assert all(size == 0 or least <= size <= cap for size, cap in zip(found, caps, strict=True))


@given(CAPS, st.lists(st.floats(0, 10), min_size=8, max_size=8), st.floats(0, 1))
def test_water_filling_is_even_wherever_no_cap_binds(
    caps: list[int], weights: list[float], part: float
) -> None:
    weights = [max(weight, 0.01) for weight in weights[: len(caps)]]
    total = part * sum(caps)

    found = water_fill(weights, caps, total)

    assert math.isclose(sum(found), total, abs_tol=1e-9)
    levels = [
        size / weight for size, weight, cap in zip(found, weights, caps, strict=True) if size < cap - 1e-9
    ]
    assert not levels or max(levels) - min(levels) <= 1e-6 * (1 + max(levels))
    for size, weight, cap in zip(found, weights, caps, strict=True):
        assert -1e-12 <= size <= cap
        if levels and size >= cap - 1e-9:
            assert size / weight <= max(levels) + 1e-6
