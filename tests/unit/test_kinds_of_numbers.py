"""Numbers come as ints, Decimals, Fractions and numpy's: they mean the same, and what is none is refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from trading.execution.checking import finite, whole
from trading.execution.model.almgren_chriss import generate_ac_trajectory
from trading.execution.model.baselines import generate_vwap_trajectory
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.schedule import TradeSchedule, optimize_schedule

PENNY = AlmgrenChrissParams(eta=4e-5, gamma=4e-6, sigma=0.025, epsilon=0.01, tau=1.0, price=0.50)
KINDS = [int, float, Decimal, Fraction, np.int64, np.float64, np.float32, np.array]


def sizes_of(schedule: TradeSchedule) -> list[float]:
    assert schedule.trajectory is not None
    return [float(size) for size in schedule.trajectory.trade_sizes]


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_of_any_kind_is_that_number(kind: Any) -> None:
    assert finite("x", kind(5)) == 5
    assert type(finite("x", kind(5))) is float
    assert type(whole("x", kind(5), 1)) is int


@pytest.mark.parametrize("value", [True, np.True_, np.array(True), "5", b"5", bytearray(b"5"), None, [5], 5j])
def test_what_is_no_number_is_refused_although_float_would_take_some(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^x is .*: expected a finite number"):
        finite("x", value)


@pytest.mark.parametrize("kind", KINDS)
def test_constraints_of_any_kind_give_the_same_schedule(kind: Any) -> None:
    limits = ScheduleConstraints(
        max_participation_rate=Decimal("0.1"),  # type: ignore[arg-type]  # that is the point
        min_slice_size=kind(200),
        max_slice_size=kind(4000),
        min_intervals=kind(2),
        max_intervals=kind(4),
        lot_size=kind(100),
        max_children=kind(3),
        ticket_fee=kind(3),
    )

    schedule = optimize_schedule(kind(5000), PENNY, [50_000, 0, 20_000, 40_000, 90_000], 1e-5, limits)

    plain = ScheduleConstraints(0.1, 200.0, 4000.0, 2, 4, 100, 3, 3.0)
    assert limits == plain
    assert sizes_of(schedule) == sizes_of(
        optimize_schedule(5000.0, PENNY, [50_000, 0, 20_000, 40_000, 90_000], 1e-5, plain)
    )


@pytest.mark.parametrize("kind", [Decimal, Fraction, np.float64, np.array])
def test_params_and_aversion_of_any_kind_give_the_same_trajectory(kind: Any) -> None:
    eta: Any = Decimal("4e-5") if kind is Decimal else kind(4e-5)

    params = AlmgrenChrissParams(eta, 4e-6, 0.025, 0.01, kind(1))

    assert [type(value) for value in (params.eta, params.tau)] == [float, float]
    aversion = kind(1) / 8
    assert (
        generate_ac_trajectory(5000, 10, params, aversion).trade_sizes.tolist()
        == generate_ac_trajectory(5000, 10, PENNY, 0.125).trade_sizes.tolist()
    )
    assert sizes_of(optimize_schedule(5000, params, 8000, aversion)) == sizes_of(
        optimize_schedule(5000, PENNY, 8000, 0.125)
    )


@pytest.mark.parametrize(
    "profile", [(10_000, 30_000), np.array([10_000, 30_000], dtype=np.uint16), [Decimal(10_000), 3e4]]
)
def test_a_profile_of_any_kind_is_read_alike(profile: Any) -> None:
    assert generate_vwap_trajectory(4000, profile).trade_sizes.tolist() == [1000, 3000]
    assert sizes_of(optimize_schedule(4000, PENNY, profile)) == [1000, 3000]


@pytest.mark.parametrize("profile", [[True, False], ["1", "2"], [1, None], [1, np.nan], {1: 2}, "12"])
def test_a_profile_of_no_numbers_is_refused_by_name(profile: Any) -> None:
    with pytest.raises(ValueError, match=r"^expected_interval_volume"):
        optimize_schedule(4000, PENNY, profile)
    with pytest.raises(ValueError, match=r"^volume_profile"):
        generate_vwap_trajectory(4000, profile)
