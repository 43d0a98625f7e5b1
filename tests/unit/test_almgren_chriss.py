"""The optimal trajectory: the paper's example, two other ways to compute it, limits, simulated prices."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from trading.execution.model.almgren_chriss import generate_ac_trajectory
from trading.execution.model.baselines import generate_market_order_trajectory, generate_twap_trajectory
from trading.execution.model.costs import costed, expected_cost, variance
from trading.execution.model.params import AlmgrenChrissParams

PAPER = AlmgrenChrissParams(eta=2.5e-6, gamma=2.5e-7, sigma=0.95, epsilon=0.0625)
"""Table 1 of Almgren and Chriss (2000): a share of $50, ADV 5 million."""
SMALL = AlmgrenChrissParams(eta=4e-5, gamma=4e-6, sigma=0.025, epsilon=0.01, price=0.5)
"""A share of $0.50 with a spread of 2 cents and ADV 50,000."""

# lambda, kappa, 1/kappa, E, sd, n1/X of 1e6 shares in 5 days: a computation at 50 digits that agrees with
# two published implementations (the paper prints no E or V).
TABLE = [
    (0.0, 0.0, math.inf, 662_500.00, 1_040_672.86, 0.2000),
    (1e-7, 0.194629, 5.13799, 670_057.46, 961_622.90, 0.2421),
    (1e-6, 0.607076, 1.64724, 911_226.99, 603_430.67, 0.4580),
    (2e-6, 0.846297, 1.18162, 1_140_715.17, 449_367.65, 0.5714),
    (1e-5, 1.726711, 0.57914, 1_845_211.26, 171_712.41, 0.8221),
    (-2e-7, 0.276562, math.inf, 717_958.10, 1_258_654.3, 0.0899),
]


@pytest.mark.parametrize(("aversion", "kappa", "efold", "cost", "sd", "first"), TABLE)
def test_the_papers_example_is_reproduced(
    aversion: float, kappa: float, efold: float, cost: float, sd: float, first: float
) -> None:
    trajectory = generate_ac_trajectory(1e6, 5, PAPER, aversion)

    assert trajectory.kappa == pytest.approx(kappa, abs=5e-7)
    assert trajectory.efold_time == pytest.approx(efold, abs=5e-6)
    assert trajectory.expected_cost == pytest.approx(cost, abs=5e-3)
    assert math.sqrt(trajectory.variance) == pytest.approx(sd, abs=5e-2)
    assert trajectory.trade_sizes[0] / 1e6 == pytest.approx(first, abs=5e-5)


def test_ten_days_of_a_cheap_share_cost_195_dollars() -> None:
    trajectory = generate_ac_trajectory(5000, 10, SMALL, 1e-5)

    assert trajectory.expected_cost == pytest.approx(195.00, abs=5e-3)
    assert math.sqrt(trajectory.variance) == pytest.approx(210.76, abs=5e-3)
    assert trajectory.trade_sizes[0] == pytest.approx(502.34, abs=5e-3)


def test_a_published_run_with_nearly_no_aversion_is_reproduced() -> None:
    """The DROP library's printed run for lambda 1e-9: mean 0.6625 M, variance 1.0812, "halflife" 51.30."""
    trajectory = generate_ac_trajectory(1e6, 5, PAPER, 1e-9)

    assert trajectory.expected_cost == pytest.approx(0.6625e6, abs=50)
    assert trajectory.variance == pytest.approx(1.0812e12, abs=5e7)
    assert trajectory.efold_time == pytest.approx(51.30, abs=5e-3)


def test_efold_and_half_life_are_told_apart() -> None:
    trajectory = generate_ac_trajectory(1e6, 5, PAPER, 1e-6)

    assert trajectory.efold_time == 1 / trajectory.kappa
    assert trajectory.half_life == pytest.approx(0.693147 * trajectory.efold_time, rel=1e-6)


def test_it_says_what_it_was_made_from() -> None:
    trajectory = generate_ac_trajectory(1e6, 5, PAPER, 1e-6, strategy_name="arrival")

    assert trajectory.strategy_name == "arrival"
    assert trajectory.risk_aversion == 1e-6
    assert trajectory.params is PAPER
    assert trajectory.times.tolist() == [0, 1, 2, 3, 4, 5]


