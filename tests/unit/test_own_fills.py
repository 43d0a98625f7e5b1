"""What own fills say about impact: known answers are found again, and too little is refused."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.measured_orders import MINUTE, fill_of, order_of, plan_of
from trading.execution.measures import Window, measure
from trading.execution.order_records import OrderRecord
from trading.execution.orders import Fill, ParentOrder, ParentState, Side
from trading.execution.own_fills import ImpactCalibration, ImpactSample, calibrate_from_fills, sample_of
from trading.execution.smart.plan import Choice, ExecutionPlan

FIRST = date(2026, 1, 5)


def samples(
    count: int, seed: int = 1, *, eta: float = 0.142, noise: float = 1.0, beta: float = 0.6
) -> list[ImpactSample]:
    """Orders that had this impact, of 0.5 to 20 % of the market over a minute to a session, with the price's
    own wandering: an evenly traded average deviates by sqrt(T / 3) of a day's volatility."""
    source, found = random.Random(seed), []
    for number in range(count):
        share = math.exp(source.uniform(math.log(0.005), math.log(0.20)))
        days = math.exp(source.uniform(math.log(1 / 390), 0))
        found.append(
            ImpactSample(
                parent_id=f"{number:05d}",
                session=FIRST + timedelta(days=number // 10),
                broker="alpaca",
                cost=eta * share**beta + noise * source.gauss(0, 1) * math.sqrt(days / 3),
                participation=share,
                days=days,
            )
        )
    return found


@pytest.mark.parametrize("eta", [0.142, 0.4])
def test_a_known_eta_is_within_the_error_bars_of_nearly_all_seeds(eta: float) -> None:
    found = [calibrate_from_fills(samples(120, seed, eta=eta)).eta for seed in range(16)]

    # 95 % of 16 are 15.2; 12 or fewer would come about by chance once in 140 times.
    assert sum(each.includes(eta) for each in found) >= 13
    # And they are not simply wide: an eta of 0 is told apart.
    assert sum(each.low > 0 for each in found) >= 13


def test_without_noise_eta_and_beta_are_found_as_they_are() -> None:
    found = calibrate_from_fills(samples(60, eta=0.3, noise=0.0))

    assert found.eta.value == pytest.approx(0.3, rel=1e-6)
    assert found.r2 == pytest.approx(1.0)
    assert found.free_beta is not None
    assert found.free_beta.value == pytest.approx(0.6, abs=1e-3)


def test_another_exponent_is_noticed() -> None:
    found = calibrate_from_fills(samples(400, eta=0.8, beta=1.0, noise=0.1))

    assert found.free_beta is not None
    assert found.free_beta.includes(1.0)
    assert not found.free_beta.includes(0.6)


def test_a_few_wild_orders_do_not_carry_it_away() -> None:
    calm = samples(200)
    wild = [replace(each, cost=each.cost + 5.0) if i % 20 == 0 else each for i, each in enumerate(calm)]

    before, after = calibrate_from_fills(calm).eta, calibrate_from_fills(wild).eta

    # Plain weighted least squares: sum w x y / sum w x^2 with w = 3 / T moves by many times that.
    def plain(orders: list[ImpactSample]) -> float:
        up = math.fsum(each.participation**0.6 * each.cost / each.days for each in orders)
        return up / math.fsum(each.participation**1.2 / each.days for each in orders)

    assert abs(after.value - before.value) < 2 * before.error
    assert abs(plain(wild) - plain(calm)) > 10 * abs(after.value - before.value)


def test_more_orders_have_smaller_error_bars() -> None:
    few, many = calibrate_from_fills(samples(60)), calibrate_from_fills(samples(600))

    # By the square root of ten, about.
    assert 2 < few.eta.error / many.eta.error < 5


def test_the_same_orders_give_the_same_answer_in_any_order() -> None:
    orders = samples(60)

    assert calibrate_from_fills(orders) == calibrate_from_fills(orders[::-1])


def test_fewer_than_fifty_orders_are_refused_with_their_number() -> None:
    with pytest.raises(ValueError, match=r"samples are 49 orders: expected at least 50"):
        calibrate_from_fills(samples(49))


def test_orders_of_two_brokers_are_not_mixed() -> None:
    orders = samples(60)

    with pytest.raises(ValueError, match=r"samples are of alpaca, paper: expected those of one broker"):
        calibrate_from_fills([*orders[1:], replace(orders[0], broker="paper")])


def test_no_exponent_is_told_from_participations_that_are_all_alike() -> None:
    found = calibrate_from_fills([replace(each, participation=0.05) for each in samples(60)])

    assert (found.free_beta, found.free_eta) == (None, None)
    assert "all participations are alike" in str(found)


def test_it_says_whether_the_empirical_law_is_within_the_bars() -> None:
    assert calibrate_from_fills(samples(300)).agrees

    far = calibrate_from_fills(samples(300, eta=0.6))
    assert not far.agrees
    assert "0.142 is outside" in str(far)


def test_simulated_fills_are_called_so() -> None:
    found = calibrate_from_fills([replace(each, broker="paper") for each in samples(60)])

    assert found.is_simulated
    assert "SIMULATED" in str(found)


def test_of_very_many_orders_the_newest_count() -> None:
    found: ImpactCalibration = calibrate_from_fills(samples(2_010))

    assert found.orders == 2_000
    assert found.first == FIRST + timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "value"), [("cost", math.nan), ("participation", 0.0), ("participation", 1.1), ("days", -1.0)]
)
def test_an_impossible_sample_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is "):
        replace(samples(1)[0], **{name: value})  # type: ignore[arg-type]  # the types are right, the values not


