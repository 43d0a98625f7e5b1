"""Impact laws: printed tables, hand calculations, differential equations."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from trading.execution.model.costs import expected_cost
from trading.execution.model.impact import (
    PowerLawImpact,
    athl_mean_cost_bps,
    athl_permanent_peak_bps,
    athl_temporary_mean_bps,
    cost_dollars,
    power_law_holdings,
    power_law_mean_cost_dollars,
    square_root_mean_cost_bps,
    square_root_peak_bps,
)
from trading.execution.model.params import AlmgrenChrissParams

# Almgren, Thum, Hauptmann, Li 2005, the table of examples: 10 % of the daily volume in 0.1, 0.2, 0.5 days.
# daily volume, shares outstanding, daily volatility; permanent, temporary, total cost [bp] as printed.
IBM = (6_561_000, 1_728_000_000, 0.0157, 20, (22, 15, 8), (32, 25, 18))
DRI = (1_929_000, 168_000_000, 0.0226, 22, (32, 21, 12), (43, 32, 23))


LAW = PowerLawImpact(eta=5e-4, beta=0.6, sigma=0.95)


@pytest.mark.parametrize("row", [IBM, DRI])
def test_the_printed_table_of_2005_is_reproduced(
    row: tuple[float, float, float, int, tuple[int, ...], tuple[int, ...]],
) -> None:
    volume, outstanding, volatility, permanent, temporary, total = row
    order = 0.1 * volume

    assert round(athl_permanent_peak_bps(order, volume, volatility, outstanding)) == permanent
    for days, temporary_bps, total_bps in zip((0.1, 0.2, 0.5), temporary, total, strict=True):
        assert round(athl_temporary_mean_bps(order, volume, volatility, days)) == temporary_bps
        assert round(athl_mean_cost_bps(order, volume, volatility, days, outstanding)) == total_bps


def test_without_shares_outstanding_the_turnover_term_is_left_out() -> None:
    # 1e4 * 0.314 * 0.02 * 0.1
    assert athl_permanent_peak_bps(1e5, 1e6, 0.02) == pytest.approx(6.28)


def test_a_tenth_of_the_volume_of_a_cheap_share_costs_18_bp() -> None:
    # 1e4 * 0.142 * 0.05 * 0.1^0.6 = 71 * 0.251189
    assert athl_temporary_mean_bps(5000, 50_000, 0.05, 1.0) == pytest.approx(17.8344, abs=1e-4)


def test_square_root_peak_of_the_textbook_is_60_bp() -> None:
    """Gatheral's example: 2 % * sqrt(540 / 6000) = 0.02 * 0.3."""
    assert square_root_peak_bps(540, 6000, 0.02) == pytest.approx(60)
    assert square_root_peak_bps(540, 6000, 0.02, coefficient=0.9) == pytest.approx(54)


def test_mean_of_the_square_root_path_is_two_thirds_of_its_peak() -> None:
    """A sum over the order's way to its size, share by share."""
    path = [square_root_peak_bps(q - 0.5, 1e6, 0.02) for q in range(1, 10_001)]

    assert square_root_mean_cost_bps(10_000, 1e6, 0.02) == pytest.approx(sum(path) / 10_000, rel=1e-5)


def test_nothing_traded_costs_nothing() -> None:
    assert square_root_peak_bps(0, 1e6, 0.02) == 0
    assert athl_mean_cost_bps(0, 1e6, 0.02, 1.0) == 0


def test_a_mean_cost_in_dollars() -> None:
    # 20 bp of 1000 shares at $50: 0.2 % of 50,000.
    assert cost_dollars(20, 1000, 50) == pytest.approx(100)


