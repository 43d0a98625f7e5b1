"""What the optimum under caps must be, whatever the caps, weights and sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trading.execution.optimum.active_set import solve_active_set
from trading.execution.optimum.batch import Problem, solve_many
from trading.execution.optimum.kkt import kkt_residual
from trading.execution.optimum.shooting import CapacityShort, solve_capped


@dataclass(frozen=True)
class Order:
    """An order that its caps can hold, with its weights."""

    size: float
    caps: tuple[float, ...]
    etas: tuple[float, ...]
    risks: tuple[float, ...]

    def solve(self) -> list[float]:
        return solve_capped(self.size, self.caps, eta_tilde=self.etas, risk=self.risks)

    def residual(self, slices: list[float]) -> float:
        return kkt_residual(slices, self.caps, order_size=self.size, eta_tilde=self.etas, risk=self.risks)

    def cost(self, slices: list[float]) -> float:
        held = [math.fsum(slices[k + 1 :]) for k in range(len(slices))]
        return math.fsum(e * n * n for e, n in zip(self.etas, slices, strict=True)) + math.fsum(
            r * x * x for r, x in zip(self.risks, held, strict=True)
        )


# 2 (cosh(978 / 400) - 1) = 9.62: the last slices are e^-978 of the first ones, which floats do not hold.
KAPPA_T_978 = Order(1e6, (math.inf,) * 400, (1.0,) * 400, (9.62,) * 400)
KAPPA_T_978_CAPPED = Order(1e6, (1e4, 3e3) * 200, (1.0,) * 400, (9.62,) * 400)


def logs(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers spread evenly over their orders of magnitude."""
    return st.floats(low, high).map(lambda power: 10**power)


@st.composite
def orders(draw: st.DrawFn, steepest: float = 9.0) -> Order:
    """Orders of 1 to 40 intervals, some halted, with even or with wild weights; kappa tau up to 10**4.5."""
    count = draw(st.integers(1, 40))
    cap = st.one_of(st.just(0.0), st.just(100.0), logs(-1, 5))
    caps = draw(st.lists(cap, min_size=count, max_size=count).filter(any))
    ratio = draw(st.one_of(st.just(0.0), logs(-8, steepest)))
    even = draw(st.booleans())
    scale = st.just(1.0) if even else logs(-2, 2)
    etas = draw(st.lists(scale, min_size=count, max_size=count))
    risks = [ratio * s for s in draw(st.lists(scale, min_size=count, max_size=count))]
    size = sum(caps) * draw(st.floats(0.001, 0.9999))
    return Order(size, tuple(caps), tuple(etas), tuple(risks))


@given(orders())
@example(KAPPA_T_978)
@example(KAPPA_T_978_CAPPED)
def test_the_conditions_of_optimality_hold(order: Order) -> None:
    assert order.residual(order.solve()) <= 1e-12


@given(orders())
def test_shares_are_conserved_and_every_slice_is_within_its_cap(order: Order) -> None:
    slices = order.solve()

    assert abs(math.fsum(slices) - order.size) <= 1e-12 * order.size
    assert all(0 <= n <= cap for n, cap in zip(slices, order.caps, strict=True))


@given(orders(steepest=1.0))
def test_something_is_traded_wherever_something_can_be(order: Order) -> None:
    # kappa T stays below 150 here: beyond some 600 the last slices are below what floats can tell from 0.
    assert [n > 0 for n in order.solve()] == [cap > 0 for cap in order.caps]


@given(orders())
def test_the_active_set_agrees_with_what_was_returned(order: Order) -> None:
    direct = solve_active_set(order.size, list(order.caps), list(order.etas), list(order.risks))

    assert direct == pytest.approx(order.solve(), rel=0, abs=1e-11 * order.size)


@given(orders())
def test_without_risk_aversion_caps_fill_to_one_level(order: Order) -> None:
    calm = Order(order.size, order.caps, order.etas, (0.0,) * len(order.caps))
    low, high = 0.0, max(e * c for e, c in zip(calm.etas, calm.caps, strict=True))
    for _ in range(200):
        level = (low + high) / 2
        held = sum(min(c, level / e) for e, c in zip(calm.etas, calm.caps, strict=True))
        low, high = (level, high) if held < calm.size else (low, level)

    water = [min(c, high / e) for e, c in zip(calm.etas, calm.caps, strict=True)]

    assert calm.solve() == pytest.approx(water, rel=0, abs=1e-12 * calm.size)


