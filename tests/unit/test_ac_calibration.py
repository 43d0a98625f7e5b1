"""The rule of thumb for the parameters, and what is said when it cannot be trusted."""

from __future__ import annotations

import math
import warnings

import pytest

from trading.execution.model.calibration import (
    LinearImpactWarning,
    calibrate_ac_params,
    impact_check,
    linear_rule_params,
)
from trading.execution.model.params import AlmgrenChrissParams


def test_a_cheap_share_with_a_wide_spread() -> None:
    with pytest.warns(LinearImpactWarning):
        params = calibrate_ac_params(daily_volume=50000, daily_spread=0.02, daily_volatility=0.05, price=0.50)

    assert params.epsilon == 0.01
    assert params.eta == pytest.approx(4e-5, rel=1e-15)
    assert params.gamma == pytest.approx(4e-6, rel=1e-15)
    assert params.sigma == 0.025
    assert (params.price, params.tau) == (0.50, 1.0)


def test_the_papers_own_share() -> None:
    """Section 3.4 of Almgren and Chriss 2000: 5 million a day, 1/8 spread, 1.9 % a day, $50."""
    params = linear_rule_params(5e6, 0.125, 0.019, 50, tau=0.1)

    expected = AlmgrenChrissParams(eta=2.5e-6, gamma=2.5e-7, sigma=0.95, epsilon=0.0625, tau=0.1, price=50.0)
    for name in ("eta", "gamma", "sigma", "epsilon", "tau", "price"):
        assert getattr(params, name) == pytest.approx(getattr(expected, name), rel=1e-15)


def test_the_warning_gives_both_numbers_in_basis_points() -> None:
    """10 % of the volume in a day: 4e-5 * 5000 = $0.20 of $0.50; 0.142 * 0.05 * 0.1^0.6 = 17.83 bp."""
    with pytest.warns(LinearImpactWarning, match=r"4000 bp .* 17\.83 bp .*ratio 224"):
        calibrate_ac_params(50000, 0.02, 0.05, 0.50)


def test_the_warning_points_at_the_caller() -> None:
    with pytest.warns(LinearImpactWarning) as caught:
        calibrate_ac_params(50000, 0.02, 0.05, 0.50)

    assert caught[0].filename == __file__


def test_a_liquid_share_gives_no_warning() -> None:
    # A spread of 1 bp at 2 % volatility: 10 bp against 7.1 bp. Warnings are errors in these tests.
    params = calibrate_ac_params(5e7, 0.02, 0.02, 200)

    assert impact_check(params, 5e7, 0.02).ratio == pytest.approx(10 / 7.1338, rel=1e-4)


@pytest.mark.parametrize(("ratio", "warns"), [(0.19, True), (0.21, False), (4.9, False), (5.1, True)])
def test_the_warning_begins_at_a_factor_of_five(ratio: float, warns: bool) -> None:
    # linear: 10 spreads; empirical: 7.13378 bp of $100, $0.0713378.
    spread = ratio * 0.0713378 / 10
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        calibrate_ac_params(1e6, spread, 0.02, 100)

    assert bool(caught) is warns


def test_the_rule_alone_never_warns() -> None:
    with pytest.warns(LinearImpactWarning):
        warned = calibrate_ac_params(50000, 0.02, 0.05, 0.50)

    assert linear_rule_params(50000, 0.02, 0.05, 0.50) == warned


def test_a_check_shows_the_numbers_without_a_warning() -> None:
    check = impact_check(linear_rule_params(5e6, 0.125, 0.019, 50), 5e6, 0.019)

    assert check.linear_bps == pytest.approx(250)
    assert check.empirical_bps == pytest.approx(6.777, abs=1e-3)
    assert check.ratio == pytest.approx(36.9, abs=0.05)
    assert check.is_far


def test_a_share_that_never_moves_is_infinitely_far() -> None:
    check = impact_check(linear_rule_params(5e6, 0.125, 0.0, 50), 5e6, 0.0)

    assert check.ratio == math.inf
    assert check.is_far


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "1", None])
@pytest.mark.parametrize("name", ["daily_volume", "daily_spread", "price", "tau"])
def test_a_bad_argument_is_named_with_its_value(name: str, bad: object) -> None:
    arguments: dict[str, object] = {
        "daily_volume": 50000,
        "daily_spread": 0.02,
        "daily_volatility": 0.05,
        "price": 0.5,
    }
    arguments[name] = bad

    with pytest.raises(ValueError, match=f"^{name} is ") as refusal:
        calibrate_ac_params(**arguments)  # type: ignore[arg-type]  # that is the point

    assert repr(bad) in str(refusal.value)


@pytest.mark.parametrize("bad", [-0.01, math.nan, math.inf, "1"])
def test_a_bad_volatility_is_named_with_its_value(bad: object) -> None:
    with pytest.raises(ValueError, match=r"^daily_volatility is "):
        calibrate_ac_params(50000, 0.02, bad, 0.5)  # type: ignore[arg-type]  # that is the point


def test_a_check_needs_a_price() -> None:
    with pytest.raises(ValueError, match=r"^params\.price is None"):
        impact_check(AlmgrenChrissParams(eta=1e-6, gamma=0.0, sigma=1.0), 1e6, 0.02)
