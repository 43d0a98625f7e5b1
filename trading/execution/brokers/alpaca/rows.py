"""Alpaca's JSON and our words. Pure and light: standard library only.

Its amounts are strings, its instants RFC 3339 with up to nine digits of a second (docs.alpaca.markets).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Ticket
from trading.execution.errors import BrokerError
from trading.execution.orders import Fill, OrderKind, Side

NEW_YORK = ZoneInfo("America/New_York")
ENDED: Mapping[str, BrokerOrderState] = {
    "filled": BrokerOrderState.FILLED,
    "canceled": BrokerOrderState.CANCELLED,
    "replaced": BrokerOrderState.CANCELLED,  # the rest lives on in another order, under another name
    "expired": BrokerOrderState.EXPIRED,
    "rejected": BrokerOrderState.REJECTED,
}
"""Every other status, an unknown one too, is of an order that may still be filled."""
PLAIN = frozenset({"new", "accepted", "pending_new", "partially_filled", "filled", "canceled", "expired"})
"""Statuses that need no word of explanation."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingDay:
    """One day on which US equities trade; open and close are aware UTC."""

    day: date
    open: datetime
    close: datetime


def order_body(ticket: Ticket) -> dict[str, str]:
    """Return the body of POST /v2/orders: an order for the day, within regular hours."""
    body = {
        "symbol": ticket.symbol,
        "qty": str(ticket.quantity),
        "side": ticket.side.value,
        "type": ticket.kind.value,
        "time_in_force": "day",
        "client_order_id": ticket.client_order_id,
    }
    if ticket.kind is OrderKind.LIMIT:
        body["limit_price"] = f"{ticket.limit_price:f}"
    return body


def order_of(row: Row) -> BrokerOrder:
    """Return an order's row in our words. Fractions, which are never of our orders, are rounded: the quantity
    up and what is filled down, so that nothing open is overlooked.

    Raises:
        BrokerError: if the row is not what Alpaca documents.
    """
    try:
        status = str(row["status"])
        filled = _decimal(row.get("filled_qty") or "0")
        quantity = _decimal(row.get("qty") or filled)  # an order by value has none
        return BrokerOrder(
            client_order_id=str(row["client_order_id"]),
            broker_order_id=str(row["id"]),
            state=ENDED.get(status, BrokerOrderState.OPEN),
            quantity=max(1, int(quantity.to_integral_value(ROUND_CEILING))),
            filled=int(filled.to_integral_value(ROUND_FLOOR)),
            reason="" if status in PLAIN else status,
            at=instant(row.get("updated_at") or row["submitted_at"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokerError(f"alpaca's order {row!r} cannot be read: {error!r}") from error


def submitted_at(row: Row) -> datetime:
    """Return when an order came to Alpaca, by which it lists them. Raises BrokerError."""
    try:
        return instant(row["submitted_at"])
    except (KeyError, TypeError, ValueError) as error:
        raise BrokerError(f"alpaca's order {row!r} cannot be read: {error!r}") from error


def fill_of(row: Row, client_order_id: str) -> Fill | None:
    """Return a FILL activity in our words; None for a fraction of a share, which is never of our orders.

    Alpaca takes no commission; regulatory fees come at the day's end, apart from the executions.

    Raises:
        BrokerError: if the row is not what Alpaca documents.
    """
    try:
        quantity = _decimal(row["qty"])
        if quantity != quantity.to_integral_value():
            return None
        return Fill(
            execution_id=str(row["id"]),
            client_order_id=client_order_id,
            symbol=str(row["symbol"]),
            side=Side.BUY if row["side"] == "buy" else Side.SELL,  # "sell" and "sell_short"
            quantity=int(quantity),
            price=_decimal(row["price"]),
            at=instant(row["transaction_time"]),
            broker="alpaca",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BrokerError(f"alpaca's activity {row!r} cannot be read: {error!r}") from error


def holding_of(row: Row) -> tuple[str, int]:
    """Return a position's symbol and shares, negative if short.

    Raises:
        BrokerError: for a part of a share, or a row that is not what Alpaca documents.
    """
    try:
        symbol, quantity = str(row["symbol"]), abs(_decimal(row["qty"]))
        is_short = row["side"] == "short"
    except (KeyError, TypeError, ValueError) as error:
        raise BrokerError(f"alpaca's position {row!r} cannot be read: {error!r}") from error
    if quantity != quantity.to_integral_value():
        raise BrokerError(
            f"alpaca holds {quantity} {symbol}: expected whole shares; sell the fraction, or keep it in"
            " another account"
        )
    return symbol, -int(quantity) if is_short else int(quantity)


def trading_day_of(row: Row) -> TradingDay:
    """Return a row of /v2/calendar, whose times are New York's.

    Raises:
        BrokerError: if the row is not what Alpaca documents.
    """
    try:
        start, end = (
            datetime.strptime(f"{row['date']} {row[name]}", "%Y-%m-%d %H:%M").replace(tzinfo=NEW_YORK)
            for name in ("open", "close")
        )
        return TradingDay(
            day=date.fromisoformat(row["date"]), open=start.astimezone(UTC), close=end.astimezone(UTC)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BrokerError(f"alpaca's trading day {row!r} cannot be read: {error!r}") from error


def instant(text: str) -> datetime:
    """Return an instant of Alpaca's as aware UTC, to the microsecond. Raises ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return found.astimezone(UTC)


def rfc3339(at: datetime) -> str:
    """Return `at` as Alpaca reads it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _decimal(value: object) -> Decimal:
    """Return an exact number; a float of JSON by its shortest text. Raises ValueError if it is none."""
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{value!r} is no number") from None
    if not found.is_finite():
        raise ValueError(f"{value!r} is no number")
    return found