@given(st.integers(1, 60), logs(-2, 5), st.floats(0.01, 1.0), logs(-6, 9))
def test_with_equal_caps_slices_never_grow(count: int, cap: float, filled: float, ratio: float) -> None:
    size = count * cap * filled

    slices = solve_capped(size, [cap] * count, eta_tilde=1.0, risk=ratio)

    assert all(later <= n + 1e-15 * size for n, later in pairwise(slices))


@given(orders(), st.data())
def test_a_higher_cap_never_costs_more(order: Order, data: st.DataObject) -> None:
    k, more = data.draw(st.integers(0, len(order.caps) - 1)), data.draw(logs(-1, 4))
    caps = (*order.caps[:k], order.caps[k] + more, *order.caps[k + 1 :])

    wider = Order(order.size, caps, order.etas, order.risks)

    assert wider.cost(wider.solve()) <= order.cost(order.solve()) * (1 + 1e-12)


@given(orders())
def test_never_worse_than_a_legal_twap(order: Order) -> None:
    even = order.size / len(order.caps)
    roomy = Order(order.size, tuple(max(cap, even) for cap in order.caps), order.etas, order.risks)

    assert roomy.cost(roomy.solve()) <= roomy.cost([even] * len(order.caps)) * (1 + 1e-12)


@given(orders(), st.data())
def test_solving_the_tail_again_reproduces_it(order: Order, data: st.DataObject) -> None:
    slices = order.solve()
    k = data.draw(st.integers(0, len(slices) - 1))
    left = math.fsum(slices[k:])

    tail = solve_capped(left, order.caps[k:], eta_tilde=order.etas[k:], risk=order.risks[k:])

    assert tail == pytest.approx(slices[k:], rel=0, abs=1e-12 * order.size)


@given(orders(), logs(-6, 6))
def test_slices_scale_with_the_order_and_its_caps(order: Order, factor: float) -> None:
    larger = Order(order.size * factor, tuple(c * factor for c in order.caps), order.etas, order.risks)

    expected = [n * factor for n in order.solve()]

    assert larger.solve() == pytest.approx(expected, rel=0, abs=1e-12 * larger.size)


@given(orders(), logs(-6, 6))
def test_slices_do_not_depend_on_the_unit_of_cost(order: Order, factor: float) -> None:
    etas, risks = (tuple(weight * factor for weight in each) for each in (order.etas, order.risks))

    dearer = Order(order.size, order.caps, etas, risks)

    assert dearer.solve() == pytest.approx(order.solve(), rel=0, abs=1e-12 * order.size)


@given(orders(steepest=4.0), st.floats(0.05, 3))
def test_slices_do_not_depend_on_the_unit_of_time(order: Order, tau: float) -> None:
    # With an interval of tau days, eta_tilde tau and risk / tau are the same problem.
    slices = solve_capped(
        order.size,
        order.caps,
        eta_tilde=[e * tau for e in order.etas],
        risk=[r / tau for r in order.risks],
        tau=tau,
    )

    assert slices == pytest.approx(order.solve(), rel=0, abs=1e-12 * order.size)


@given(orders(), st.floats(1.001, 50))
def test_an_order_beyond_capacity_is_refused_with_the_difference(order: Order, excess: float) -> None:
    size = sum(order.caps) * excess

    with pytest.raises(CapacityShort) as caught:
        solve_capped(size, order.caps, eta_tilde=order.etas, risk=order.risks)

    assert caught.value.shortfall == pytest.approx(size - sum(order.caps), rel=1e-12)


@given(st.lists(orders(), max_size=12), st.floats(0.5, 1.5))
def test_many_orders_at_once_get_the_answers_of_one_by_one(batch: list[Order], stretch: float) -> None:
    problems = [
        Problem(order_size=order.size * stretch, caps=order.caps, eta_tilde=order.etas, risk=order.risks)
        for order in batch
    ]

    answers = solve_many(problems)

    for problem, answer in zip(problems, answers, strict=True):
        if isinstance(answer, CapacityShort):
            assert answer.shortfall == pytest.approx(problem.order_size - sum(problem.caps), rel=1e-9)
        else:
            alone = solve_capped(
                problem.order_size, problem.caps, eta_tilde=problem.eta_tilde, risk=problem.risk
            )
            assert answer == pytest.approx(alone, rel=0, abs=1e-11 * problem.order_size)
