"""The paper broker keeps what every broker keeps: on a file, and with reports told twice and out of order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.clock import VirtualClock
from tests.brokers_contract import BrokerContract, Desk
from trading.execution.brokers.broker import Broker
from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.brokers.paper.paper_broker import PaperBroker
from trading.execution.brokers.paper.paper_store import PaperStore
from trading.execution.markets.bars import BarMarket
from trading.execution.markets.traded import Bar
from trading.execution.smart.plan import SessionHours

OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOURS = SessionHours(day=date(2026, 11, 20), open=OPEN, close=OPEN + 390 * MINUTE)
PRICE = Decimal(50)
BARS = [Bar(OPEN + n * MINUTE, PRICE, PRICE, PRICE, PRICE, 1000, MINUTE) for n in range(390)]


class PaperDesk:
    """A paper broker on a file, with a market of 1000 shares a minute: 100 for own orders."""

    symbol, price, clip, opened_at = "AAPL", PRICE, 100, OPEN

    def __init__(self, path: Path, config: PaperConfig) -> None:
        self._path, self._config = path, config
        self._clock = VirtualClock(OPEN)
        self._stores: list[PaperStore] = []
        self.broker: Broker = self._open()

    def _open(self) -> PaperBroker:
        self._stores.append(PaperStore(self._path))
        market = BarMarket({self.symbol: BARS}, [HOURS])
        return PaperBroker(market, self._clock, config=self._config, store=self._stores[-1])

    async def trade(self) -> None:
        """One minute; late reports come with the next ones."""
        self._clock.advance(MINUTE)

    async def reopen(self) -> Broker:
        return self._open()

    def close(self) -> None:
        for store in self._stores:
            store.close()


class TestPaperBroker(BrokerContract):
    config = PaperConfig()

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "paper.db"

    def open_desk(self) -> AbstractAsyncContextManager[Desk]:
        return self._desk()

    @asynccontextmanager
    async def _desk(self) -> AsyncIterator[Desk]:
        desk = PaperDesk(self.path, self.config)
        try:
            await desk.broker.connect()
            yield desk
        finally:
            desk.close()


class TestPaperBrokerThatRepeatsItself(TestPaperBroker):
    config = PaperConfig(duplicate_rate=1.0, reorder_rate=1.0, reorder_delay=timedelta())
