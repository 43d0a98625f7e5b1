"""The cheapest legal schedule of an order, or the exact reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.execution.checking import finite, not_negative, positive
from trading.execution.model.assembly import assemble
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory
from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.feasibility import Verdict, caps_of, judge, least_slice, said
from trading.execution.optimum.intervals import exactly
from trading.execution.optimum.solving import Impact, best_sizes

# The longest horizon that is planned when it follows from the order: four sessions in seconds.
MOST_INTERVALS = 100_000


@dataclass(frozen=True, slots=True)
class TradeSchedule:
    """A schedule and what is to be known about it.

    trajectory: strategy_name "optimal"; all N intervals of the horizon, empty ones too; None if nothing
    can be executed legally, or not all of it and no best effort was asked for. With a best effort its
    holdings end with what stays unexecuted, and cost and variance are those of the executed shares.
    intervals_used: intervals from the start up to the last slice that is not empty; 0 without trajectory
    (`trajectory.num_slices` counts the slices). max_slice_pct: the largest slice in percent of the order,
    0 to 100. meets_participation_constraint: the whole order is executed and no slice exceeds its cap.
    warnings: in words; for an infeasible problem first every reason. feasible: a legal schedule of the
    whole order exists.
    """

    trajectory: ExecutionTrajectory | None
    constraints: ScheduleConstraints
    intervals_used: int
    max_slice_pct: float
    meets_participation_constraint: bool
    warnings: tuple[str, ...] = ()
    feasible: bool = True


def optimize_schedule(
    order_size: float,
    params: AlmgrenChrissParams,
    expected_interval_volume: float | Sequence[float] | NDArray[Any],
    risk_aversion: float = 1e-6,
    constraints: ScheduleConstraints | None = None,
    *,
    best_effort: bool = False,
) -> TradeSchedule:
    """Return the schedule that minimises E + lambda V (and ticket fees) among all that keep `constraints`.

    E, V: Almgren and Chriss (2000), equations 8 and 5, with intervals of `params.tau` days. order_size
    [shares]; risk_aversion: lambda [1/$]. expected_interval_volume: market volume of an interval [shares]:

    - a profile, shape (N,): the horizon is these intervals, at most the first `max_intervals` of them; a
      profile shorter than `min_intervals` is infeasible. 0 is a halted interval: nothing is traded there;
    - a number, the same for all: the horizon is `max_intervals` if given, else the fewest intervals into
      which the order fits, at least `min_intervals`.

    Both limits speak of the horizon; empty slices within it are allowed. With a `lot_size` an order that
    is not a whole number of lots is infeasible: no odd rest is hidden in a slice. Of schedules of equal cost
    the earliest is returned: in lots the list of sizes that is larger where two first differ, in fractions
    the pattern that trades where two first differ. Ticket fees decide the schedule with the rest, but are no
    part of `trajectory.expected_cost`, which stays the model's E; a warning names their sum. A warning
    also says so if the optimum was not proven (a least slice, a limit on children or a fee, and too many
    patterns to look at all).

    constraints: None: the defaults of `ScheduleConstraints`. best_effort: when the order cannot be executed
    as asked, return the schedule that executes the most of it, still with `feasible` False.

    Raises:
        ValueError: if an argument is invalid (NaN, infinite, negative; no volume anywhere; an empty or
            two-dimensional profile), risk_aversion is negative, or eta - gamma tau / 2 is not positive.
            An infeasible problem does not raise.
    """
    positive("order_size", order_size)
    _check_risk_aversion(risk_aversion)
    limits = constraints if constraints is not None else ScheduleConstraints()
    risk = finite("risk_aversion * sigma^2", risk_aversion * params.sigma * params.sigma)
    impact = Impact(eta_tilde=params.convex_eta(), risk=risk, tau=params.tau)
    caps, verdict = _caps_and_verdict(order_size, expected_interval_volume, limits)
    if verdict.executable == 0 or (verdict.reasons and not best_effort):
        return TradeSchedule(None, limits, 0, 0.0, False, verdict.reasons, feasible=False)
    sizes, gap = best_sizes(verdict.executable, caps, limits, impact)
    return TradeSchedule(
        trajectory=_trajectory(order_size, sizes, verdict, params, float(risk_aversion)),
        constraints=limits,
        intervals_used=max(k + 1 for k, size in enumerate(sizes) if size > 0),
        max_slice_pct=min(100.0, 100.0 * max(sizes) / float(order_size)),
        meets_participation_constraint=not verdict.reasons and _keeps_caps(sizes, caps),
        warnings=(*verdict.reasons, *_remarks(order_size, sizes, verdict, gap, limits)),
        feasible=not verdict.reasons,
    )


def _check_risk_aversion(risk_aversion: float) -> None:
    if finite("risk_aversion", risk_aversion) < 0:
        raise ValueError(
            f"risk_aversion is {risk_aversion!r}: expected a number from 0 up; below 0 risk would be sought, "
            "and under caps the cheapest schedule is then no longer unique or easily found"
        )


def _caps_and_verdict(
    order_size: float, expected: float | Sequence[float] | NDArray[Any], limits: ScheduleConstraints
) -> tuple[list[Fraction], Verdict]:
    """Return the cap of each interval of the horizon [shares], and whether the order fits into them."""
    if np.ndim(_as_array(expected)) == 0:
        cap = caps_of([positive("expected_interval_volume", expected)], limits)[0]  # type: ignore[arg-type]
        horizon = _fewest(order_size, cap, limits)
        if horizon > MOST_INTERVALS:
            reason = (
                f"the order needs {horizon} intervals of at most {said(cap)} shares: more than the "
                f"{MOST_INTERVALS} that are planned; give max_intervals to end earlier"
            )
            return [], Verdict(executable=Fraction(0), reasons=(reason,))
        caps = [cap] * horizon
    else:
        caps = caps_of(_profile(expected)[: limits.max_intervals], limits)
    return caps, judge(order_size, caps, limits)


def _fewest(order_size: float, cap: Fraction, limits: ScheduleConstraints) -> int:
    """Return the horizon under equal caps; where the order fits into none, the least one allowed."""
    if limits.max_intervals is not None:
        return limits.max_intervals
    if cap == 0 or cap < least_slice(limits):
        return limits.min_intervals
    return max(limits.min_intervals, math.ceil(exactly(order_size) / cap))


def _as_array(expected: object) -> NDArray[Any]:
    try:
        return np.asarray(expected)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected_interval_volume is {expected!r}: expected a number or a list of numbers"
        ) from error


def _profile(expected: object) -> list[float]:
    """Return the profile as floats, checked. Raises ValueError naming the interval that is wrong."""
    array = _as_array(expected)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"expected_interval_volume has shape {array.shape}: expected a number or a profile of shape (N,) "
            "with N >= 1"
        )
    volumes = [
        not_negative(f"expected_interval_volume[{k}]", volume) for k, volume in enumerate(array.tolist())
    ]
    if not any(volumes):
        raise ValueError(
            f"expected_interval_volume is 0 in all {len(volumes)} intervals: expected volume in at least one"
        )
    return volumes


def _trajectory(
    order_size: float,
    sizes: Sequence[float],
    verdict: Verdict,
    params: AlmgrenChrissParams,
    risk_aversion: float,
) -> ExecutionTrajectory:
    unexecuted = float(exactly(order_size) - verdict.executable)
    traded = np.array(sizes, dtype=np.float64)
    holdings = np.append(np.cumsum(traded[::-1])[::-1], 0.0) + unexecuted
    holdings[0] = float(order_size)  # what adding up rounds, in the last digit
    return assemble(traded, holdings, params, strategy_name="optimal", risk_aversion=risk_aversion)


def _keeps_caps(sizes: Sequence[float], caps: Sequence[Fraction]) -> bool:
    return all(size <= float(cap) * (1 + 1e-12) for size, cap in zip(sizes, caps, strict=True))


def _remarks(
    order_size: float,
    sizes: Sequence[float],
    verdict: Verdict,
    gap: float,
    limits: ScheduleConstraints,
) -> list[str]:
    remarks = []
    if verdict.reasons:
        remarks.append(
            f"best effort: executes {said(verdict.executable)} of {said(exactly(order_size))} shares, leaves "
            f"{said(exactly(order_size) - verdict.executable)}"
        )
    slices = sum(1 for size in sizes if size > 0)
    if limits.ticket_fee > 0:
        remarks.append(
            f"ticket fees come on top of expected_cost: {slices} x {limits.ticket_fee:.2f} $ = "
            f"{slices * limits.ticket_fee:.2f} $"
        )
    if gap > 0:
        remarks.append(
            "not proven optimal: the search for the intervals that trade was cut short; temporary impact, "
            f"lambda times variance and fees are at most {100 * gap:.2g} % above their least sum"
        )
    return remarks
