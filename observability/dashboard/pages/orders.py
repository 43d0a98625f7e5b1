"""Orders and fills, all of them in pages, and one order: what was planned for it against what was done."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from observability.dashboard import books as ledger_books
from observability.dashboard.page import Page
from observability.dashboard.paging import Paging
from observability.dashboard.source import Source
from trading.execution.errors import LedgerError, UnknownOrder
from trading.execution.order_records import OrderRecord
from trading.execution.orders import ChildState, Fill, ParentState
from trading.execution.smart.plan import ExecutionPlan, PlannedSlice

SHOWN: Final = 50
PIECES_SHOWN: Final = 200
DRAWN: Final = 300
"""Points of the line of what was done: more than a screen is wide in are not seen."""

STATES: Final[Mapping[str, tuple[str, str]]] = {
    ParentState.NEW: ("info", "entered, not planned yet"),
    ParentState.VALIDATED: ("info", "planned"),
    ParentState.WORKING: ("run", "working"),
    ParentState.PAUSED: ("warn", "paused"),
    ParentState.COMPLETED: ("ok", "completed"),
    ParentState.EXPIRED: ("warn", "expired with shares left"),
    ParentState.CANCELLED: ("info", "cancelled by a person"),
    ParentState.KILLED: ("fail", "ended by a halt"),
    ParentState.REJECTED: ("fail", "rejected"),
}
"""Level and words of a parent order's state."""
CHILD_STATES: Final[Mapping[str, tuple[str, str]]] = {
    ChildState.INTENT: ("info", "about to be sent"),
    ChildState.SUBMITTED: ("run", "sent"),
    ChildState.ACKED: ("run", "at the broker"),
    ChildState.PARTIAL: ("run", "partly filled"),
    ChildState.FILLED: ("ok", "filled"),
    ChildState.CANCELLED: ("info", "cancelled"),
    ChildState.REJECTED: ("fail", "refused"),
    ChildState.EXPIRED: ("warn", "expired"),
    ChildState.UNKNOWN: ("fail", "unknown: the broker must be asked"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A slice of the first plan and what was done while it lasted [shares]."""

    planned: PlannedSlice
    done: int


def list_orders(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of all orders, the newest first. wanted: `page`, from 1."""
    return {**_listed(source, wanted, "orders", "parents"), "states": STATES}


def list_fills(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of all fills, the newest first. wanted: `page`, from 1."""
    return _listed(source, wanted, "fills", "fills")


def _listed(source: Source, wanted: Mapping[str, str], what: str, table: str) -> dict[str, Any]:
    path = f"/trading/{what}"
    try:
        with ledger_books.opened(source.ledger_file) as books:
            paging = Paging.of(wanted, books.count(table), SHOWN, path)
            read = books.orders if what == "orders" else books.fills
            return {"remark": None, "rows": read(SHOWN, paging.offset), "paging": paging}
    except LedgerError as error:
        return {"remark": str(error), "rows": [], "paging": Paging.of({}, 0, SHOWN, path)}


def one_order(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return all about one order. Raises LookupError if there is none, or no ledger to ask."""
    name = wanted["parent_id"]
    try:
        with ledger_books.opened(source.ledger_file) as books:
            record = books.record(name)
    except UnknownOrder:
        raise LookupError(f"there is no order {name!r}") from None
    except LedgerError as error:
        raise LookupError(f"the order cannot be shown: {error}") from error
    return {
        "record": record,
        "order": record.order,
        "measures": record.measures,
        "filled_pct": 100 * record.measures.filled / record.order.quantity,
        "profile": profile(record, source.zone.key),
        "steps": steps(record)[:PIECES_SHOWN],
        "children": record.children[::-1][:PIECES_SHOWN],
        "fills": record.fills[::-1][:PIECES_SHOWN],
        "states": STATES,
        "child_states": CHILD_STATES,
    }


# --- what was planned against what was done ---------------------------------------------------------------


def profile(record: OrderRecord, zone: str) -> dict[str, Any] | None:
    """Return a chart of shares done over time, planned and in fact, and its words; None: nothing is planned.

    zone: what its instants are shown in.
    """
    first = record.plan
    if first is None:
        return None
    lines = [("planned", _planned(first, 0), "dim")]
    last = record.plans[-1]
    if last is not first and last.slices:
        lines.append((f"plan {last.number}, the newest", _planned(last, last.already_filled), "warn"))
    lines.append(("done", _done(record.fills), "ok"))
    x = sorted({at for _, knots, _ in lines for at, _ in knots})
    chart = {
        "kind": "line",
        "time": True,
        "zone": zone,
        "unit": "",
        "x": x,
        "series": [
            {"label": label, "values": [_between(knots, at) for at in x], "level": level}
            for label, knots, level in lines
        ],
    }
    return {"chart": chart, "half": (_half_planned(first), _half_done(record))}


Knot = tuple[float, int]
"""An instant [s since 1970] and the shares done by then; straight in between."""


def _planned(plan: ExecutionPlan, begun: int) -> list[Knot]:
    """Return a plan's line, each slice's shares spread evenly over it. begun: shares done before it."""
    found: list[Knot] = []
    for each in plan.slices:
        found.append((each.start.timestamp(), begun))
        begun += each.quantity
        found.append((each.end.timestamp(), begun))
    return found


def _done(fills: Sequence[Fill]) -> list[Knot]:
    """Return the line of what was done: at most DRAWN steps."""
    found: list[Knot] = []
    every = -(-len(fills) // DRAWN)
    shown = total = 0
    for number, fill in enumerate(fills, 1):
        total += fill.quantity
        if number % every == 0 or number == len(fills):
            # A millisecond before it the line is still where it was: a step, not a slope.
            at = fill.at.timestamp()
            if found and at - 0.001 <= found[-1][0]:
                found[-1] = (found[-1][0], total)
            else:
                found += [(at - 0.001, shown), (at, total)]
            shown = total
    return found


def _between(knots: Sequence[Knot], at: float) -> float | None:
    """Return the line's value at an instant; None before its first and after its last one."""
    after = bisect_left(knots, (at, 0))
    if after < len(knots) and knots[after][0] == at:
        # Of two knots at one instant the later one holds.
        return knots[bisect_right(knots, (at, float("inf"))) - 1][1]
    if not 0 < after < len(knots):
        return None
    (start, begun), (end, done) = knots[after - 1], knots[after]
    return round(begun + (done - begun) * (at - start) / (end - start), 1)


def _half_planned(plan: ExecutionPlan) -> datetime | None:
    half, wanted = sum(each.quantity for each in plan.slices) / 2, 0
    for each in plan.slices:
        if wanted + each.quantity >= half:
            return each.start + (half - wanted) / each.quantity * (each.end - each.start)
        wanted += each.quantity
    return None


def _half_done(record: OrderRecord) -> datetime | None:
    total = 0
    for fill in record.fills:
        total += fill.quantity
        if total >= record.order.quantity / 2:
            return fill.at
    return None


def steps(record: OrderRecord) -> list[Step]:
    """Return the first plan's slices with what was done in each; none without a plan that could be done."""
    if record.plan is None:
        return []
    return [
        Step(
            planned=each,
            done=sum(fill.quantity for fill in record.fills if each.start <= fill.at < each.end),
        )
        for each in record.plan.slices
    ]


PAGES = (
    Page(path="/trading/orders", template="trading_orders.html", make=list_orders),
    Page(path="/trading/fills", template="trading_fills.html", make=list_fills),
    Page(path="/trading/orders/{parent_id}", template="trading_order.html", make=one_order),
)