# What one order tells

FILLS = (fill_of(600, "50.20", 1), fill_of(400, "50.45", 39))


def record(
    order: ParentOrder | None = None,
    fills: tuple[Fill, ...] = FILLS,
    plan: ExecutionPlan | None = None,
    volume: int | None = 20_000,
) -> OrderRecord:
    order, plan = order or order_of(), plan or plan_of()
    window = Window(end_price=Decimal("50.50"), volume=volume)
    return OrderRecord(
        order=order,
        plans=(plan,),
        children=(),
        fills=fills,
        window=window,
        measures=measure(order, [plan], fills, window),
    )


def test_an_orders_cost_is_told_in_days_of_volatility_without_the_half_spread() -> None:
    # 50.30 on average, 0.20 above 50.10; half the spread is 0.0002 of the price; volatility 0.02.
    found = sample_of(record())

    assert found is not None
    assert found.cost == pytest.approx((0.20 / 50.10 - 0.0002) / 0.02)
    assert found.participation == 0.05
    assert found.days == pytest.approx(0.1)
    assert found.broker == "paper"


def test_a_sale_above_the_arrival_price_has_a_negative_cost() -> None:
    fills = tuple(replace(fill, side=Side.SELL) for fill in FILLS)
    found = sample_of(record(order_of(side=Side.SELL), fills))

    assert found is not None
    assert found.cost == pytest.approx((-0.20 / 50.10 - 0.0002) / 0.02)


@pytest.mark.parametrize(
    "case",
    [
        record(order_of(state=ParentState.WORKING, completed_at=None)),
        record(fills=()),
        record(fills=(FILLS[0], replace(FILLS[1], broker="alpaca"))),
        record(volume=None),
        record(volume=999),
        record(plan=plan_of(is_feasible=False)),
        record(plan=plan_of(choice=Choice(algorithm="twap", rule="an older program's"))),
        record(order_of(arrival_price=None)),
    ],
    ids=[
        "it is still worked",
        "it has no fills",
        "its fills are of two brokers",
        "the market's volume is not known",
        "it is more than the market",
        "it was never planned",
        "the volatility is not known",
        "it never arrived",
    ],
)
def test_an_order_tells_nothing_when(case: OrderRecord) -> None:
    assert sample_of(case) is None


def test_the_time_is_that_of_the_work() -> None:
    expired = order_of(state=ParentState.EXPIRED, completed_at=FILLS[1].at + MINUTE)
    found = sample_of(record(expired))

    assert found is not None
    assert found.days == pytest.approx(40 / 390)
