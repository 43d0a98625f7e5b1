"""What the executor needs of a broker: one small Protocol, and what passes through it. Light: standard
library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from trading.execution.orders import Fill, OrderKind, Side


class BrokerOrderState(StrEnum):
    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One order to be sent; good for the day. display: shares shown, None: all."""

    client_order_id: str
    symbol: str
    side: Side
    quantity: int
    kind: OrderKind
    limit_price: Decimal | None = None
    display: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """An order as the broker tells it. filled: shares executed so far, by its word. reason: its words, if
    any."""

    client_order_id: str
    broker_order_id: str
    state: BrokerOrderState
    quantity: int
    filled: int = 0
    reason: str = ""
    at: datetime | None = None


Report = BrokerOrder | Fill
"""News of an order: how it stands, or one execution. They come late, twice and out of order."""


class Broker(Protocol):
    """A place that executes orders. Every call may raise BrokerUnavailable unless it says otherwise.

    Adapters hold no state that matters: everything can be asked again after a restart.
    """

    @property
    def name(self) -> str:
        """What fills are booked under: "paper", "alpaca", "ibkr"."""
        ...

    async def connect(self) -> None:
        """Open the connection; a second call does nothing. Also raises ExtraMissing, and PermissionError
        for bad keys."""
        ...

    async def close(self) -> None:
        """Close it; orders stay as they are. Never raises."""
        ...

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        """Send an order once; no retry of any kind inside.

        Raises: OrderRejected: it was refused and does not exist (a client_order_id that is already known
        included). SubmitUnclear: it may or may not have arrived.
        """
        ...

    async def cancel(self, client_order_id: str) -> None:
        """Ask for a cancel; the answer comes as a report. Cancelling what is unknown or closed does
        nothing."""
        ...

    async def find(self, client_order_id: str) -> BrokerOrder | None:
        """Return how the order stands; None: the broker does not have it (now)."""
        ...

    async def fills(self, since: datetime) -> Sequence[Fill]:
        """Return every execution of this account since `since` (or more), oldest first."""
        ...

    async def reports(self) -> Sequence[Report]:
        """Return what has come since the last call; at once, empty if nothing has."""
        ...

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """Return all orders that may still be filled, those of others included."""
        ...

    async def positions(self) -> Mapping[str, int]:
        """Return shares held by symbol, short ones negative; no zeros."""
        ...

    def next_report_at(self) -> datetime | None:
        """Return when the next report will be there, if that is known (a paper broker in virtual time).

        None: unknown; the executor asks again after a short while.
        """
        ...
