"""How a child and a parent order change: each function takes one and returns the next. Pure and light.

News of an order comes late, twice and out of order, and some never comes. So nothing here goes backwards: a
smaller count never lowers a larger one, a final state absorbs, and after any delivery of the same news the
order is the same. What is uncertain is counted as if it could still be filled (`ChildOrder.leaves`), as
sending too little is repaired and sending twice is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState
from trading.execution.errors import IllegalTransition
from trading.execution.orders import ChildOrder, ChildState, Fill, ParentOrder, ParentState

S = TypeVar("S", bound=StrEnum)

_ENDS = frozenset({ChildState.FILLED, ChildState.CANCELLED, ChildState.REJECTED, ChildState.EXPIRED})
_LIVE = (ChildState.INTENT, ChildState.SUBMITTED, ChildState.ACKED, ChildState.PARTIAL)

CHILD_MOVES: Mapping[ChildState, frozenset[ChildState]] = MappingProxyType(
    {
        ChildState.INTENT: _ENDS | {*_LIVE[1:], ChildState.UNKNOWN},
        ChildState.SUBMITTED: _ENDS | {ChildState.ACKED, ChildState.PARTIAL, ChildState.UNKNOWN},
        ChildState.ACKED: _ENDS | {ChildState.PARTIAL, ChildState.UNKNOWN},
        ChildState.PARTIAL: _ENDS - {ChildState.REJECTED} | {ChildState.UNKNOWN},
        # Only `reconciled` leaves it.
        ChildState.UNKNOWN: _ENDS | {ChildState.ACKED, ChildState.PARTIAL},
        ChildState.FILLED: frozenset(),
        # The fills that complete it were on their way when it was closed.
        ChildState.CANCELLED: frozenset({ChildState.FILLED}),
        ChildState.EXPIRED: frozenset({ChildState.FILLED}),
        # The broker has it after all: its "not found" came too early.
        ChildState.REJECTED: frozenset({ChildState.UNKNOWN}),
    }
)
"""Where a child may go from each state."""

_STOPS = frozenset({ParentState.EXPIRED, ParentState.CANCELLED, ParentState.KILLED})

PARENT_MOVES: Mapping[ParentState, frozenset[ParentState]] = MappingProxyType(
    {
        ParentState.NEW: _STOPS | {ParentState.VALIDATED, ParentState.REJECTED},
        ParentState.VALIDATED: _STOPS | {ParentState.WORKING, ParentState.PAUSED, ParentState.REJECTED},
        ParentState.WORKING: _STOPS | {ParentState.PAUSED, ParentState.COMPLETED},
        # REJECTED: it was paused before anything was sent, and has turned out not to be feasible.
        ParentState.PAUSED: _STOPS | {ParentState.WORKING, ParentState.COMPLETED, ParentState.REJECTED},
        ParentState.COMPLETED: frozenset(),
        ParentState.EXPIRED: frozenset(),
        ParentState.CANCELLED: frozenset(),
        ParentState.KILLED: frozenset(),
        ParentState.REJECTED: frozenset(),
    }
)
"""Where a parent may go from each state."""

_END_OF = {
    BrokerOrderState.FILLED: ChildState.FILLED,
    BrokerOrderState.CANCELLED: ChildState.CANCELLED,
    BrokerOrderState.REJECTED: ChildState.REJECTED,
    BrokerOrderState.EXPIRED: ChildState.EXPIRED,
}


def reaches(moves: Mapping[S, frozenset[S]], start: S, end: S) -> bool:
    """Whether `end` is `start` or can come after it, in any number of moves."""
    seen, newest = {start}, [start]
    while newest:
        newest = [state for old in newest for state in moves[old] if state not in seen]
        seen.update(newest)
    return end in seen


def submitted(child: ChildOrder, found: BrokerOrder, at: datetime) -> ChildOrder:
    """Return the child after the broker has answered its submit. An answer that reports have overtaken
    changes nothing more."""
    return _told(child, found, at, ChildState.SUBMITTED)


def reported(child: ChildOrder, report: BrokerOrder, at: datetime) -> ChildOrder:
    """Return the child after a report of how it stands, which may be late, a repetition or out of order.

    A final state stays, but for two: it becomes FILLED when the broker has said that all is filled, and a
    child REJECTED because the broker did not have it becomes UNKNOWN when the broker tells of it. A child in
    UNKNOWN stays so and remembers `reported_filled`.

    Raises:
        IllegalTransition: if the report is of another order.
    """
    return _told(child, report, at, ChildState.ACKED)


def filled(child: ChildOrder, fill: Fill, at: datetime) -> ChildOrder:
    """Return the child after one fill that was not booked before (the ledger knows them by execution id).

    Every fill is booked, one that comes after the end or is more than was ordered too: it has happened. A
    child in UNKNOWN stays so; a REJECTED one becomes UNKNOWN, as it exists after all.

    Raises:
        IllegalTransition: if the fill is of another order, symbol or side.
    """
    for name in ("client_order_id", "symbol", "side"):
        if getattr(fill, name) != getattr(child, name):
            raise IllegalTransition(
                f"child {child.client_order_id} is of {name} {getattr(child, name)}: a fill of "
                f"{getattr(fill, name)} ({fill.execution_id}) is not its own"
            )
    total = child.filled + fill.quantity
    child = replace(
        child,
        filled=total,
        reported_filled=max(child.reported_filled, total),
        submitted_at=child.submitted_at or at,
    )
    if child.state is ChildState.UNKNOWN:
        return child
    if child.state is ChildState.REJECTED:
        return _moved(child, ChildState.UNKNOWN, at, f"fill {fill.execution_id} came for it after all")
    if child.state.is_final:
        return _completed(child, at)
    return _moved(child, ChildState.FILLED if total >= child.quantity else ChildState.PARTIAL, at)


def overfilled(child: ChildOrder) -> int:
    """Return the shares filled beyond what was ordered: 0, unless the broker erred."""
    return max(0, child.filled - child.quantity)


def unclear(child: ChildOrder, reason: str, at: datetime) -> ChildOrder:
    """Return the child as UNKNOWN: it must be looked up before anything else. A final one stays final."""
    if child.state.is_final or child.state is ChildState.UNKNOWN:
        return child
    return _moved(child, ChildState.UNKNOWN, at, reason)


def refused(child: ChildOrder, reason: str, at: datetime) -> ChildOrder:
    """Return the child as REJECTED, after the broker's refusal of its submit.

    Raises:
        IllegalTransition: if it is neither INTENT nor REJECTED already.
    """
    if child.state is ChildState.REJECTED:
        return child
    if child.state is not ChildState.INTENT:
        raise _illegal("child", child.client_order_id, child.state, ChildState.REJECTED)
    return _moved(child, ChildState.REJECTED, at, reason)


def reconciled(child: ChildOrder, found: BrokerOrder | None, at: datetime, reason: str = "") -> ChildOrder:
    """Return the child after it was looked up at the broker: the one way out of UNKNOWN.

    found: how it stands there; None: the broker does not have it. That makes it REJECTED, or CANCELLED if
    fills of it are known. reason: in words, "" takes the broker's. A child that is final, or whose state was
    not in doubt, takes `found` as a report; there None changes a final one in nothing.
    """
    if found is None:
        if child.state.is_final:
            return child
        if _known(child):
            return _moved(child, ChildState.CANCELLED, at, reason or "filled in part; the broker lost it")
        name = child.broker_order_id
        gone = f"the broker no longer has it (it was {name})" if name else "the broker never had it"
        # Without the broker's name: should it tell of the order after all, that is no late report.
        return _moved(replace(child, broker_order_id=""), ChildState.REJECTED, at, reason or gone)
    if child.state not in (ChildState.UNKNOWN, ChildState.INTENT):
        return reported(child, found, at)
    child = _noted(child, found, at)
    if found.state is BrokerOrderState.OPEN and child.filled < child.quantity:
        state = ChildState.PARTIAL if _known(child) else ChildState.ACKED
    else:
        state = _end(child, found)
    return _moved(child, state, at, reason or found.reason)


def cancel_asked(child: ChildOrder, at: datetime) -> ChildOrder:
    """Return the child with a cancel on its way; the first instant stays. A final child is unchanged."""
    if child.state.is_final or child.cancel_asked_at is not None:
        return child
    return replace(child, cancel_asked_at=at)


def parent_moved(order: ParentOrder, state: ParentState, at: datetime, reason: str = "") -> ParentOrder:
    """Return the parent in `state`. The same state again takes a new reason; a final one changes in nothing.

    Raises:
        IllegalTransition: if PARENT_MOVES does not lead there.
    """
    if order.state is state:
        return order if state.is_final or not reason else replace(order, reason=reason)
    if state not in PARENT_MOVES[order.state]:
        raise _illegal("parent", order.parent_id, order.state, state)
    return replace(order, state=state, reason=reason, completed_at=at if state.is_final else None)


def _told(child: ChildOrder, report: BrokerOrder, at: datetime, opened: ChildState) -> ChildOrder:
    was_known = bool(child.broker_order_id)
    child = _noted(child, report, at)
    if child.state is ChildState.UNKNOWN:
        return child
    if child.state is ChildState.REJECTED and not was_known and report.state is not BrokerOrderState.REJECTED:
        return _moved(child, ChildState.UNKNOWN, at, f"the broker has it after all, as {report.state}")
    if child.state.is_final:
        return _completed(child, at)
    if report.state is not BrokerOrderState.OPEN:
        return _moved(child, _end(child, report), at, report.reason)
    live = ChildState.PARTIAL if _known(child) else opened
    return _moved(child, max(live, child.state, key=_LIVE.index), at)


def _noted(child: ChildOrder, report: BrokerOrder, at: datetime) -> ChildOrder:
    """Return the child with what the report counts and names, in the state it had."""
    if report.client_order_id != child.client_order_id:
        raise IllegalTransition(
            f"child {child.client_order_id} cannot take a report of {report.client_order_id}"
        )
    # Filled means all of it, also where the broker leaves the count out.
    said = max(report.filled, report.quantity if report.state is BrokerOrderState.FILLED else 0)
    return replace(
        child,
        broker_order_id=child.broker_order_id or report.broker_order_id,
        reported_filled=max(child.reported_filled, said),
        submitted_at=child.submitted_at or at,
    )


def _known(child: ChildOrder) -> int:
    """Shares that are filled for certain, booked or not."""
    return max(child.filled, child.reported_filled)


def _end(child: ChildOrder, report: BrokerOrder) -> ChildState:
    """The final state of a child of which the broker says so, or which is filled."""
    if _known(child) >= child.quantity:
        return ChildState.FILLED
    end = _END_OF[report.state]
    # What has been filled was not refused.
    return ChildState.CANCELLED if end is ChildState.REJECTED and _known(child) else end


def _completed(child: ChildOrder, at: datetime) -> ChildOrder:
    """Return a final child as FILLED if all of it turned out to be, else as it is."""
    if child.state in (ChildState.FILLED, ChildState.REJECTED) or _known(child) < child.quantity:
        return child
    return _moved(child, ChildState.FILLED, at)


def _moved(child: ChildOrder, state: ChildState, at: datetime, reason: str = "") -> ChildOrder:
    if state is child.state:
        return child
    if state not in CHILD_MOVES[child.state]:
        raise _illegal("child", child.client_order_id, child.state, state)
    closed_at = (child.closed_at or at) if state.is_final else None
    return replace(child, state=state, reason=reason, closed_at=closed_at)


def _illegal(kind: str, name: str, old: StrEnum, new: StrEnum) -> IllegalTransition:
    return IllegalTransition(f"{kind} {name} is {old}: it cannot become {new}")
