"""The day's orders and executions as the gateway tells them: late, twice, out of order. Pure and light.

The gateway tells of one order in pieces (its opening, its status, executions, fees, errors), live and again
when asked. All pieces come together here, in whatever order, and give the same order in the end: counts only
grow, an end stays, an execution counts once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Report
from trading.execution.brokers.ibkr.rows import ExecutionRow, OrderRow, with_fee
from trading.execution.orders import Fill

CANCELLED = frozenset({"Cancelled", "ApiCancelled"})
FILLED = "Filled"
LIVE = frozenset({"PreSubmitted", "Submitted"})
"""Statuses of an order that the broker has taken and that may be filled."""
UNSURE = frozenset({"", "ApiPending", "PendingSubmit", "Inactive"})
"""Statuses of an order that the gateway has and the broker has not confirmed: a refusal may follow."""

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Entry:
    """One order. line: the number of the connection on which it was heard of last; the other fields are as
    in OrderRow. refused: after it was taken."""

    perm_id: int
    line: int
    name: str = ""
    order_id: int | None = None
    client_id: int | None = None
    quantity: int = 0
    status: str = ""
    said: int = 0
    executed: int = 0
    reason: str = ""
    refused: bool = False
    has_ended: bool = False

    @property
    def filled(self) -> int:
        """Shares filled, by the broker's count or by its executions, whichever is ahead."""
        return max(self.said, self.executed)

    @property
    def state(self) -> BrokerOrderState:
        if self.status == FILLED or 0 < self.quantity <= self.filled:
            return BrokerOrderState.FILLED
        if self.refused and not self.filled:
            return BrokerOrderState.REJECTED
        if self.status in CANCELLED or self.refused or self.has_ended:
            return BrokerOrderState.CANCELLED
        return BrokerOrderState.OPEN

    @property
    def is_open(self) -> bool:
        return self.state is BrokerOrderState.OPEN

    def told(self) -> BrokerOrder:
        """Return it in our words. The gateway tells no times of orders."""
        return BrokerOrder(
            client_order_id=self.name or str(self.perm_id),
            broker_order_id=str(self.perm_id),
            state=self.state,
            quantity=self.quantity or self.filled,
            filled=self.filled,
            reason=self.reason,
        )


@dataclass(slots=True, kw_only=True)
class Execution:
    """One execution in its newest version. seen_at: when it was heard of first [s, monotonic]. is_own: its
    fee will be told. is_told: `news` has given it away. is_missed: the want of its fee was logged."""

    row: ExecutionRow
    seen_at: float
    is_own: bool
    is_told: bool = False
    is_missed: bool = False


