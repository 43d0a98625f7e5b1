"""Algorithms that plan a quantity for each slice of the horizon; they differ in how they divide the lots.
Pure and light."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import mode

from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.smart.algorithm import PlanRequest, Progress, Step
from trading.execution.smart.algorithms.apportion import whole_slices
from trading.execution.smart.algorithms.steps import sliced_step
from trading.execution.smart.algorithms.words import capacity, doubts, why_not
from trading.execution.smart.plan import ExecutionPlan, PlannedSlice
from trading.execution.smart.planning import (
    SLICE,
    Interval,
    cost_and_variance,
    intervals_of,
    params_of,
)

LONGER = (1, 2, 3, 6, 12)
"""Lengths of a slice that are tried, in slices: where five minutes have no room for a lot or for min_slice,
an hour may."""
LEAST_WORTH = 2_500.0
"""$: what a slice should be worth on average. A ticket of 1 $ is 4 basis points of it; 700 shares of 50 $ in
78 slices of 9 would be tickets and little else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """What is to be divided among intervals.

    lots: of lot_size shares each; caps: most lots per interval, with room for all of them; least: fewest
    lots of a slice that is not empty; params: their tau is the length of a full slice; risk_aversion:
    lambda [1/$].
    """

    lots: int
    caps: tuple[int, ...]
    least: int
    lot_size: int
    intervals: tuple[Interval, ...]
    params: AlmgrenChrissParams
    risk_aversion: float


