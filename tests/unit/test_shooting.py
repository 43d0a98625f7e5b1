"""The capped optimum by hand calculations, published figures and a closed form."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from trading.execution.optimum.active_set import solve_active_set
from trading.execution.optimum.kkt import kkt_residual
from trading.execution.optimum.shooting import CapacityShort, solve_capped

INF = math.inf


def solve(size: float, caps: Sequence[float], **weights: Any) -> list[float]:
    return solve_capped(size, caps, **({"eta_tilde": 1.0, "risk": 1.0} | weights))


def test_uncapped_slices_follow_the_recursion_done_by_hand() -> None:
    # With a = r = 1 and n_3 = m: n_2 = m + x_2 = 2m, n_1 = n_2 + x_1 = 2m + 3m = 5m; 8m = 16.
    slices = solve(16, [INF, INF, INF])

    assert slices == pytest.approx([10, 4, 2], rel=1e-15)


def test_a_cap_moves_the_rest_to_where_it_is_cheapest() -> None:
    # As above with n_1 = 6: n_2 + n_3 = 2m + m = 10.
    slices = solve(16, [6, INF, INF])

    assert slices == pytest.approx([6, 20 / 3, 10 / 3], rel=1e-15)


def test_a_halted_interval_trades_nothing_and_its_risk_still_counts() -> None:
    # n_3 = m, n_2 = 0; g_1 = m + x_2 + x_1 = 3m, so 4m = 16.
    slices = solve(16, [INF, 0, INF])

    assert slices == pytest.approx([12, 0, 4], rel=1e-15)


def test_weights_of_each_interval_count_where_they_belong() -> None:
    # a = eta / tau = 1, 2, 1; r = risk tau = 6, 1, (any). n_3 = m; 2 n_2 = m + 1 m; n_1 = 2m + 6 * 2m = 14m.
    slices = solve(16, [INF] * 3, eta_tilde=[2, 1, 3], risk=[3, 2, 7], tau=[2, 0.5, 3])

    assert slices == pytest.approx([14, 1, 1], rel=1e-15)


def test_no_risk_aversion_is_twap() -> None:
    assert solve(10, [INF] * 4, risk=0) == [2.5] * 4


def test_no_risk_aversion_under_caps_fills_to_a_level() -> None:
    # 1 and 2 are full, the other two share the 7 that are left.
    assert solve(10, [4, 1, 2, 9], risk=0) == pytest.approx([3.5, 1, 2, 3.5], rel=1e-15)


def test_impact_falling_with_volume_is_vwap() -> None:
    volumes = [1, 2, 3, 2, 1, 1, 2, 3, 2, 1]

    slices = solve(5000, [INF] * 10, eta_tilde=[1 / v for v in volumes], risk=0)

    assert slices == pytest.approx([5000 * v / 18 for v in volumes], rel=1e-14)


def test_the_first_slice_of_the_smoke_order_is_502_34() -> None:
    # eta 4e-5, gamma 4e-6, sigma 0.025, lambda 1e-5 (issue, section B).
    slices = solve(5000, [INF] * 10, eta_tilde=3.8e-5, risk=1e-5 * 0.025**2)

    assert slices[0] == pytest.approx(502.34, abs=0.005)


@pytest.mark.parametrize(
    ("risk_aversion", "expected_cost", "deviation"),
    [(0.0, 662_500.00, 1_040_672.86), (1e-6, 911_226.99, 603_430.67), (1e-5, 1_845_211.26, 171_712.41)],
)
def test_the_example_of_almgren_and_chriss_costs_what_they_say(
    risk_aversion: float, expected_cost: float, deviation: float
) -> None:
    # S0 50, X 1e6, T 5 days, N 5, sigma 0.95, gamma 2.5e-7, eta 2.5e-6, epsilon 0.0625.
    eta_tilde = 2.5e-6 - 2.5e-7 / 2

    slices = solve(1e6, [INF] * 5, eta_tilde=eta_tilde, risk=risk_aversion * 0.95**2)

    holdings = [sum(slices[k:]) for k in range(1, 6)]
    cost = 2.5e-7 * 1e12 / 2 + 0.0625 * 1e6 + eta_tilde * sum(n * n for n in slices)
    assert cost == pytest.approx(expected_cost, abs=0.005)
    assert math.sqrt(0.95**2 * sum(x * x for x in holdings)) == pytest.approx(deviation, abs=0.005)


@pytest.mark.parametrize("kappa_t", [0.01, 1.0, 30.0, 300.0, 978.0, 5000.0])
def test_uncapped_slices_are_the_closed_form_at_any_kappa_t(kappa_t: float) -> None:
    # x_j = X sinh(kappa (T - t_j)) / sinh(kappa T) (their eq. 17), written with exp(-kappa t); tau = 1 day.
    kappa = kappa_t / 78
    ratio = 2 * (math.cosh(kappa) - 1)
    holdings = [
        math.exp(-kappa * j) * math.expm1(-2 * kappa * (78 - j)) / math.expm1(-2 * kappa_t) for j in range(79)
    ]

    slices = solve(1.0, [INF] * 78, risk=ratio)

    expected = [before - after for before, after in pairwise(holdings)]
    assert slices == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_everything_goes_at_once_when_risk_outweighs_all() -> None:
    slices = solve(7, [INF] * 5, eta_tilde=1e-6, risk=1e300)

    assert slices[0] == 7
    assert max(slices[1:]) < 1e-290


def test_an_extreme_risk_aversion_under_caps_fills_the_caps_in_turn() -> None:
    slices = solve(25, [10] * 78, risk=1e12)

    assert slices[:4] == pytest.approx([10, 10, 5, 0], abs=1e-10)


def test_an_order_of_all_the_caps_is_the_caps() -> None:
    caps = [0.1] * 10  # the sum in floats is 0.9999999999999999

    assert solve(1.0, caps) == caps


def test_an_order_a_hair_below_capacity_is_solved() -> None:
    caps = [3.0, 1.0, 4.0, 1.0, 5.0]
    size = sum(caps) * (1 - 1e-12)

    slices = solve(size, caps)

    assert kkt_residual(slices, caps, order_size=size, eta_tilde=1.0, risk=1.0) <= 1e-15


def test_newton_started_where_all_is_capped_would_fail_and_this_does_not() -> None:
    # At a price of X / N, where plain Newton starts, every slice is at its cap: the derivative is 0.
    caps = [16.0, 8.0, 4.0, 2.0, 1.0]

    slices = solve(24.0, caps, risk=0.5)

    assert kkt_residual(slices, caps, order_size=24.0, eta_tilde=1.0, risk=0.5) <= 1e-15
    assert all(0 < n <= cap for n, cap in zip(slices, caps, strict=True))


def test_the_active_set_alone_gives_the_same_slices() -> None:
    caps = [6.0, 2.0, 0.0, 3.0, 1.0, 9.0]

    direct = solve_active_set(14.0, caps, [1.0] * 6, [0.3] * 6)

    assert direct == pytest.approx(solve(14.0, caps, risk=0.3), rel=1e-14)


def test_nothing_to_trade_is_nothing_traded() -> None:
    assert solve(0, [1, 2]) == [0.0, 0.0]


def test_equal_weights_given_one_by_one_change_nothing() -> None:
    caps = [6.0, 2.0, 3.0]

    assert solve(10, caps, eta_tilde=[1.0] * 3, risk=[1.0] * 3, tau=[1.0] * 3) == solve(10, caps)


def test_too_little_capacity_says_by_how_much() -> None:
    with pytest.raises(CapacityShort, match=r"order_size is 300.*290.*10 too little") as caught:
        solve(300, [100, 0, 190])

    assert (caught.value.capacity, caught.value.shortfall) == (290, 10)


def test_the_refusal_survives_a_process_boundary() -> None:
    copy = pickle.loads(pickle.dumps(CapacityShort(300.0, 290.0)))

    assert (copy.shortfall, str(copy)) == (10, str(CapacityShort(300.0, 290.0)))


@pytest.mark.parametrize(
    ("size", "caps", "weights", "named"),
    [
        (-1, [1], {}, "order_size is -1"),
        (math.nan, [1], {}, "order_size is nan"),
        (INF, [INF], {}, "order_size is inf"),
        ("7", [9], {}, "order_size is '7'"),
        (1, [], {}, r"caps is \[\]"),
        (1, [2, -3], {}, r"caps\[1\] is -3"),
        (1, [2.0, -3.0], {}, r"caps\[1\] is -3"),
        (1, [2.0, math.nan], {}, r"caps\[1\] is nan"),
        (1, [math.nan, -INF], {}, r"caps\[0\] is nan"),
        (1, [2, True], {}, r"caps\[1\] is True"),
        (1, [2], {"eta_tilde": 0}, "eta_tilde is 0"),
        (1, [2, 2], {"eta_tilde": [1, -1]}, r"eta_tilde\[1\] is -1"),
        (1, [2, 2], {"eta_tilde": [1]}, r"eta_tilde is \[1\]: expected a number, or one for each of 2"),
        (1, [2], {"eta_tilde": 1e-320}, "eta_tilde / tau is 1e-320"),
        (1, [2], {"risk": -1e-9}, "risk is -1e-09"),
        (1, [2], {"risk": math.nan}, "risk is nan"),
        (1, [2], {"risk": 1e300, "tau": 1e300}, r"risk \* tau is inf"),
        (1, [2], {"risk": "high"}, "risk is 'high'"),
        (1, [2, 2], {"tau": [1, 0]}, r"tau\[1\] is 0"),
        (1, [2], {"tau": INF}, "tau is inf"),
    ],
)
def test_bad_input_is_refused_by_name(
    size: float, caps: list[float], weights: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        solve(size, caps, **weights)


def test_the_check_of_conditions_finds_a_share_in_the_wrong_place() -> None:
    # From the optimum [10, 4, 2] a share moved from slice 3 to slice 2: the price at the last slice is 1,
    # slice 1 has 10 - x_1 - x_2 = 10 - 6 - 1 = 3 (2 too dear, curvature 3), slice 2 has 5 - 1 = 4 (3, 2).
    missed = kkt_residual([10, 5, 1], [INF] * 3, order_size=16, eta_tilde=1, risk=1)

    assert missed == pytest.approx(1.5 / 16)


@pytest.mark.parametrize(
    ("slices", "missed"),
    [([10, 4, 1], 1 / 16), ([10, 7, -1], 1 / 16), ([20, -2, -2], 4 / 16), ([10, 4, math.nan], INF)],
)
def test_the_check_of_conditions_finds_lost_shares_and_broken_bounds(
    slices: list[float], missed: float
) -> None:
    caps = [16.0, 16.0, 16.0]

    assert kkt_residual(slices, caps, order_size=16, eta_tilde=1, risk=1) >= missed


def test_the_check_of_conditions_accepts_the_hand_calculation() -> None:
    assert kkt_residual([10, 4, 2], [INF] * 3, order_size=16, eta_tilde=1, risk=1) == 0
    assert kkt_residual([6, 20 / 3, 10 / 3], [6, INF, INF], order_size=16, eta_tilde=1, risk=1) < 1e-15


def test_a_slice_one_digit_below_its_cap_is_at_its_cap() -> None:
    cap = math.nextafter(6, INF)

    assert kkt_residual([6, 20 / 3, 10 / 3], [cap, INF, INF], order_size=16, eta_tilde=1, risk=1) < 1e-15
    assert kkt_residual([5, 22 / 3, 11 / 3], [cap, INF, INF], order_size=16, eta_tilde=1, risk=1) > 0.01
