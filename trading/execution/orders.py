"""Parent orders, child orders and fills: the nouns of execution. Pure and light: standard library only.

How a child's state changes is in `transitions`. Quantities are whole shares, prices and money Decimal,
instants aware UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from trading.execution.checking import finite, whole

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,23}")
MAX_QUANTITY = 10**9
"""Shares of one order: far above any real one, far below what a float counts exactly."""


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a purchase, -1 for a sale."""
        return 1 if self is Side.BUY else -1


class Urgency(StrEnum):
    """How far a child's limit price may go to be filled (`pricing`)."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class DeadlinePolicy(StrEnum):
    """What becomes of shares that are left when the horizon ends: reported, or sent within the caps' last
    slice."""

    EXPIRE = "expire"
    FORCE = "force"


class ParentState(StrEnum):
    NEW = "new"  # entered, no plan yet
    VALIDATED = "validated"  # has a feasible plan
    WORKING = "working"
    PAUSED = "paused"  # market closed, halted symbol, no quote, or stopped with shares left
    COMPLETED = "completed"
    EXPIRED = "expired"  # the horizon ended with shares left
    CANCELLED = "cancelled"  # by a person
    KILLED = "killed"  # by the kill switch
    REJECTED = "rejected"  # no child was ever sent

    @property
    def is_final(self) -> bool:
        return self in _FINAL_PARENT


_FINAL_PARENT = frozenset(
    {
        ParentState.COMPLETED,
        ParentState.EXPIRED,
        ParentState.CANCELLED,
        ParentState.KILLED,
        ParentState.REJECTED,
    }
)


class ChildState(StrEnum):
    INTENT = "intent"  # the row is committed, nothing has been sent
    SUBMITTED = "submitted"  # it was sent and the broker took it
    ACKED = "acked"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"  # the broker refused it, or never had it: it does not exist there
    EXPIRED = "expired"
    UNKNOWN = "unknown"  # it may or may not be at the broker; only reconciliation leaves this state

    @property
    def is_final(self) -> bool:
        return self in _FINAL_CHILD


_FINAL_CHILD = frozenset({ChildState.FILLED, ChildState.CANCELLED, ChildState.REJECTED, ChildState.EXPIRED})


class OrderKind(StrEnum):
    MARKET = "market"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentOrder:
    """What somebody wants bought or sold, and how far it has come.

    parent_id: "YYYYMMDD-SYMBOL-NNNN", given by the ledger. reference: the giver's own name for it,
    unique: the same reference twice is the same order. session: the trading day it is for. quantity
    [shares]; lot_size [shares]: children are whole lots, the last one takes an odd rest. algorithm: a
    name of `ALGORITHMS`, or "auto". risk_aversion: lambda [1/$]. max_participation: of the market's
    volume, in (0, 1]. min_slice [shares]. display_size: shares an iceberg may show, None: chosen.
    limit_price: never paid more (received less), None: no limit. not_before, not_after: narrower than the
    session, None: the session's own. decision_price, decided_at: price and instant at which it was wanted
    (implementation shortfall begins there), None: unknown. arrival_price, arrived_at: mid price when work
    began, None: not begun. reason: why it is in its state, in words.
    """

    parent_id: str
    reference: str
    session: date
    symbol: str
    side: Side
    quantity: int
    created_at: datetime
    lot_size: int = 1
    algorithm: str = "auto"
    urgency: Urgency = Urgency.MEDIUM
    risk_aversion: float = 1e-6
    max_participation: float = 0.10
    min_slice: int = 0
    display_size: int | None = None
    limit_price: Decimal | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    deadline_policy: DeadlinePolicy = DeadlinePolicy.EXPIRE
    strategy_id: str = ""
    decision_price: Decimal | None = None
    decided_at: datetime | None = None
    arrival_price: Decimal | None = None
    arrived_at: datetime | None = None
    state: ParentState = ParentState.NEW
    reason: str = ""
    completed_at: datetime | None = None

    def __post_init__(self) -> None:
        if not _SYMBOL.fullmatch(self.symbol):
            raise ValueError(f"symbol is {self.symbol!r}: expected 1 to 24 of A-Z, 0-9, '.', '_', '-'")
        if whole("quantity", self.quantity, 1) > MAX_QUANTITY:
            raise ValueError(f"quantity is {self.quantity!r}: expected at most {MAX_QUANTITY} shares")
        whole("lot_size", self.lot_size, 1)
        whole("min_slice", self.min_slice, 0)
        if finite("risk_aversion", self.risk_aversion) < 0:
            raise ValueError(f"risk_aversion is {self.risk_aversion!r}: expected a number from 0 up")
        if not 0 < finite("max_participation", self.max_participation) <= 1:
            raise ValueError(f"max_participation is {self.max_participation!r}: expected above 0, at most 1")
        if self.display_size is not None:
            whole("display_size", self.display_size, 1)
        for name in ("limit_price", "decision_price", "arrival_price"):
            check_price(name, getattr(self, name))
        for name in ("created_at", "not_before", "not_after", "decided_at", "arrived_at", "completed_at"):
            check_instant(name, getattr(self, name))
        if self.not_before is not None and self.not_after is not None and self.not_before >= self.not_after:
            raise ValueError(
                f"not_after is {self.not_after}: expected later than not_before {self.not_before}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildOrder:
    """One order as a broker sees it.

    client_order_id: parent_id + "-" + sequence in four digits; never used twice. slice_index: of the
    plan. filled: the sum of its fills that are booked; reported_filled: the most the broker has said is
    filled (its fills may still be on their way). cancel_asked_at: when a cancel was committed to be sent,
    None: not asked. reason: in words.
    """

    client_order_id: str
    parent_id: str
    sequence: int
    symbol: str
    side: Side
    quantity: int
    kind: OrderKind
    created_at: datetime
    limit_price: Decimal | None = None
    slice_index: int = 0
    state: ChildState = ChildState.INTENT
    broker_order_id: str = ""
    filled: int = 0
    reported_filled: int = 0
    submitted_at: datetime | None = None
    cancel_asked_at: datetime | None = None
    closed_at: datetime | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        whole("quantity", self.quantity, 1)
        if (self.kind is OrderKind.LIMIT) != (self.limit_price is not None):
            raise ValueError(
                f"limit_price is {self.limit_price!r}: expected one for a limit order, none for another"
            )
        check_price("limit_price", self.limit_price)
        for name in ("created_at", "submitted_at", "cancel_asked_at", "closed_at"):
            check_instant(name, getattr(self, name))

    @property
    def leaves(self) -> int:
        """Shares that may still be filled by it: all that is not filled while it may be alive; afterwards
        those the broker has reported filled and whose fills have not come yet."""
        if self.state.is_final:
            return max(0, self.reported_filled - self.filled)
        return max(0, self.quantity - self.filled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. execution_id: the broker's, unique with `broker`; fee [$], negative for a rebate."""

    execution_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    at: datetime
    fee: Decimal = Decimal(0)
    broker: str = "paper"

    def __post_init__(self) -> None:
        if not self.execution_id:
            raise ValueError("execution_id is empty: expected the broker's id of the execution")
        whole("quantity", self.quantity, 1)
        check_price("price", self.price)
        check_instant("at", self.at)


def child_id(parent_id: str, sequence: int) -> str:
    """Return the client_order_id of a parent's child number `sequence` (from 1)."""
    return f"{parent_id}-{whole('sequence', sequence, 1):04d}"


def check_price(name: str, value: Decimal | None) -> None:
    """Raises ValueError if `value` is neither None nor a positive, finite Decimal."""
    if value is not None and (not isinstance(value, Decimal) or not value.is_finite() or value <= 0):
        raise ValueError(f"{name} is {value!r}: expected a Decimal above 0")


def check_instant(name: str, value: datetime | None) -> None:
    """Raises ValueError if `value` is neither None nor an instant with a zone."""
    if value is not None and value.tzinfo is None:
        raise ValueError(f"{name} is {value!r}: expected an aware datetime (UTC)")