def _minimum_by_linear_solve(
    size: float, n: int, params: AlmgrenChrissParams, aversion: float
) -> NDArray[np.float64]:
    """Minimise E + lambda V as the quadratic form that it is: KKT system in (n_1..n_N, multiplier)."""
    left = np.tril(np.ones((n, n)), -1).T  # x = left @ n: what is traded later
    hessian = 2 * params.eta_tilde / params.tau * np.eye(n)
    hessian += 2 * aversion * params.sigma**2 * params.tau * left.T @ left
    system = np.block([[hessian, np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    solution: NDArray[np.float64] = np.linalg.solve(system, np.append(np.zeros(n), size))[:n]
    return solution


@pytest.mark.parametrize("tau", [0.01, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("aversion", [0.0, 1e-8, 1e-6, 3e-5])
@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_closed_form_is_the_minimum_of_the_quadratic_form(n: int, aversion: float, tau: float) -> None:
    params = AlmgrenChrissParams(eta=2.5e-6, gamma=2.5e-7, sigma=0.95, epsilon=0.0625, tau=tau)

    trajectory = generate_ac_trajectory(1e6, n, params, aversion)

    expected = _minimum_by_linear_solve(1e6, n, params, aversion)
    assert trajectory.trade_sizes == pytest.approx(expected, abs=1e-6)
    assert trajectory.holdings[:-1] - trajectory.holdings[1:] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n", [2, 5, 9])
def test_negative_aversion_is_the_minimum_too_while_there_is_one(n: int) -> None:
    # The least lambda with a minimum is -4 eta~ sin^2(pi / 2n) / (sigma tau)^2; 0.9 of it.
    aversion = -0.9 * 4 * PAPER.eta_tilde * math.sin(math.pi / (2 * n)) ** 2 / PAPER.sigma**2

    trajectory = generate_ac_trajectory(1e6, n, PAPER, aversion)

    expected = _minimum_by_linear_solve(1e6, n, PAPER, aversion)
    assert trajectory.trade_sizes == pytest.approx(expected, abs=1e-5)
    assert trajectory.efold_time == math.inf


@pytest.mark.parametrize("n", [2, 5, 9])
def test_negative_aversion_without_a_minimum_is_refused(n: int) -> None:
    aversion = -1.001 * 4 * PAPER.eta_tilde * math.sin(math.pi / (2 * n)) ** 2 / PAPER.sigma**2

    with pytest.raises(ValueError, match=r"risk_aversion is -.*no minimum over .* not positive definite"):
        generate_ac_trajectory(1e6, n, PAPER, aversion)


def test_one_interval_takes_all_whatever_the_aversion() -> None:
    for aversion in (-1e3, -1e-6, 0.0, 1e-6, 1e3):
        assert generate_ac_trajectory(700, 1, PAPER, aversion).trade_sizes.tolist() == [700]


def _holdings_in_80_digits(n: int, params: AlmgrenChrissParams, aversion: float) -> list[Decimal]:
    """Shares of one held by the optimality condition x_{j-1} - (2 + s) x_j + x_{j+1} = 0, from the end."""
    with localcontext() as context:
        context.prec = 80
        eta = Decimal(params.eta) - Decimal(params.gamma) * Decimal(params.tau) / 2
        s = Decimal(aversion) * (Decimal(params.sigma) * Decimal(params.tau)) ** 2 / eta
        y = [Decimal(0), Decimal(1)]
        for _ in range(n - 1):
            y.append((2 + s) * y[-1] - y[-2])
        return [value / y[-1] for value in reversed(y)]


@pytest.mark.parametrize("aversion", [1e-30, 1e-20, 1e-16, 1e-12, 1e-9, 1e-6, 1.0, 1e6, 1e30, -1e-20, -1e-9])
def test_no_digit_is_lost_however_small_or_large_kappa_is(aversion: float) -> None:
    exact = _holdings_in_80_digits(30, PAPER, aversion)

    trajectory = generate_ac_trajectory(1.0, 30, PAPER, aversion)

    expected = [float(value) for value in exact]
    sizes = [float(held - left) for held, left in pairwise(exact)]
    # kappa itself has a rounding, which a tail of kappa T e-folds multiplies by as much.
    rel = 4e-15 * max(1.0, trajectory.kappa * 30)
    assert trajectory.holdings == pytest.approx(expected, rel=rel, abs=1e-300)
    assert trajectory.trade_sizes == pytest.approx(sizes, rel=rel, abs=1e-300)


@pytest.mark.parametrize("aversion", [1e-3, 1.0, 1e6, 1e200])
def test_huge_kappa_t_gives_finite_numbers(aversion: float) -> None:
    trajectory = generate_ac_trajectory(1e6, 400, PAPER, aversion)

    assert trajectory.kappa * 400 > 700  # where sinh overflows
    assert np.isfinite(trajectory.holdings).all()
    assert np.isfinite([trajectory.expected_cost, trajectory.variance, trajectory.efold_time]).all()
    assert trajectory.trade_sizes.sum() == pytest.approx(1e6, rel=1e-15)
    assert trajectory.holdings[-1] == 0


def test_zero_aversion_is_twap() -> None:
    ac = generate_ac_trajectory(1e6, 7, PAPER, 0.0)

    twap = generate_twap_trajectory(1e6, 7, PAPER)
    assert ac.trade_sizes.tolist() == twap.trade_sizes.tolist()
    assert ac.expected_cost == twap.expected_cost


@pytest.mark.parametrize("sign", [1, -1])
def test_aversion_towards_zero_becomes_twap_without_a_jump(sign: int) -> None:
    """The distance falls with lambda, ten times for ten times, down to the last digit of a float."""
    flat = generate_ac_trajectory(1.0, 12, PAPER, 0.0).holdings
    for exponent in range(10, 40):
        gap = abs(generate_ac_trajectory(1.0, 12, PAPER, sign * 10.0**-exponent).holdings - flat).max()
        # x - line is at most (kappa T)^2 / 9 sqrt(3) to first order, (kappa T)^2 = lambda sigma^2 T^2 / eta~.
        assert gap <= 1.02 * 10.0**-exponent * 0.95**2 * 144 / 2.375e-6 / 15.58 + 3e-16


def test_no_volatility_means_equal_slices() -> None:
    calm = AlmgrenChrissParams(eta=1e-6, gamma=0.0, sigma=0.0)

    assert generate_ac_trajectory(100, 4, calm, 1.0).trade_sizes.tolist() == [25, 25, 25, 25]


def test_the_tail_solved_again_is_the_tail() -> None:
    """Almgren and Chriss's theorem of time consistency for a fixed lambda."""
    whole = generate_ac_trajectory(1e6, 20, PAPER, 1e-6)

    for done in (1, 7, 19):
        rest = generate_ac_trajectory(whole.holdings[done], 20 - done, PAPER, 1e-6)
        assert rest.trade_sizes == pytest.approx(whole.trade_sizes[done:], rel=1e-12)


def test_cutting_time_finer_approaches_the_continuous_path() -> None:
    """x(t) = X sinh(kappa (T - t)) / sinh(kappa T) with kappa^2 = lambda sigma^2 / eta at half of 5 days."""
    kappa = math.sqrt(1e-6 * 0.95**2 / 2.5e-6)
    exact = math.sinh(kappa * 2.5) / math.sinh(kappa * 5)
    fine = AlmgrenChrissParams(eta=2.5e-6, gamma=2.5e-7, sigma=0.95, tau=0.001)

    held = generate_ac_trajectory(1.0, 5000, fine, 1e-6).holdings[2500]

    assert held == pytest.approx(exact, rel=1e-4)


def test_lots_round_the_optimum_and_keep_the_total() -> None:
    free = generate_ac_trajectory(1e6 + 30, 5, PAPER, 1e-6)

    lots = generate_ac_trajectory(1e6 + 30, 5, PAPER, 1e-6, lot_size=100)

    assert lots.trade_sizes.sum() == 1e6 + 30
    assert [size % 100 for size in lots.trade_sizes.tolist()] == [0, 0, 0, 0, 30]
    assert abs(lots.trade_sizes - free.trade_sizes).max() < 130
    assert lots.holdings[-1] == 0
    # At the optimum E + lambda V is flat: it rises by the square of the rounding only.
    objectives = [t.expected_cost + 1e-6 * t.variance for t in (free, lots)]
    assert objectives[0] < objectives[1] < objectives[0] * (1 + 1e-7)


def test_twap_costs_what_the_paper_says() -> None:
    """Eq. 10 and 11: E = gamma X^2/2 + eps X + eta~ X^2/T, V = sigma^2 X^2 T (1 - 1/N)(1 - 1/2N) / 3."""
    twap = generate_twap_trajectory(1e6, 5, PAPER)

    assert twap.expected_cost == pytest.approx(125_000 + 62_500 + 2.375e-6 * 1e12 / 5)
    assert twap.variance == pytest.approx(0.9025 * 1e12 * 5 * 0.8 * 0.9 / 3)


def test_all_at_once_costs_what_the_paper_says() -> None:
    """Eq. 13: E = eps X + eta X^2 / tau, V = 0."""
    market = generate_market_order_trajectory(1e6, PAPER)

    assert market.expected_cost == pytest.approx(62_500 + 2_500_000)
    assert market.variance == 0


def test_cost_of_a_list_of_sizes_by_hand() -> None:
    params = AlmgrenChrissParams(eta=0.003, gamma=0.002, sigma=0.5, epsilon=0.01, tau=2.0)

    # eta~ = 0.001; 0.002 * 60^2 / 2 = 3.6; 0.01 * 60 = 0.6; 0.0005 * (900 + 400 + 100) = 0.7.
    assert expected_cost([30, 20, 10], params) == pytest.approx(4.9)
    # 0.25 * 2 * (30^2 + 10^2 + 0) = 500.
    assert variance([30, 20, 10], params) == pytest.approx(500)


def test_costing_again_takes_the_other_params() -> None:
    plain = generate_twap_trajectory(60, 3)
    params = AlmgrenChrissParams(eta=0.003, gamma=0.002, sigma=0.5, epsilon=0.01, tau=2.0)

    again = costed(plain, params)

    # 3.6 + 0.6 + 0.0005 * 1200; 0.5 * (40^2 + 20^2).
    assert again.expected_cost == pytest.approx(4.8)
    assert again.variance == pytest.approx(1000)
    assert again.times.tolist() == [0, 2, 4, 6]
    assert again.params is params
    assert again.strategy_name == "twap"


@pytest.mark.parametrize("aversion", [0.0, 1e-6, 1e-5])
def test_simulated_prices_cost_and_vary_as_predicted(aversion: float) -> None:
    """The paper's price process itself (eq. 1 and 2): S_k = S_{k-1} + sigma sqrt(tau) xi_k - gamma n_k,
    a trade gets S_{k-1} - epsilon - eta n_k / tau."""
    params = AlmgrenChrissParams(eta=2.5e-6, gamma=2.5e-7, sigma=0.95, epsilon=0.0625, tau=0.5)
    plan = generate_ac_trajectory(1e6, 10, params, aversion)
    runs = 20_000
    noise = np.random.default_rng(2000).standard_normal((runs, 10))
    moves = params.sigma * math.sqrt(params.tau) * noise - params.gamma * plan.trade_sizes
    before = 50 + np.cumsum(moves, axis=1) - moves

    proceeds = (before - params.epsilon - params.eta / params.tau * plan.trade_sizes) @ plan.trade_sizes
    costs = 50 * 1e6 - proceeds

    standard_error = costs.std(ddof=1) / math.sqrt(runs)
    assert abs(costs.mean() - plan.expected_cost) < 4 * standard_error
    assert costs.var(ddof=1) == pytest.approx(plan.variance, rel=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("order_size", bad) for bad in (0, -1, math.nan, math.inf, "5000", None, True, 10**400)],
        *[("duration_periods", bad) for bad in (0, -3, 2.5, math.nan, math.inf, "10", None)],
        *[("risk_aversion", bad) for bad in (math.nan, math.inf, -math.inf, "0", None)],
        *[("lot_size", bad) for bad in (0, -100, 1.5, math.nan, "100")],
    ],
)
def test_a_bad_argument_is_named_with_its_value(name: str, value: object) -> None:
    arguments: dict[str, object] = {"order_size": 5000, "duration_periods": 10, "risk_aversion": 1e-5}
    arguments[name] = value

    with pytest.raises(ValueError, match=f"^{name} is ") as refusal:
        generate_ac_trajectory(params=SMALL, **arguments)  # type: ignore[arg-type]  # that is the point

    assert repr(value) in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("eta", bad) for bad in (0.0, -1e-6, math.nan, math.inf, "1")],
        *[(name, bad) for name in ("gamma", "sigma", "epsilon") for bad in (-1e-9, math.nan, math.inf)],
        *[(name, bad) for name in ("tau", "price") for bad in (0.0, -1.0, math.nan, math.inf)],
    ],
)
def test_a_bad_parameter_is_named_with_its_value(name: str, value: object) -> None:
    arguments: dict[str, object] = {"eta": 1e-6, "gamma": 1e-7, "sigma": 1.0}
    arguments[name] = value

    with pytest.raises(ValueError, match=f"^{name} is ") as refusal:
        AlmgrenChrissParams(**arguments)  # type: ignore[arg-type]  # that is the point

    assert repr(value) in str(refusal.value)


