"""Interactive Brokers' quotes and volume over real connections to a local server of TWS's messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.ibkr_server import Bar, Fault, IbkrServer, Request, ibkr_server
from tests.integration.test_ibkr import SOON, adapter, run, until_unavailable
from trading.execution.brokers.ibkr.broker import IbkrBroker
from trading.execution.errors import BrokerUnavailable
from trading.execution.markets.ibkr import IbkrMarket
from trading.execution.markets.market import Quote

NOW = datetime(2026, 11, 20, 15, 3, 30, tzinfo=UTC)
OPEN = NOW.replace(minute=0, second=0)


@asynccontextmanager
async def market() -> AsyncIterator[tuple[IbkrServer, IbkrMarket, IbkrBroker]]:
    async with ibkr_server(lambda: NOW) as server:
        broker = adapter(server)
        await broker.connect()
        try:
            yield server, IbkrMarket(broker, first_quote=SOON), broker
        finally:
            await broker.close()


def prices(quote: Quote | None) -> tuple[str, str, bool] | None:
    return None if quote is None else (str(quote.bid), str(quote.ask), quote.is_halted)


async def until_quoted(market_: IbkrMarket, expected: tuple[str, str, bool] | None) -> None:
    quote = None
    for _ in range(3000):
        quote = await market_.quote("AAPL", NOW)
        if prices(quote) == expected:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the quote is {quote}")


async def quoted_for_long(market_: IbkrMarket) -> None:
    """Ask for prices half a minute long, or until they cannot be had."""
    for _ in range(3000):
        await market_.quote("AAPL", NOW)
        await asyncio.sleep(0.01)


async def until_quoted_again(market_: IbkrMarket, expected: tuple[str, str, bool]) -> None:
    """Wait until prices can be had again; until then none may be told."""
    for _ in range(3000):
        try:
            quote = await market_.quote("AAPL", NOW)
        except BrokerUnavailable:
            await asyncio.sleep(0.01)
        else:
            assert prices(quote) == expected
            return
    raise AssertionError("there are no prices")


def test_the_quote_follows_the_market_after_one_request() -> None:
    async def story() -> None:
        async with market() as (server, market_, _):
            server.tick("AAPL", 1, 10.01)
            server.tick("AAPL", 2, 10.03)

            quote = await market_.quote("AAPL", NOW)
            assert prices(quote) == ("10.01", "10.03", False)
            assert quote is not None
            assert quote.at.tzinfo is not None
            server.tick("AAPL", 2, 10.02)
            await until_quoted(market_, ("10.01", "10.02", False))

            assert server.count(Request.MARKET_DATA) == 1

    run(story)


@pytest.mark.parametrize("kind", [1, 2])
def test_a_halt_is_told_and_ends(kind: int) -> None:
    async def story() -> None:
        async with market() as (server, market_, _):
            server.tick("AAPL", 1, 10.01)
            server.tick("AAPL", 2, 10.03)
            server.halt("AAPL", kind)
            await until_quoted(market_, ("10.01", "10.03", True))

            server.halt("AAPL", 0)

            await until_quoted(market_, ("10.01", "10.03", False))

    run(story)


@pytest.mark.parametrize(
    "ticks",
    [
        [],
        [(1, 10.0, 100)],
        [(1, -1.0, 0), (2, 10.0, 100)],
        [(1, 10.0, 100), (2, 10.1, 100), (2, 10.1, 0)],
        [(1, 10.1, 100), (2, 10.0, 100)],
    ],
    ids=["none", "one side", "an empty bid", "an ask that is gone", "crossed"],
)
def test_without_two_good_sides_there_is_no_quote(ticks: list[tuple[int, float, int]]) -> None:
    async def story() -> None:
        async with market() as (server, market_, _):
            server.quotes["AAPL"] = ticks

            assert await market_.quote("AAPL", NOW) is None

    run(story)


def test_an_unknown_symbol_has_neither_quote_nor_volume() -> None:
    async def story() -> None:
        async with market() as (_, market_, __):
            assert await market_.quote("NOSUCH", NOW) is None
            assert await market_.volume("NOSUCH", OPEN, NOW, NOW) == 0

    run(story)


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (354, "Requested market data is not subscribed.", PermissionError),
        (10089, "Requested market data requires additional subscription for API.", PermissionError),
        (10197, "No market data during competing live session", BrokerUnavailable),
    ],
)
def test_prices_that_may_not_be_had_are_an_error_that_says_why(
    code: int, text: str, expected: type[Exception]
) -> None:
    async def story() -> None:
        async with market() as (server, market_, _):
            server.faults.append(Fault(request=Request.MARKET_DATA, code=code, text=text))

            with pytest.raises(expected, match=str(code)):
                await market_.quote("AAPL", NOW)

            server.tick("AAPL", 1, 10.01)
            server.tick("AAPL", 2, 10.03)
            await until_quoted(market_, ("10.01", "10.03", False))

    run(story)


@pytest.mark.parametrize("how", ["drop", "1101"])
def test_prices_come_again_after_they_were_lost(how: str) -> None:
    async def story() -> None:
        async with market() as (server, market_, broker):
            server.tick("AAPL", 1, 10.01)
            server.tick("AAPL", 2, 10.03)
            await until_quoted(market_, ("10.01", "10.03", False))
            if how == "drop":
                server.peers[0].drop()
                await until_unavailable(broker)
                await broker.connect()
            else:
                server.notice(1101, "Connectivity restored - data lost.")
            server.watching.clear()
            server.tick("AAPL", 1, 10.02)

            await until_quoted(market_, ("10.02", "10.03", False))

    run(story)


def test_old_prices_are_not_told_while_the_data_servers_are_gone() -> None:
    async def story() -> None:
        async with market() as (server, market_, _):
            server.tick("AAPL", 1, 10.01)
            server.tick("AAPL", 2, 10.03)
            server.notice(2103, "Market data farm connection is broken:eufarm")
            await until_quoted(market_, ("10.01", "10.03", False))
            server.notice(2103, "Market data farm connection is broken:usfarm.nj")

            with pytest.raises(BrokerUnavailable, match=r"usfarm\.nj"):
                await quoted_for_long(market_)

            server.notice(2104, "Market data farm connection is OK:usfarm.nj")
            await until_quoted_again(market_, ("10.01", "10.03", False))

    run(story)


def minutes(*volumes: int) -> list[Bar]:
    return [Bar(at=OPEN + timedelta(minutes=number), volume=volume) for number, volume in enumerate(volumes)]


def test_volume_is_that_of_the_whole_minutes_that_are_over() -> None:
    async def story() -> None:
        async with market() as (server, market_, _):
            # 15:00, 15:01, 15:02 are over at 15:03:30; 15:03 is not.
            server.bars["AAPL"] = minutes(100, 200, 400, 800)

            assert await market_.volume("AAPL", OPEN, NOW + timedelta(hours=1), NOW) == 700
            assert await market_.volume("AAPL", OPEN + timedelta(seconds=30), NOW, NOW) == 600
            assert await market_.volume("AAPL", OPEN, OPEN + timedelta(minutes=2), NOW) == 300
            assert await market_.volume("AAPL", NOW, OPEN, NOW) == 0

    run(story)


def test_volume_is_asked_for_once_a_minute() -> None:
    async def story() -> None:
        async with market() as (server, market_, _):
            server.bars["AAPL"] = minutes(100, 200, 400, 800)
            for second in (0, 10, 29):
                await market_.volume("AAPL", OPEN, NOW, NOW + timedelta(seconds=second))
            assert server.count(Request.HISTORY) == 1

            later = NOW + timedelta(seconds=30)

            assert await market_.volume("AAPL", OPEN, later, later) == 1500
            assert server.count(Request.HISTORY) == 2

    run(story)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Historical Market Data Service error message:No market data permissions",
            PermissionError,
        ),
        ("Historical Market Data Service error message:pacing violation", BrokerUnavailable),
    ],
)
def test_volume_that_may_not_be_had_is_an_error(text: str, expected: type[Exception]) -> None:
    async def story() -> None:
        async with market() as (server, market_, _):
            server.faults.append(Fault(request=Request.HISTORY, code=162, text=text))

            with pytest.raises(expected, match="162"):
                await market_.volume("AAPL", OPEN, NOW, NOW)

    run(story)


def test_no_trades_are_no_volume() -> None:
    async def story() -> None:
        async with market() as (_, market_, __):
            assert await market_.volume("AAPL", OPEN, NOW, NOW) == 0

    run(story)
