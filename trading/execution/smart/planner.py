"""Plans for whole orders and for what is left of them. Pure and light."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from trading.execution.errors import PlanError
from trading.execution.facts import MarketFacts
from trading.execution.orders import ParentOrder
from trading.execution.smart.algorithm import Conditions, PlanRequest
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.choice import choose
from trading.execution.smart.plan import ExecutionPlan, SessionHours


def end_of(order: ParentOrder, hours: SessionHours) -> datetime:
    """Return when the order's horizon ends: with its session, or before."""
    return min(hours.close, order.not_after or hours.close)


def horizon(order: ParentOrder, hours: SessionHours, now: datetime) -> tuple[datetime, datetime]:
    """Return when the order may still be worked: [start, end) within the session.

    Raises:
        PlanError: if nothing of it is left.
    """
    start = max(hours.open, order.not_before or hours.open, now)
    end = end_of(order, hours)
    if start >= end:
        raise PlanError(
            f"no time is left for the order: it may be worked until {end:%Y-%m-%d %H:%M} UTC, and it is "
            f"{now:%Y-%m-%d %H:%M} UTC"
        )
    return start, end


def first_plan(order: ParentOrder, facts: MarketFacts, hours: SessionHours, now: datetime) -> ExecutionPlan:
    """Return the plan of a whole order, by the algorithm that fits it; an infeasible one says why.

    Raises:
        PlanError: if nothing of its horizon is left.
        ValueError: if its algorithm is not known.
    """
    start, end = horizon(order, hours, now)
    choice = choose(order, facts, hours, start, end)
    request = PlanRequest(
        order=order,
        facts=facts,
        hours=hours,
        choice=choice,
        quantity=order.quantity,
        start=start,
        end=end,
        now=now,
    )
    return ALGORITHMS[choice.algorithm].plan(request)


def new_plan(
    order: ParentOrder,
    facts: MarketFacts,
    hours: SessionHours,
    now: datetime,
    *,
    previous: ExecutionPlan,
    filled: int,
    quantity: int,
    cause: str,
    conditions: Conditions | None = None,
) -> ExecutionPlan:
    """Return the plan of what is left, by the same algorithm.

    What no longer fits under the caps until the end is left out, and the plan says so: it will be reported as
    not done rather than sent at the end. filled: shares done; quantity: shares neither filled nor open.

    Raises:
        PlanError: if nothing of the horizon is left.
    """
    start, end = horizon(order, hours, now)
    request = PlanRequest(
        order=order,
        facts=facts,
        hours=hours,
        choice=previous.choice,
        quantity=quantity,
        start=start,
        end=end,
        now=now,
        number=previous.number + 1,
        cause=cause,
        conditions=conditions,
        previous=previous,
    )
    return replace(ALGORITHMS[previous.algorithm].plan(request), already_filled=filled)
