"""What an order cost, by hand; and by the model itself, whose prices it is traded at."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from statistics import fmean, pstdev

import pytest

from tests.measured_orders import DAY, MINUTE, OPEN, fill_of, order_of, plan_of
from tests.unit.orders_to_plan import CLOSE, HOURS, facts_of
from trading.execution.measures import (
    OrderMeasures,
    Shortfall,
    Window,
    measure,
    record_by_algorithm,
    shortfall,
)
from trading.execution.orders import Fill, ParentState, Side
from trading.execution.smart.planning import cost_and_variance, intervals_of, params_of

# 600 at 50.20 and 200 at 50.40: 800 of 1,000 shares, 50.25 on average. Decided at 50.00, arrived at 50.10.
FILLS = (fill_of(600, "50.20", 1, fee=Decimal("1.20")), fill_of(200, "50.40", 2, fee=Decimal("0.40")))
WINDOW = Window(end_price=Decimal("50.60"), vwap=Decimal("50.00"), twap=Decimal("50.50"), volume=16_000)
EXPIRED = order_of(state=ParentState.EXPIRED)


def measured(**changes: object) -> OrderMeasures:
    found = measure(EXPIRED, [plan_of()], FILLS, WINDOW)
    return replace(found, **changes)  # type: ignore[arg-type]  # fields by name, checked by the class


def test_the_shortfall_of_a_purchase_in_its_parts() -> None:
    # delay 1000 * 0.10; execution 600 * 0.10 + 200 * 0.30; opportunity 200 * 0.50; fees 1.60.
    assert shortfall(EXPIRED, FILLS, Decimal("50.60")) == Shortfall(
        delay=Decimal(100), execution=Decimal(120), opportunity=Decimal(100), fees=Decimal("1.60")
    )


def test_a_sale_at_the_same_prices_gains_what_the_purchase_lost_but_for_the_fees() -> None:
    sale = replace(EXPIRED, side=Side.SELL)

    assert shortfall(sale, FILLS, Decimal("50.60")) == Shortfall(
        delay=Decimal(-100), execution=Decimal(-120), opportunity=Decimal(-100), fees=Decimal("1.60")
    )


def test_costs_in_basis_points_are_of_the_whole_order_at_the_decision_price() -> None:
    found = measure(EXPIRED, [plan_of()], FILLS, WINDOW)

    # 321.60 $ and 220 $ of 50,000 $.
    assert found.shortfall_bps == pytest.approx(64.32)
    assert found.realised_bps == pytest.approx(44.0)


def test_slippage_keeps_its_sign() -> None:
    found = measure(EXPIRED, [plan_of()], FILLS, WINDOW)

    assert found.average_price == Decimal("50.25")
    assert found.slippage_arrival_bps == pytest.approx(1e4 * 0.15 / 50.10)
    assert found.slippage_vwap_bps == pytest.approx(50.0)
    assert found.slippage_twap_bps == pytest.approx(-1e4 * 0.25 / 50.50)


def test_the_realised_cost_is_judged_in_the_plans_standard_deviations() -> None:
    found = measure(EXPIRED, [plan_of(), plan_of(number=2, expected_cost=999.0)], FILLS, WINDOW)

    # 120 + 100 $ since arrival, 50 $ expected by the first plan, 100 $ of risk.
    assert found.z_score == pytest.approx(1.7)
    assert (found.expected_cost, found.expected_risk, found.plans) == (50.0, 100.0, 2)


def test_fill_rate_and_participation() -> None:
    found = measure(EXPIRED, [plan_of()], FILLS, WINDOW)

    assert (found.fill_frac, found.participation) == (0.8, 0.05)


def test_a_completed_order_lasts_to_its_last_fill_and_another_to_its_end() -> None:
    completed = measure(order_of(quantity=800), [plan_of()], FILLS, WINDOW)

    assert completed.duration == 2 * MINUTE
    assert measure(EXPIRED, [plan_of()], FILLS, WINDOW).duration == 30 * MINUTE


def test_an_order_that_is_still_worked_lasts_to_its_last_fill_so_far() -> None:
    working = order_of(state=ParentState.WORKING, completed_at=None)

    assert measure(working, [plan_of()], FILLS, WINDOW).duration == 2 * MINUTE
    assert measure(working, [plan_of()], (), WINDOW).duration is None


def test_without_fills_there_is_no_price_and_all_of_it_is_opportunity() -> None:
    found = measure(EXPIRED, [plan_of()], (), WINDOW)

    assert (found.average_price, found.slippage_arrival_bps, found.slippage_vwap_bps) == (None, None, None)
    assert found.shortfall == Shortfall(
        delay=Decimal(100), execution=Decimal(0), opportunity=Decimal(500), fees=Decimal(0)
    )


def test_the_cost_of_what_was_not_filled_needs_a_price_at_the_end() -> None:
    found = measure(EXPIRED, [plan_of()], FILLS, Window())

    assert (found.shortfall, found.shortfall_bps, found.z_score) == (None, None, None)
    assert (found.participation, found.slippage_vwap_bps) == (None, None)


def test_an_order_done_in_full_needs_no_price_at_the_end() -> None:
    found = shortfall(order_of(quantity=800), FILLS, None)

    assert found is not None
    assert found.opportunity == 0


def test_an_order_that_was_never_begun_has_no_cost() -> None:
    refused = order_of(state=ParentState.REJECTED, arrival_price=None, arrived_at=None)
    found = measure(refused, [plan_of(is_feasible=False, slices=())], (), Window())

    assert (found.shortfall, found.expected_cost, found.z_score, found.duration) == (None,) * 4
    assert found.algorithm == "twap"


def test_without_a_decision_price_the_shortfall_begins_at_arrival() -> None:
    found = measure(order_of(decision_price=None), [plan_of()], FILLS, WINDOW)

    assert found.shortfall is not None
    assert found.shortfall.delay == 0
    assert found.notional == Decimal("50100.00")


def test_a_plan_without_risk_has_no_z_score() -> None:
    assert measure(EXPIRED, [plan_of(variance=0.0)], FILLS, WINDOW).z_score is None


def test_shares_beyond_the_order_are_paid_for_and_leave_no_opportunity() -> None:
    found = shortfall(order_of(quantity=700), FILLS, Decimal("99.00"))

    assert found is not None
    assert (found.execution, found.opportunity) == (Decimal(120), Decimal(0))


def test_each_algorithm_has_its_own_record() -> None:
    done = measured(state=ParentState.COMPLETED, filled=1_000)
    found = record_by_algorithm(
        [
            measured(algorithm="vwap"),
            done,
            measured(),
            replace(done, z_score=None, shortfall=None),
            measured(state=ParentState.REJECTED),
            measured(state=ParentState.WORKING),
        ]
    )

    twap, vwap = found
    assert (twap.algorithm, twap.orders, twap.completed) == ("twap", 3, 2)
    assert twap.success_frac == pytest.approx(2 / 3)
    assert twap.fill_frac == pytest.approx(2_800 / 3_000)
    assert twap.shortfall_bps == pytest.approx(64.32)
    assert twap.mean_z_score == pytest.approx(1.7)
    assert (vwap.algorithm, vwap.orders, vwap.success_frac) == ("vwap", 1, 0.0)


@pytest.mark.parametrize("side", list(Side))
def test_at_the_models_own_prices_cost_and_risk_are_what_the_plan_foretold(side: Side) -> None:
    """Their eq. 1 and 2 for a sale: S_k = S_k-1 + sigma sqrt(tau) xi - gamma n, traded at S_k-1 - h."""
    facts = facts_of(daily_volume=100_000.0, daily_spread=0.05, daily_volatility=0.01)
    params, sizes = params_of(facts), (2_600, 1_900, 1_400, 1_000, 700, 400, 0, 300)
    intervals = intervals_of(
        order_of(max_participation=1.0), facts, HOURS, OPEN, CLOSE, length=timedelta(minutes=48.75)
    )
    expected, variance = cost_and_variance(params, intervals, sizes)
    plan = plan_of(quantity=sum(sizes), expected_cost=expected, variance=variance)
    source, costs, scores = random.Random(7), [], []
    for _ in range(4_000):
        price, fills = 50.0, list[Fill]()
        for number, (interval, size) in enumerate(zip(intervals, sizes, strict=True)):
            if size:
                paid = price + side.sign * (params.epsilon + params.eta * size / interval.days)
                fills.append(fill_of(size, Decimal(f"{paid:.9f}"), number, side=side))
            price += params.sigma * math.sqrt(interval.days) * source.gauss(0, 1)
            price += side.sign * params.gamma * size
        order = order_of(side=side, quantity=sum(sizes), session=DAY, arrival_price=Decimal(50))
        found = measure(order, [plan], fills, Window())
        assert found.shortfall is not None
        assert found.z_score is not None
        costs.append(float(found.shortfall.since_arrival))
        scores.append(found.z_score)

    assert fmean(costs) == pytest.approx(expected, abs=4 * math.sqrt(variance / len(costs)))
    assert pstdev(costs) ** 2 == pytest.approx(variance, rel=0.10)
    assert fmean(scores) == pytest.approx(0, abs=4 / math.sqrt(len(scores)))
    assert pstdev(scores) == pytest.approx(1, rel=0.05)
