"""The cheapest legal schedule of an order, or the exact reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.execution.checking import finite, positive
from trading.execution.model.assembly import assemble, held_after
from trading.execution.model.baselines import checked_profile
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory
from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.feasibility import (
    EXACT,
    Exact,
    Verdict,
    ample_caps,
    caps_of,
    judge,
    least_slice,
    said,
)
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
    size, aversion = positive("order_size", order_size), _checked_aversion(risk_aversion)
    limits = constraints if constraints is not None else ScheduleConstraints()
    _check_lots(size, limits.lot_size)
    risk = finite("risk_aversion * sigma^2", aversion * params.sigma * params.sigma)
    impact = Impact(eta_tilde=params.convex_eta(), risk=risk, tau=params.tau)
    caps, verdict = _caps_and_verdict(size, expected_interval_volume, limits)
    if verdict.executable == 0 or (verdict.reasons and not best_effort):
        return TradeSchedule(None, limits, 0, 0.0, False, verdict.reasons, feasible=False)
    sizes, gap = best_sizes(verdict.executable, caps, limits, impact)
    return TradeSchedule(
        trajectory=_trajectory(size, sizes, verdict, params, aversion),
        constraints=limits,
        intervals_used=next(k for k in range(len(sizes), 0, -1) if sizes[k - 1] > 0),
        max_slice_pct=min(100.0, 100.0 * max(sizes) / size),
        meets_participation_constraint=not verdict.reasons and _keeps_caps(sizes, caps),
        warnings=(*verdict.reasons, *_remarks(size, sizes, verdict, gap, limits)),
        feasible=not verdict.reasons,
    )


def _checked_aversion(risk_aversion: float) -> float:
    aversion = finite("risk_aversion", risk_aversion)
    if aversion < 0:
        raise ValueError(
            f"risk_aversion is {risk_aversion!r}: expected a number from 0 up; below 0 risk would be sought, "
            "and under caps the cheapest schedule is then no longer unique or easily found"
        )
    return aversion


def _check_lots(order_size: float, lot_size: int | None) -> None:
    if lot_size is not None and order_size / lot_size > EXACT:
        raise ValueError(
            f"order_size is {order_size!r}: expected at most {EXACT * lot_size:g} shares in lots of "
            f"{lot_size}; sizes are floats, which skip whole numbers beyond"
        )


def _caps_and_verdict(
    order_size: float, expected: float | Sequence[float] | NDArray[Any], limits: ScheduleConstraints
) -> tuple[Sequence[Exact | float], Verdict]:
    """Return the cap of each interval of the horizon [shares], and whether the order fits into them."""
    if _is_number(expected):
        volume = positive("expected_interval_volume", expected)  # type: ignore[arg-type]  # it is one
        horizon = _fewest(order_size, caps_of([volume], limits)[0], limits)
        if horizon > MOST_INTERVALS:
            reason = (
                f"the horizon would be {said(horizon)} intervals, more than the {MOST_INTERVALS} that are "
                "planned; end it earlier with max_intervals"
            )
            return [], Verdict(executable=0, reasons=(reason,))
        volumes = [volume] * horizon
    else:
        profile = checked_profile("expected_interval_volume", expected)
        volumes = profile[: limits.max_intervals].tolist()
    ample = ample_caps(order_size, volumes, limits)
    if ample is not None:
        return ample, Verdict(executable=exactly(order_size), reasons=())
    caps = caps_of(volumes, limits)
    return caps, judge(order_size, caps, limits)


def _is_number(expected: object) -> bool:
    """Return whether this is meant as one number and not as a list, right or wrong."""
    if hasattr(expected, "ndim"):
        return bool(expected.ndim == 0)
    return isinstance(expected, (str, bytes)) or not hasattr(expected, "__len__")


def _fewest(order_size: float, cap: Exact, limits: ScheduleConstraints) -> int:
    """Return the horizon under equal caps; where the order fits into none, the least one allowed."""
    if limits.max_intervals is not None:
        return limits.max_intervals
    if cap == 0 or cap < least_slice(limits):
        return limits.min_intervals
    return max(limits.min_intervals, math.ceil(exactly(order_size) / cap))


def _trajectory(
    order_size: float,
    sizes: Sequence[float],
    verdict: Verdict,
    params: AlmgrenChrissParams,
    risk_aversion: float,
) -> ExecutionTrajectory:
    traded = np.array(sizes, dtype=np.float64)
    holdings = held_after(traded) + float(exactly(order_size) - verdict.executable)
    holdings[0] = order_size  # what adding up rounds, in the last digit
    return assemble(traded, holdings, params, strategy_name="optimal", risk_aversion=risk_aversion)


def _keeps_caps(sizes: Sequence[float], caps: Sequence[Exact | float]) -> bool:
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
    if limits.ticket_fee > 0:
        slices = sum(1 for size in sizes if size > 0)
        remarks.append(
            f"ticket fees come on top of expected_cost: {slices} x {_dollars(limits.ticket_fee)} = "
            f"{_dollars(slices * limits.ticket_fee)}"
        )
    if gap > 0:
        remarks.append(
            "not proven optimal: the search for the intervals that trade was cut short; temporary impact, "
            f"lambda times variance and fees are at most {100 * gap:.2g} % above their least sum"
        )
    return remarks


def _dollars(amount: float) -> str:
    return f"{amount:.2f} $" if amount < 1e15 else f"{amount:g} $"
