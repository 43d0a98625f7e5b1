"""Orders, facts and sessions with round numbers, and a market that fills what it is sent: for tests of
plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from trading.execution.facts import MarketFacts
from trading.execution.markets.market import Quote
from trading.execution.orders import ParentOrder, Side
from trading.execution.smart.algorithm import Algorithm, Conditions, PlanRequest, Progress, Step
from trading.execution.smart.plan import Choice, ExecutionPlan, SessionHours
from trading.execution.smart.planning import expected_volume

DAY = date(2026, 11, 20)
OPEN, CLOSE = datetime(2026, 11, 20, 14, 30, tzinfo=UTC), datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
HOURS = SessionHours(day=DAY, open=OPEN, close=CLOSE)
EARLY = SessionHours(day=DAY, open=OPEN, close=OPEN + timedelta(hours=3.5), is_early_close=True)
PAUSE = (OPEN + timedelta(minutes=62), OPEN + timedelta(minutes=120))
WITH_PAUSE = SessionHours(day=DAY, open=OPEN, close=CLOSE, pauses=(PAUSE,))
FLAT = (0.25,) * 4
MINUTE = timedelta(minutes=1)


def facts_of(**changes: Any) -> MarketFacts:
    """780,000 shares a day, the same at all times: 10,000 in each of 78 slices of five minutes."""
    plain: dict[str, Any] = {
        "symbol": "ACME",
        "as_of": date(2026, 11, 19),
        "price": 50.0,
        "daily_volume": 780_000.0,
        "daily_spread": 0.02,
        "daily_volatility": 0.02,
        "shape": FLAT,
    }
    return MarketFacts(**{**plain, **changes})


def order_of(**changes: Any) -> ParentOrder:
    plain: dict[str, Any] = {
        "parent_id": "20261120-ACME-0001",
        "reference": "test",
        "session": DAY,
        "symbol": "ACME",
        "side": Side.BUY,
        "quantity": 7_800,
        "created_at": OPEN,
    }
    return ParentOrder(**{**plain, **changes})


def request_of(order: ParentOrder | None = None, **changes: Any) -> PlanRequest:
    order = order or order_of()
    plain: dict[str, Any] = {
        "order": order,
        "facts": facts_of(),
        "hours": HOURS,
        "choice": Choice(algorithm=order.algorithm, rule="test"),
        "quantity": order.quantity,
        "start": OPEN,
        "end": CLOSE,
        "now": OPEN,
    }
    return PlanRequest(**{**plain, **changes})


def quote_of(bid: str = "49.99", ask: str = "50.01") -> Quote:
    return Quote(symbol="ACME", bid=Decimal(bid), ask=Decimal(ask), at=OPEN)


def progress_of(plan: ExecutionPlan, order: ParentOrder | None = None, **changes: Any) -> Progress:
    """The very beginning of a plan, unless changed."""
    plain: dict[str, Any] = {
        "order": order or order_of(),
        "plan": plan,
        "now": OPEN,
        "filled": 0,
        "leaves": 0,
        "planned_from": 0,
        "market_volume": 0,
        "quote": quote_of(),
        "conditions": Conditions(),
    }
    return Progress(**{**plain, **changes})


def sizes(plan: ExecutionPlan) -> list[int]:
    return [planned.quantity for planned in plan.slices]


@dataclass(slots=True)
class Played:
    """What became of an order: shares filled, every step with the progress it followed from, and beside each
    the shares that had been filled in its slice."""

    plan: ExecutionPlan
    filled: int
    steps: list[tuple[Progress, Step]]
    plans: list[ExecutionPlan]
    slice_filled: list[int]


def play(
    algorithm: Algorithm,
    request: PlanRequest,
    fills: Callable[[int], int] = lambda sent: sent,
    conditions: Callable[[datetime], Conditions] = lambda now: Conditions(),
) -> Played:
    """Work an order to the end of its horizon. fills: how many shares of a child are filled at once; the
    rest stays open until it is cancelled, which succeeds at once. The market trades what is expected."""
    plan = algorithm.plan(request)
    played = Played(plan=plan, filled=0, steps=[], plans=[plan], slice_filled=[])
    now, leaves, planned_from, fill_times = request.start, 0, 0, list[tuple[datetime, int]]()
    while plan.slices and now < request.end:
        began = next((s.start for s in plan.slices if s.start <= now < s.end), now)
        progress = progress_of(
            plan,
            request.order,
            now=now,
            filled=played.filled,
            leaves=leaves,
            planned_from=planned_from,
            market_volume=int(expected_volume(request.facts, request.hours, request.start, now)),
            conditions=conditions(now),
        )
        step = algorithm.step(progress)
        played.steps.append((progress, step))
        played.slice_filled.append(sum(size for at, size in fill_times if at >= began))
        if step.cancel and leaves:
            leaves = 0
        elif step.replan is not None:
            assert leaves == 0
            plan = algorithm.plan(
                replace(
                    request,
                    quantity=request.order.quantity - played.filled,
                    start=now,
                    now=now,
                    number=plan.number + 1,
                    cause=step.replan,
                    conditions=conditions(now),
                    previous=plan,
                    choice=plan.choice,
                )
            )
            planned_from = played.filled
            played.plans.append(plan)
        elif step.release:
            done = min(fills(step.release), step.release)
            played.filled += done
            fill_times.append((now, done))
            leaves += step.release - done
            now += timedelta(milliseconds=1)
        else:
            now = step.wake_at
    return played