def test_impact_that_rewards_haste_is_refused_with_the_remedy() -> None:
    params = AlmgrenChrissParams(eta=1e-6, gamma=1e-6, sigma=1.0, tau=2.0)

    with pytest.raises(ValueError, match=r"eta - gamma\*tau/2 is 0 .*tau below 2 days"):
        generate_ac_trajectory(1000, 5, params, 1e-6)


def test_a_cost_that_only_rounding_leaves_is_none() -> None:
    # 4e-5 - 4e-6 * 20 / 2 is 0; in floats 6.8e-21 is left, and with it kappa T would be 17.
    params = AlmgrenChrissParams(eta=4e-5, gamma=4e-6, sigma=0.025, tau=20.0)

    with pytest.raises(ValueError, match=r"eta - gamma\*tau/2 is 0 .*tau below 20 days"):
        generate_ac_trajectory(1000, 5, params, 1e-5)


def test_a_cost_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="expected_cost is inf"):
        generate_ac_trajectory(1e200, 5, PAPER, 1e-6)


def test_lots_of_a_schedule_that_trades_both_ways_are_refused() -> None:
    # kappa T beyond pi / 2: the order grows before it is worked off.
    with pytest.raises(ValueError, match=r"sizes\[0\] is -"):
        generate_ac_trajectory(1e6, 5, PAPER, -6e-7, lot_size=100)
