"""A ledger with orders that were filled at once, at a price and an instant of choice."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from trading.execution.facts import MarketFacts
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
from trading.execution.transitions import filled, parent_moved


def trade(
    path: Path,
    reference: str,
    shares: int,
    price: str,
    *,
    session: date,
    at: datetime,
    symbol: str = "ACME",
    strategy: str = "",
    fee: str = "0",
) -> None:
    """Book an order with one child and one fill; negative shares are a sale."""
    side = Side.BUY if shares > 0 else Side.SELL
    wanted = ParentOrder(
        parent_id="",
        reference=reference,
        session=session,
        symbol=symbol,
        side=side,
        quantity=abs(shares),
        created_at=at,
        strategy_id=strategy,
    )
    with Ledger(path) as ledger, ledger.writing(at) as book:
        order = book.add_parent(wanted)
        book.put_parent(parent_moved(order, ParentState.VALIDATED, at))
        number = book.next_sequence(order.parent_id)
        child = ChildOrder(
            client_order_id=child_id(order.parent_id, number),
            parent_id=order.parent_id,
            sequence=number,
            symbol=symbol,
            side=side,
            quantity=abs(shares),
            kind=OrderKind.MARKET,
            created_at=at,
        )
        book.put_child(child)
        fill = Fill(
            execution_id=child.client_order_id,
            client_order_id=child.client_order_id,
            symbol=symbol,
            side=side,
            quantity=abs(shares),
            price=Decimal(price),
            at=at,
            fee=Decimal(fee),
        )
        book.add_fill(fill)
        book.put_child(filled(replace(child, state=ChildState.ACKED), fill, at))


def know(path: Path, at: datetime, *symbols: str) -> None:
    """Put facts of symbols into the ledger that trade around 100 $, so that the modelled market has them."""
    with Ledger(path) as ledger, ledger.writing(at) as book:
        for symbol in symbols:
            book.put_facts(
                MarketFacts(
                    symbol=symbol,
                    as_of=at.date(),
                    price=100.0,
                    daily_volume=5e7,
                    daily_spread=0.02,
                    daily_volatility=0.02,
                    shape=(0.25,) * 4,
                )
            )