@pytest.mark.parametrize(
    ("compute", "complaint"),
    [
        (lambda: square_root_peak_bps(-1, 1e6, 0.02), "quantity is -1"),
        (lambda: square_root_peak_bps(1, 0, 0.02), "daily_volume is 0"),
        (lambda: square_root_peak_bps(1, 1e6, math.nan), "daily_volatility is nan"),
        (lambda: square_root_mean_cost_bps(1, 1e6, 0.02, 0), "coefficient is 0"),
        (lambda: athl_permanent_peak_bps(1, 1e6, 0.02, 0), "shares_outstanding is 0"),
        (lambda: athl_temporary_mean_bps(1, 1e6, 0.02, 0), "duration is 0"),
        (lambda: athl_mean_cost_bps(math.inf, 1e6, 0.02, 1), "quantity is inf"),
        (lambda: cost_dollars(math.nan, 1, 1), "cost_bps is nan"),
        (lambda: cost_dollars(1, 1, -1), "price is -1"),
        (lambda: PowerLawImpact(eta=0, beta=0.6, sigma=1), "eta is 0"),
        (lambda: PowerLawImpact(eta=1, beta=-0.6, sigma=1), "beta is -0.6"),
        (lambda: PowerLawImpact(eta=1, beta=0.6, sigma=1, gamma=math.inf), "gamma is inf"),
        (lambda: power_law_mean_cost_dollars([1, math.nan], LAW), r"trade_sizes\[1\] is nan"),
        (lambda: power_law_holdings(0, [0], LAW, 1e-6), "order_size is 0"),
        (lambda: power_law_holdings(1, [0], LAW, 0), "risk_aversion is 0"),
        (lambda: power_law_holdings(1, [0, -1], LAW, 1e-6), r"times\[1\] is -1"),
    ],
)
def test_a_bad_argument_is_named_with_its_value(compute: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        compute()


def _law(beta: float) -> PowerLawImpact:
    """About $0.50 of impact for 100,000 shares a day, whatever beta."""
    return PowerLawImpact(eta=0.5 / 1e5**beta, beta=beta, sigma=0.95)


@pytest.mark.parametrize("beta", [0.3, 0.5, 0.6, 0.999999, 1.0, 1.000001, 1.5, 2.0])
def test_the_path_obeys_its_differential_equation(beta: float) -> None:
    """beta eta v^(beta+1) = lambda sigma^2 x^2 with v = -dx/dt, the derivative by central differences."""
    law, step = _law(beta), 1e-5
    for t in (0.01, 0.1, 0.3, 0.6):
        before, held, after = power_law_holdings(1e5, [t - step, t, t + step], law, 1e-5)
        speed = (before - after) / (2 * step)
        assert beta * law.eta * speed ** (beta + 1) == pytest.approx(1e-5 * 0.95**2 * held**2, rel=1e-5)


@pytest.mark.parametrize("beta", [0.5, 0.6, 2.0])
def test_the_path_is_cheaper_than_others_of_its_kind(beta: float) -> None:
    """The cost integral of x(c t) has its minimum at c = 1; cost and risk on a fine grid of time."""
    law, n = _law(beta), 20_000
    fine = PowerLawImpact(eta=law.eta, beta=beta, sigma=law.sigma, tau=40 / n)

    def objective(pace: float) -> float:
        held = power_law_holdings(1e5, [pace * 40 * k / n for k in range(n + 1)], fine, 1e-5)
        sizes = [a - b for a, b in pairwise(held)]
        risk = 1e-5 * 0.95**2 * fine.tau * sum(((a + b) / 2) ** 2 for a, b in pairwise(held))
        return power_law_mean_cost_dollars(sizes, fine) + risk

    assert objective(1.0) < min(objective(0.95), objective(1.05))


def test_beta_one_is_an_exponential() -> None:
    law = PowerLawImpact(eta=2.5e-6, beta=1.0, sigma=0.95)
    kappa = math.sqrt(1e-6 * 0.95**2 / 2.5e-6)

    held = power_law_holdings(1e6, [0, 1, 5], law, 1e-6)

    assert held == pytest.approx([1e6 * math.exp(-kappa * t) for t in (0, 1, 5)])


def test_above_beta_one_the_order_is_done_in_finite_time() -> None:
    """beta 2: T* = (2 eta X / (lambda sigma^2))^(1/3), done at 3 T*."""
    law = PowerLawImpact(eta=5e-11, beta=2.0, sigma=0.95)
    end = 3 * (2 * 5e-11 * 1e5 / (1e-5 * 0.95**2)) ** (1 / 3)

    just_before, at_end, later = power_law_holdings(1e5, [end * 0.99, end * 1.000001, 2 * end], law, 1e-5)

    # (1 - 0.99)^3 of the order
    assert just_before == pytest.approx(0.1, rel=1e-9)
    assert (at_end, later) == (0, 0)


def test_below_beta_one_a_tail_stays() -> None:
    assert power_law_holdings(1e5, [100], _law(0.5), 1e-5)[0] > 0


def test_at_beta_one_the_cost_is_the_linear_models() -> None:
    law = PowerLawImpact(eta=2.5e-6, beta=1.0, sigma=0.95, gamma=2.5e-7, epsilon=0.0625, tau=0.5)
    linear = AlmgrenChrissParams(eta=2.5e-6, gamma=2.5e-7, sigma=0.95, epsilon=0.0625, tau=0.5)
    sizes = [5e5, 3e5, 0.0, 2e5]

    assert power_law_mean_cost_dollars(sizes, law) == pytest.approx(expected_cost(sizes, linear))


def test_power_law_cost_by_hand() -> None:
    law = PowerLawImpact(eta=0.01, beta=0.5, sigma=1, gamma=0.001, epsilon=0.02, tau=4)

    # 0.0005 * (500^2 - 400^2 - 100^2) = 40; 0.02 * 500 = 10; 400 * 0.01 * 10 = 40; 100 * 0.01 * 5 = 5.
    assert power_law_mean_cost_dollars([400, 100], law) == pytest.approx(95)


@pytest.mark.parametrize("beta", [0.5, 0.6, 0.9, 1.3, 2.0])
def test_marginal_cost_turns_at_the_edge_of_the_convex_range(beta: float) -> None:
    """Second differences of one slice's cost beyond gamma X^2 / 2 change sign there."""
    law = PowerLawImpact(eta=1e-3, beta=beta, sigma=1, gamma=1e-5, tau=0.5)
    low, high = law.convex_range()
    edge = high if beta < 1 else low

    def bend(n: float) -> float:
        a, b, c = (
            power_law_mean_cost_dollars([n * s], law) - law.gamma * (n * s) ** 2 / 2 for s in (0.99, 1, 1.01)
        )
        return a - 2 * b + c

    assert bend(0.9 * edge) * (1 - beta) > 0
    assert bend(1.1 * edge) * (1 - beta) < 0


def test_without_permanent_impact_every_slice_is_convex() -> None:
    assert LAW.convex_range() == (0, math.inf)


def test_linear_impact_is_convex_everywhere_or_nowhere() -> None:
    def law(gamma: float) -> PowerLawImpact:
        return PowerLawImpact(eta=1.0, beta=1.0, sigma=1, gamma=gamma)

    assert law(1.9).convex_range() == (0, math.inf)  # eta - gamma tau / 2 = 0.05
    assert law(2.1).convex_range() == (math.inf, math.inf)


@pytest.mark.parametrize("beta", [0.6, 2.0])
def test_a_path_where_haste_is_rewarded_is_refused(beta: float) -> None:
    law = PowerLawImpact(eta=0.5 / 1e5**beta, beta=beta, sigma=0.95, gamma=1e-4)

    with pytest.raises(ValueError, match=r"gamma is 0.0001: .* expected that for 0 to 100000"):
        power_law_holdings(1e5, [0, 1], law, 1e-6)
