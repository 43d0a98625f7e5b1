"""Equal slices, slices by volume and one order at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.execution.model.baselines import (
    generate_market_order_trajectory,
    generate_twap_trajectory,
    generate_vwap_trajectory,
)
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory

PARAMS = AlmgrenChrissParams(eta=4e-5, gamma=4e-6, sigma=0.025, epsilon=0.01, tau=0.1, price=0.5)


def _twap(size: Any) -> ExecutionTrajectory:
    return generate_twap_trajectory(size, 10)


def _vwap(size: Any) -> ExecutionTrajectory:
    return generate_vwap_trajectory(size, [1, 2])


def _market(size: Any) -> ExecutionTrajectory:
    return generate_market_order_trajectory(size)


def test_twap_trades_the_same_in_every_interval() -> None:
    twap = generate_twap_trajectory(5000, duration_periods=4)

    assert twap.trade_sizes.tolist() == [1250] * 4
    assert twap.holdings.tolist() == [5000, 3750, 2500, 1250, 0]
    assert twap.strategy_name == "twap"


def test_vwap_follows_the_volume() -> None:
    vwap = generate_vwap_trajectory(5000, volume_profile=np.array([1, 2, 3, 2, 1, 1]))

    assert vwap.trade_sizes.tolist() == [500, 1000, 1500, 1000, 500, 500]
    assert vwap.holdings.tolist() == [5000, 4500, 3500, 2000, 1000, 500, 0]
    assert vwap.strategy_name == "vwap"


def test_vwap_trades_nothing_in_a_halted_interval() -> None:
    assert generate_vwap_trajectory(300, [2, 0, 1]).trade_sizes.tolist() == [200, 0, 100]


def test_vwap_of_a_flat_profile_is_twap() -> None:
    vwap = generate_vwap_trajectory(1000, [7.5] * 13)

    assert vwap.trade_sizes == pytest.approx(generate_twap_trajectory(1000, 13).trade_sizes, rel=1e-15)


def test_vwap_takes_volumes_of_any_size() -> None:
    assert generate_vwap_trajectory(4, [1e308, 1e308, 1e308, 1e308]).trade_sizes.tolist() == [1, 1, 1, 1]
    assert generate_vwap_trajectory(4, [5e-324, 5e-324]).trade_sizes.tolist() == [2, 2]


def test_market_order_is_one_slice() -> None:
    market = generate_market_order_trajectory(5000)

    assert market.trade_sizes.tolist() == [5000]
    assert market.holdings.tolist() == [5000, 0]
    assert market.times.tolist() == [0, 1]
    assert market.strategy_name == "market"


def test_without_params_nothing_is_costed_and_an_interval_is_a_day() -> None:
    for trajectory in (generate_twap_trajectory(300, 3), generate_vwap_trajectory(300, [1, 1, 1])):
        assert (trajectory.expected_cost, trajectory.variance, trajectory.params) == (0.0, 0.0, None)
        assert trajectory.times.tolist() == [0, 1, 2, 3]


def test_with_params_cost_and_risk_are_told() -> None:
    """eta~ = 4e-5 - 4e-6 * 0.1 / 2 = 3.98e-5; slices 500, 1500 of 2000 shares."""
    vwap = generate_vwap_trajectory(2000, [1, 3], PARAMS)

    # 4e-6 * 2000^2 / 2 = 8; 0.01 * 2000 = 20; 3.98e-4 * (250,000 + 2,250,000) = 995.
    assert vwap.expected_cost == pytest.approx(8 + 20 + 995)
    assert vwap.variance == pytest.approx(0.025**2 * 0.1 * 1500**2)
    assert vwap.times == pytest.approx([0, 0.1, 0.2])


def test_whole_lots_are_rounded_and_the_total_is_kept() -> None:
    assert generate_twap_trajectory(1050, 4, lot_size=100).trade_sizes.tolist() == [300, 300, 200, 250]
    assert generate_vwap_trajectory(1050, [1, 3, 0], lot_size=100).trade_sizes.tolist() == [300, 750, 0]


def test_arrays_of_a_trajectory_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        generate_twap_trajectory(100, 2).trade_sizes[0] = 1


@given(
    size=st.floats(1e-3, 1e9),
    profile=st.lists(st.floats(0, 1e9), min_size=1, max_size=60).filter(any),
)
def test_vwap_conserves_the_order(size: float, profile: list[float]) -> None:
    vwap = generate_vwap_trajectory(size, profile)

    assert vwap.trade_sizes.sum() == pytest.approx(size, rel=1e-14)
    assert vwap.holdings[0] == size
    assert vwap.holdings[-1] == 0
    assert (vwap.trade_sizes >= 0).all()
    assert (np.diff(vwap.holdings) <= 0).all()


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        ([], r"volume_profile has shape \(0,\)"),
        ([[1, 2], [3, 4]], r"volume_profile has shape \(2, 2\)"),
        (7, r"volume_profile has shape \(\)"),
        ([1, [2, 3]], r"volume_profile is \[1, \[2, 3\]\]"),
        ([0, 0.0, 0], "volume_profile is 0 in all 3 intervals"),
        ([1, -2, 3], r"volume_profile\[1\] is -2"),
        ([1, 2, math.nan], r"volume_profile\[2\] is nan"),
        ([math.inf, 2], r"volume_profile\[0\] is inf"),
        (["1", "2"], r"volume_profile is \['1', '2'\]"),
        ("12", r"volume_profile has shape"),
        ([True, False], r"volume_profile is \[True, False\]"),
        ([1, None], r"volume_profile\[1\] is None"),
        ([1 + 2j], "volume_profile is"),
    ],
)
def test_a_bad_profile_is_named_with_its_value(profile: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        generate_vwap_trajectory(5000, profile)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("generate", [_twap, _vwap, _market])
@pytest.mark.parametrize("size", [0, -5, math.nan, math.inf, "100", None])
def test_a_bad_order_size_is_named_with_its_value(
    size: object, generate: Callable[[Any], ExecutionTrajectory]
) -> None:
    with pytest.raises(ValueError, match=r"^order_size is ") as refusal:
        generate(size)

    assert repr(size) in str(refusal.value)


@pytest.mark.parametrize("periods", [0, -1, 1.5, math.nan, "3", None])
def test_a_bad_duration_is_named_with_its_value(periods: object) -> None:
    with pytest.raises(ValueError, match=r"^duration_periods is "):
        generate_twap_trajectory(100, periods)  # type: ignore[arg-type]  # that is the point
