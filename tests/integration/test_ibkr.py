"""The Interactive Brokers adapter over real connections to a local server that speaks TWS's messages."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.brokers_contract import BrokerContract, Desk
from tests.ibkr_server import IbkrServer, ibkr_server
from trading.execution.brokers.broker import Broker, Ticket
from trading.execution.brokers.ibkr.broker import IbkrBroker
from trading.execution.errors import BrokerUnavailable
from trading.execution.orders import OrderKind, Side

ROOT = Path(__file__).resolve().parents[2]
NAME = "20261120-AAPL-0001-0001"
SOON = timedelta(seconds=0.4)


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach the vendor, whatever address it was given."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        assert ipaddress.ip_address(address[0]).is_loopback, f"a test tried to reach {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def adapter(server: IbkrServer, **changes: Any) -> IbkrBroker:
    given: dict[str, Any] = {"address": server.address, "fee_wait": SOON, "retry": timedelta(seconds=0.05)}
    return IbkrBroker(**given | changes)


@asynccontextmanager
async def desk(**changes: Any) -> AsyncIterator[tuple[IbkrServer, IbkrBroker]]:
    async with ibkr_server() as server:
        broker = adapter(server, **changes)
        await broker.connect()
        try:
            yield server, broker
        finally:
            await broker.close()


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def ticket(name: str = NAME, **changes: Any) -> Ticket:
    given: dict[str, Any] = {
        "client_order_id": name,
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": 100,
        "kind": OrderKind.LIMIT,
        "limit_price": Decimal("10.05"),
    }
    return Ticket(**given | changes)


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(300):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it has not happened")


async def answered(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until there is an answer."""
    for _ in range(200):
        try:
            return await ask()
        except BrokerUnavailable:
            await asyncio.sleep(0.02)
    raise AssertionError("there was no answer")


class LocalDesk:
    """The contract's desk: the market is the server's account, filled by hand."""

    symbol, price, clip = "AAPL", Decimal("10"), 20

    def __init__(self, server: IbkrServer, broker: IbkrBroker) -> None:
        self.server, self.opened_at = server, datetime.now(UTC) - timedelta(minutes=1)
        self.broker: Broker = broker
        self._closing = [broker]

    async def trade(self) -> None:
        for order in [o for o in self.server.orders if o.is_open]:
            sign, limit = 1 if order.action == "BUY" else -1, order.limit or float(self.price)
            if sign * (limit - float(self.price)) >= 0:
                self.server.fill(order.ref, min(self.clip, order.quantity - order.filled), float(self.price))

    async def reopen(self) -> IbkrBroker:
        await self._closing[-1].close()
        self._closing.append(adapter(self.server))
        await self._closing[-1].connect()
        return self._closing[-1]

    async def close(self) -> None:
        await self._closing[-1].close()


class TestIbkrKeepsTheContract(BrokerContract):
    @asynccontextmanager
    async def open_desk(self) -> AsyncIterator[Desk]:
        async with ibkr_server() as server:
            broker = adapter(server)
            await broker.connect()
            local = LocalDesk(server, broker)
            try:
                yield local
            finally:
                await local.close()
