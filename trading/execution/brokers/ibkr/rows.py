"""The gateway's orders, executions and positions in our words. Pure and light: standard library only.

Its amounts come as floats: each is taken by its shortest text, which is what the gateway sent. Objects of
ib_async are read here by their attributes, so that it need not be loaded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from trading.execution.errors import BrokerError
from trading.execution.orders import Fill, Side

STOCK, CURRENCY = "STK", "USD"
UNSET = 1e15
"""Above any number of shares or dollars: where the gateway has no number it sends 1.8e308 or 2**31 - 1 (a
count only)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order or a change of one. perm_id: the broker's id of it, 0: not given yet. name: the orderRef it
    was sent with, "": none. order_id, client_id: the number it has with the API client that sent it; None:
    not told (completed orders). quantity: 0: not told. status: in the gateway's words. has_ended: it is
    listed among the completed ones."""

    perm_id: int
    name: str
    quantity: int
    status: str
    order_id: int | None = None
    client_id: int | None = None
    filled: int = 0
    reason: str = ""
    has_ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRow:
    """One execution, or a correction of one. execution_id: without the number of the correction, so that all
    versions share it. fill: its fee is 0. key: the gateway's id, with that number."""

    key: str
    execution_id: str
    revision: int
    perm_id: int
    client_id: int
    fill: Fill


def open_row(order: Any, status: str) -> OrderRow:
    """Return an openOrder. Fractions of a share, never of our orders, count as a whole one."""
    return OrderRow(
        perm_id=int(order.permId),
        name=str(order.orderRef),
        order_id=int(order.orderId),
        client_id=int(order.clientId),
        quantity=math.ceil(_count(order.totalQuantity)),
        status=status,
    )


def completed_row(order: Any, state: Any) -> OrderRow:
    """Return a completedOrder, whose quantity the gateway may leave out."""
    return OrderRow(
        perm_id=int(order.permId),
        name=str(order.orderRef),
        quantity=math.ceil(_count(order.totalQuantity)),
        status=str(state.status),
        filled=math.floor(_count(order.filledQuantity)),
        reason="" if state.status == "Filled" else str(state.completedStatus),
        has_ended=True,
    )


def execution_row(contract: Any, execution: Any) -> ExecutionRow | None:
    """Return an execution; None if it is not of whole shares in dollars, so certainly not of our orders.

    A correction differs from what it corrects in the digits after the last full stop of its id alone.

    Raises:
        ValueError: if it is not what the documents say.
    """
    shares = float(execution.shares)
    if contract.secType != STOCK or contract.currency != CURRENCY or shares != int(shares):
        return None
    key = str(execution.execId)
    stem, _, digits = key.rpartition(".")
    is_numbered = bool(stem) and digits.isdecimal()
    fill = Fill(
        execution_id=stem if is_numbered else key,
        client_order_id=str(execution.orderRef) or str(execution.permId),
        symbol=our_symbol(str(contract.symbol)),
        side=Side.BUY if execution.side in ("BOT", "BUY") else Side.SELL,
        quantity=int(shares),
        price=decimal(execution.price),
        at=_utc(execution.time),
        broker="ibkr",
    )
    return ExecutionRow(
        key=key,
        execution_id=fill.execution_id,
        revision=int(digits) if is_numbered else 0,
        perm_id=int(execution.permId),
        client_id=int(execution.clientId),
        fill=fill,
    )


def fee_of(report: Any) -> Decimal | None:
    """Return a commission report's fee [$]; None if it names none, or in another currency."""
    if report.currency != CURRENCY or not abs(float(report.commission)) < UNSET:
        return None
    return decimal(report.commission)


def with_fee(fill: Fill, fee: Decimal | None) -> Fill:
    """Return the fill with its fee; None: it stays 0."""
    return fill if fee is None else replace(fill, fee=fee)


def holding_of(contract: Any, quantity: float) -> tuple[str, int] | None:
    """Return a position's symbol and shares, negative if short; None if it is not of shares in dollars.

    Raises:
        BrokerError: for a part of a share.
    """
    if contract.secType != STOCK or contract.currency != CURRENCY:
        return None
    if quantity != int(quantity):
        raise BrokerError(
            f"ibkr holds {quantity} {contract.symbol}: expected whole shares; sell the fraction, or keep it"
            " in another account"
        )
    return our_symbol(str(contract.symbol)), int(quantity)


def ib_symbol(symbol: str) -> str:
    """Return a symbol as the broker writes it: classes of shares stand after a blank ("BRK B")."""
    return symbol.replace(".", " ")


def our_symbol(symbol: str) -> str:
    """Return the broker's symbol as we write it ("BRK.B")."""
    return symbol.replace(" ", ".")


def decimal(value: float) -> Decimal:
    """Return a float as the decimal number it was read from."""
    return Decimal(repr(float(value)))


def _count(shares: Any) -> float:
    number = float(shares)
    return number if abs(number) < UNSET else 0.0


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"{at} has no zone")
    return at.astimezone(UTC)