class Blotter:
    """What is known, and what of it has not been reported.

    fee_wait: how long an execution waits for its fee, as a fill is booked once and never changed.
    """

    def __init__(self, fee_wait: timedelta) -> None:
        self._fee_wait_s = fee_wait.total_seconds()
        self._orders: dict[int, Entry] = {}
        self._perm_ids: dict[str, int] = {}
        self._executions: dict[str, Execution] = {}
        self._fees: dict[str, Decimal | None] = {}
        self._told: dict[int, tuple[BrokerOrderState, int]] = {}
        self._touched: set[int] = set()

    # --- what the gateway says ----------------------------------------------------------------------------

    def take_order(self, row: OrderRow, line: int) -> None:
        """Take the opening of an order, a change of its status, or its completed form."""
        if not row.perm_id:
            return
        entry = self._entry(row.perm_id, row.name, line)
        entry.quantity = max(entry.quantity, row.quantity)
        entry.said = max(entry.said, row.filled)
        if row.order_id is not None:
            entry.order_id, entry.client_id = row.order_id, row.client_id
        if row.status in LIVE and entry.refused:
            entry.refused = False  # somebody has sent it anew at the gateway
        entry.reason = entry.reason or row.reason
        if entry.status not in CANCELLED and entry.status != FILLED and row.status:
            entry.status = row.status
        entry.has_ended = entry.has_ended or row.has_ended

    def take_execution(self, row: ExecutionRow, line: int, now: float, *, is_own: bool) -> None:
        """Take an execution; a correction replaces what it corrects, under the same id."""
        known = self._executions.get(row.execution_id)
        if known is None:
            self._executions[row.execution_id] = Execution(row=row, seen_at=now, is_own=is_own)
        elif row.revision > known.row.revision:
            if known.is_told:
                log.warning(
                    "%s corrects a fill that was reported as %d at %s: it is now %d at %s. The ledger keeps"
                    " the first; compare with the statement",
                    *(row.key, known.row.fill.quantity, known.row.fill.price),
                    *(row.fill.quantity, row.fill.price),
                )
            known.row = row
        entry = self._entry(row.perm_id, "", line)
        if not entry.name and row.fill.client_order_id != str(row.perm_id):
            self._name(entry, row.fill.client_order_id)
        mine = (each.row for each in self._executions.values() if each.row.perm_id == row.perm_id)
        entry.executed = sum(each.fill.quantity for each in mine)

    def take_fee(self, key: str, fee: Decimal | None) -> None:
        """Take the fee [$] of an execution by its id with the correction's number; None: not in dollars."""
        self._fees[key] = fee

    def take_error(self, name: str, text: str, *, is_refusal: bool, is_cancel: bool) -> None:
        """Take an error that names an order: its refusal after it was taken, its cancel, or a remark."""
        perm_id = self._perm_ids.get(name)
        if perm_id is None:
            return
        entry = self._orders[perm_id]
        self._touched.add(perm_id)
        entry.reason = text
        entry.refused = entry.refused or is_refusal
        if is_cancel and entry.status != FILLED:
            entry.status = "Cancelled"

    # --- what is asked ------------------------------------------------------------------------------------

    def knows(self, name: str) -> bool:
        return name in self._perm_ids

    def entry(self, name: str) -> Entry | None:
        """Return the order of this name; None: nothing was ever heard of it."""
        perm_id = self._perm_ids.get(name)
        return None if perm_id is None else self._orders[perm_id]

    def name_of(self, order_id: int, client_id: int) -> str:
        """Return the name of the order with this number at this API client; "": none is known."""
        found = (e for e in self._orders.values() if (e.order_id, e.client_id) == (order_id, client_id))
        return next((entry.name for entry in found), "")

    def entries(self) -> Iterable[Entry]:
        return self._orders.values()

    def fills(self) -> list[Fill]:
        """Return every execution of today, oldest first."""
        found = [self._fill(each) for each in self._executions.values()]
        return sorted(found, key=lambda fill: (fill.at, fill.execution_id))

    def awaits_fees(self, now: float) -> bool:
        """Whether the fee of an execution is still to come, and not overdue."""
        return any(not self._is_ripe(each, now) for each in self._executions.values())

    # --- what is reported ---------------------------------------------------------------------------------

    def news(self, now: float) -> list[Report]:
        """Return what has not been told: fills first, then the orders whose known fills are all told."""
        held, fills = set(), []
        for each in self._executions.values():
            if each.is_told:
                continue
            if not self._is_ripe(each, now):
                held.add(each.row.perm_id)
                continue
            each.is_told = True
            fills.append(self._fill(each))
        fills.sort(key=lambda fill: (fill.at, fill.execution_id))
        ready = [self._orders[perm_id] for perm_id in sorted(self._touched - held)]
        self._touched &= held
        orders = [entry.told() for entry in ready if self._told.get(entry.perm_id) != _mark(entry)]
        for entry in ready:
            self.tell(entry)
        return [*fills, *orders]

    def tell(self, entry: Entry) -> BrokerOrder:
        """Return the order; it counts as told."""
        self._told[entry.perm_id] = _mark(entry)
        return entry.told()

    def tell_all(self) -> None:
        """Count everything as told: it happened before anybody asked for news."""
        for each in self._executions.values():
            each.is_told = True
        for entry in self._orders.values():
            self.tell(entry)
        self._touched.clear()

    def _entry(self, perm_id: int, name: str, line: int) -> Entry:
        entry = self._orders.get(perm_id)
        if entry is None:
            entry = self._orders[perm_id] = Entry(perm_id=perm_id, line=line)
        if name and not entry.name:
            self._name(entry, name)
        entry.line = line
        self._touched.add(perm_id)
        return entry

    def _name(self, entry: Entry, name: str) -> None:
        entry.name = name
        self._perm_ids.setdefault(name, entry.perm_id)

    def _is_ripe(self, each: Execution, now: float) -> bool:
        return not each.is_own or each.row.key in self._fees or now >= each.seen_at + self._fee_wait_s

    def _fill(self, each: Execution) -> Fill:
        fee = self._fees.get(each.row.key)
        if fee is None and each.is_own and not each.is_missed:
            each.is_missed = True
            log.warning("no fee in dollars was told for execution %s: it counts as 0", each.row.key)
        return with_fee(each.row.fill, fee)


def _mark(entry: Entry) -> tuple[BrokerOrderState, int]:
    """Return what makes a report of an order differ from the one before."""
    return entry.state, entry.filled
