"""Orders with round numbers that have been worked, as rows alone or in a ledger: for tests of what they
cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import (
    ChildOrder,
    ChildState,
    Fill,
    OrderKind,
    ParentOrder,
    ParentState,
    Side,
    child_id,
)
from trading.execution.smart.bookkeeping import ENDED
from trading.execution.smart.plan import Choice, ExecutionPlan, PlannedSlice
from trading.execution.transitions import filled, parent_moved

DAY = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def order_of(**changes: Any) -> ParentOrder:
    """1,000 shares bought; decided at 50.00 $, arrived at 50.10 $ at the open, completed 30 minutes later."""
    plain: dict[str, Any] = {
        "parent_id": "20261120-ACME-0001",
        "reference": "r1",
        "session": DAY,
        "symbol": "ACME",
        "side": Side.BUY,
        "quantity": 1_000,
        "created_at": OPEN - MINUTE,
        "algorithm": "twap",
        "decision_price": Decimal("50.00"),
        "decided_at": OPEN - MINUTE,
        "arrival_price": Decimal("50.10"),
        "arrived_at": OPEN,
        "state": ParentState.COMPLETED,
        "completed_at": OPEN + 30 * MINUTE,
    }
    return ParentOrder(**{**plain, **changes})


def fill_of(quantity: int, price: str | Decimal, minute: float = 1, **changes: Any) -> Fill:
    plain: dict[str, Any] = {
        "execution_id": f"x{minute}",
        "client_order_id": "20261120-ACME-0001-0001",
        "symbol": "ACME",
        "side": Side.BUY,
        "quantity": quantity,
        "price": Decimal(price),
        "at": OPEN + minute * MINUTE,
    }
    return Fill(**{**plain, **changes})


def plan_of(**changes: Any) -> ExecutionPlan:
    """Two slices of five minutes with 500 shares each; 50 $ expected, 100 $ of risk."""
    slices = [
        PlannedSlice(
            start=OPEN + 5 * i * MINUTE,
            end=OPEN + 5 * (i + 1) * MINUTE,
            quantity=500,
            expected_volume=10_000.0,
        )
        for i in range(2)
    ]
    numbers = (("daily_volatility", 0.02), ("spread_over_price", 0.0004))
    plain: dict[str, Any] = {
        "parent_id": "20261120-ACME-0001",
        "number": 1,
        "made_at": OPEN - MINUTE,
        "cause": "first plan",
        "algorithm": "twap",
        "inner": "twap",
        "choice": Choice(algorithm="twap", rule="test", numbers=numbers),
        "quantity": 1_000,
        "slices": tuple(slices),
        "expected_cost": 50.0,
        "variance": 10_000.0,
        "expected_cost_bps": 10.0,
        "price": 50.0,
        "profile": "flat",
    }
    return ExecutionPlan(**{**plain, **changes})


def enter_worked(
    ledger: Ledger,
    wanted: ParentOrder,
    prices: Sequence[tuple[int, str]],
    *,
    broker: str = "paper",
    market_volume: int | None = 10_000,
    end_price: str | None = "50.20",
) -> ParentOrder:
    """Put an order into the ledger as `wanted` says it ended, with a plan and one child that had fills of
    these (shares, price), a minute apart."""
    new = replace(
        wanted, state=ParentState.NEW, arrival_price=None, arrived_at=None, completed_at=None, reason=""
    )
    at = wanted.completed_at or OPEN
    with ledger.writing(at) as book:
        order = book.add_parent(new)
        book.add_plan(plan_of(parent_id=order.parent_id))
        order = parent_moved(order, ParentState.VALIDATED, at)
        order = replace(
            parent_moved(order, ParentState.WORKING, at),
            arrival_price=wanted.arrival_price,
            arrived_at=wanted.arrived_at,
        )
        book.put_parent(order)
        if prices:
            sequence = book.next_sequence(order.parent_id)
            child = ChildOrder(
                client_order_id=child_id(order.parent_id, sequence),
                parent_id=order.parent_id,
                sequence=sequence,
                symbol=order.symbol,
                side=order.side,
                quantity=sum(shares for shares, _ in prices),
                kind=OrderKind.MARKET,
                created_at=OPEN,
            )
            book.put_child(child)
            child = replace(child, state=ChildState.ACKED)
            for minute, (shares, price) in enumerate(prices, 1):
                fill = fill_of(
                    shares,
                    price,
                    minute,
                    execution_id=f"{child.client_order_id}-{minute}",
                    client_order_id=child.client_order_id,
                    side=order.side,
                    symbol=order.symbol,
                    broker=broker,
                )
                book.add_fill(fill)
                child = filled(child, fill, fill.at)
            book.put_child(child)
        book.put_parent(parent_moved(order, wanted.state, at, wanted.reason))
        mid = None if end_price is None else Decimal(end_price)
        book.event(ENDED, parent_id=order.parent_id, mid=mid, market_volume=market_volume)
    return ledger.parent(order.parent_id)