Divider = Callable[[Division], Sequence[float]]
"""Lots wanted in each interval: they sum to `lots` and none is above its cap; fractions are rounded after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedAlgorithm:
    """An algorithm that is nothing but a way of dividing. slice_length: of a slice, unless it must be
    longer."""

    name: str
    divide: Divider
    slice_length: timedelta = SLICE

    def plan(self, request: PlanRequest) -> ExecutionPlan:
        return plan_slices(request, self.name, self.divide, self.slice_length)

    def step(self, progress: Progress) -> Step:
        return sliced_step(progress)


def plan_slices(
    request: PlanRequest,
    name: str,
    divide: Divider,
    slice_length: timedelta = SLICE,
    longer: Sequence[int] = LONGER,
) -> ExecutionPlan:
    """Return the plan with the shortest slices that hold the quantity and are worth LEAST_WORTH on average;
    if none are, with the longest. With a slice_length of somebody's choice worth does not count, and a later
    plan's slices become no longer for it: near the end the last shares need their tries.

    If none hold it, a first plan is infeasible. A later one, whose order has begun, gives up min_slice, and
    then plans as much as fits: its quantity is less than asked for, and its reasons say by how much.

    Raises:
        ValueError: if the horizon or the quantity is impossible.
    """
    if request.quantity < 1:
        raise ValueError(f"quantity is {request.quantity!r}: expected at least one share to plan")
    grids, found = [], None
    for length in longer:
        grid = _intervals(request, slice_length * length)
        grids.append(grid)
        sizes = _sizes(request, divide, grid, request.quantity, request.order.min_slice)
        found = found if sizes is None else (grid, sizes)
        is_long = slice_length != SLICE or _is_as_long_as_before(request, slice_length * length)
        if sizes is not None and (is_long or _is_worth_it(request, sizes)):
            break
    if found is not None:
        return _plan(request, name, *found)
    roomiest = max(grids, key=lambda grid: capacity(grid, request.order.lot_size))
    if request.previous is None:
        return infeasible(request, name, why_not(request, roomiest))
    return _plan_what_fits(request, name, divide, grids, roomiest)


def _is_worth_it(request: PlanRequest, sizes: Sequence[int]) -> bool:
    """Whether the slices that are not empty are worth LEAST_WORTH on average."""
    return price_of(request) * sum(sizes) >= LEAST_WORTH * sum(size > 0 for size in sizes)


def _is_as_long_as_before(request: PlanRequest, length: timedelta) -> bool:
    """Whether slices of `length` are as long as most of the plan that is replaced; False: there is none."""
    before = [each.end - each.start for each in request.previous.slices] if request.previous else []
    return bool(before) and length >= mode(before)


def _intervals(request: PlanRequest, length: timedelta) -> tuple[Interval, ...]:
    return tuple(
        intervals_of(request.order, request.facts, request.hours, request.start, request.end, length)
    )


def _sizes(
    request: PlanRequest,
    divide: Divider,
    grid: tuple[Interval, ...],
    quantity: int,
    least: int,
) -> list[int] | None:
    """Return shares per interval, each 0 or at least `least`; None: they do not fit."""
    order = request.order
    if not grid:
        return None
    params = params_of(request.facts, max(interval.days for interval in grid))

    def sizes_of(lots: int, caps: list[int]) -> Sequence[float]:
        return divide(
            Division(
                lots=lots,
                caps=tuple(caps),
                least=max(1, -(-least // order.lot_size)),
                lot_size=order.lot_size,
                intervals=grid,
                params=params,
                risk_aversion=order.risk_aversion,
            )
        )

    return whole_slices(quantity, [interval.cap for interval in grid], order.lot_size, least, sizes_of)


def _plan_what_fits(
    request: PlanRequest,
    name: str,
    divide: Divider,
    grids: Sequence[tuple[Interval, ...]],
    roomiest: tuple[Interval, ...],
) -> ExecutionPlan:
    """Plan the rest of an order that has begun: better below min_slice, or in part, than not at all."""
    for grid in grids:
        sizes = _sizes(request, divide, grid, request.quantity, least=0)
        if sizes is not None:
            warning = f"the rest does not fit into slices of min_slice {request.order.min_slice:,}"
            return _plan(request, name, grid, sizes, warnings=(warning,))
    fits, why = capacity(roomiest, request.order.lot_size), why_not(request, roomiest)
    sizes = _sizes(request, divide, roomiest, fits, least=0) if fits else None
    if sizes is None:
        return infeasible(request, name, why)
    return _plan(request, name, roomiest, sizes, reasons=(why,))


def _plan(
    request: PlanRequest,
    name: str,
    grid: Sequence[Interval],
    sizes: Sequence[int],
    *,
    reasons: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> ExecutionPlan:
    cost, variance = cost_and_variance(params_of(request.facts), grid, sizes)
    price = price_of(request)
    slices = tuple(
        PlannedSlice(start=i.start, end=i.end, quantity=size, expected_volume=i.volume)
        for i, size in zip(grid, sizes, strict=True)
    )
    return ExecutionPlan(
        parent_id=request.order.parent_id,
        number=request.number,
        made_at=request.now,
        cause=request.cause,
        algorithm=name,
        inner=name,
        choice=request.choice,
        quantity=sum(sizes),
        slices=slices,
        expected_cost=cost,
        variance=variance,
        expected_cost_bps=1e4 * cost / (price * sum(sizes)),
        price=price,
        profile=profile_of(request),
        reasons=reasons,
        warnings=(*reasons, *warnings, *doubts(request, grid, sizes)),
    )


def infeasible(request: PlanRequest, name: str, *reasons: str) -> ExecutionPlan:
    """Return the plan of an order that cannot be done: no slices, no cost, and why."""
    return ExecutionPlan(
        parent_id=request.order.parent_id,
        number=request.number,
        made_at=request.now,
        cause=request.cause,
        algorithm=name,
        inner=name,
        choice=request.choice,
        quantity=request.quantity,
        slices=(),
        expected_cost=0.0,
        variance=0.0,
        expected_cost_bps=0.0,
        price=price_of(request),
        profile=profile_of(request),
        is_feasible=False,
        reasons=reasons,
    )


def price_of(request: PlanRequest) -> float:
    """Return the price costs are compared with: the arrival price once it is known, before it the facts'."""
    arrival = request.order.arrival_price
    return request.facts.price if arrival is None else float(arrival)


def profile_of(request: PlanRequest) -> str:
    """Return where the volume curve is from, in words."""
    facts = request.facts
    return dict(facts.sources).get("profile", f"facts of {facts.as_of}")
