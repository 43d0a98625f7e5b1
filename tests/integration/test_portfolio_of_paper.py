"""Orders worked by the executor at the paper broker: the portfolio against the broker's own books."""

from __future__ import annotations

import asyncio
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading_floor import DAY, PRICE, SYMBOL, Floor, bars_of, hours_of, market_of, order_of
from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.brokers.paper.paper_broker import PaperBroker
from trading.execution.brokers.paper.paper_store import PaperStore
from trading.execution.orders import Side
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.valuation import Mark

CAPITAL = Decimal(1_000_000)


@pytest.mark.parametrize(("side", "quantity"), [(Side.BUY, 600), (Side.SELL, 450)])
def test_equity_is_the_paper_broker_s_cash_and_shares(tmp_path: Path, side: Side, quantity: int) -> None:
    """A second method: the broker's cash after every fill and fee, and its shares at the same price."""
    hours = hours_of(60)
    market = market_of(bars_of([PRICE] * 60, 1_000), hours)
    floor = Floor(tmp_path, market, hours, config=PaperConfig(fee_per_share=Decimal("0.01")))
    floor.enter(order_of(quantity, "twap", side, strategy_id="trend"))
    floor.run()

    with closing(PaperStore(tmp_path / "paper.db")) as store:
        broker = PaperBroker(market, floor.clock, config=floor.config, store=store)
        cash, shares = asyncio.run(broker.cash()), asyncio.run(broker.positions())
    price = Decimal("101.37")
    with PortfolioBooks(tmp_path / "ledger.db") as books:
        with books.writing():
            books.put_marks(DAY, {SYMBOL: Mark(price=price, at=hours.close)})
        worth = books.valuation(DAY, capital=CAPITAL, at=hours.close)

    assert [each.key.strategy_id for each in worth.holdings] == ["trend"]
    assert shares == {SYMBOL: side.sign * quantity}
    assert worth.equity == CAPITAL + cash + shares[SYMBOL] * price
