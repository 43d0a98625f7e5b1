"""The paper broker's books on a real file, real bars from files, and orders in real time."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from orchestration.clock import SystemClock, VirtualClock
from tests.paper_markets import CLOSE, HOURS, MINUTE, OPEN, SYMBOL, flat, market, ticket, until_quiet
from trading.execution.brokers.broker import BrokerOrderState
from trading.execution.brokers.paper import PaperBroker, PaperConfig, PaperExecutor, PaperStore
from trading.execution.errors import BrokerUnavailable, LedgerError, SubmitUnclear
from trading.execution.facts import MarketFacts
from trading.execution.markets.bars import BarMarket
from trading.execution.markets.modelled import ModelledMarket
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.orders import Fill, Side
from trading.execution.replay_bars import csv_bars, stored_bars
from trading.execution.smart.plan import SessionHours
from trading.marketdata.errors import BarStoreError, SourceError
from trading.marketdata.intraday import IntradayStore

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ORCHESTRATOR_SHARED_DATA") or ROOT.parent / "shared" / "data")
needs_shared_bars = pytest.mark.skipif(
    not (SHARED / "intraday").is_dir(), reason="the shared price data is not here (ORCHESTRATOR_SHARED_DATA)"
)
# 2019-02-11 is a full session in winter: 9:30 to 16:00 in New York is 14:30 to 21:00 UTC.
SHARED_HOURS = SessionHours(
    day=date(2019, 2, 11),
    open=datetime(2019, 2, 11, 14, 30, tzinfo=UTC),
    close=datetime(2019, 2, 11, 21, 0, tzinfo=UTC),
)

LEAVES_AT_ONCE = """
import asyncio, os, sys
from orchestration.clock import VirtualClock
from tests.paper_markets import OPEN, flat, market, ticket
from trading.execution.brokers.paper import PaperBroker, PaperStore

broker = PaperBroker(market(flat()), VirtualClock(OPEN), store=PaperStore(sys.argv[1]))
asyncio.run(broker.submit(ticket(quantity=250)))
os._exit(9)
"""


def test_what_happened_while_the_process_was_away_is_there_afterwards(tmp_path: Path) -> None:
    """250 shares sent at the open by a process that then dies: 100, 100 and 50 in the first three minutes."""
    path = tmp_path / "paper.db"
    child = [sys.executable, "-c", LEAVES_AT_ONCE, str(path)]
    assert subprocess.run(child, cwd=ROOT, timeout=60, start_new_session=True, check=False).returncode == 9

    store = PaperStore(path)
    broker = PaperBroker(market(flat()), VirtualClock(OPEN + timedelta(hours=1)), store=store)
    fills = asyncio.run(broker.fills(OPEN))
    store.close()

    assert [(fill.quantity, fill.at) for fill in fills] == [
        (100, OPEN + MINUTE),
        (100, OPEN + 2 * MINUTE),
        (50, OPEN + 3 * MINUTE),
    ]


def test_two_brokers_on_one_file_work_a_bar_once(tmp_path: Path) -> None:
    clock, stores = VirtualClock(OPEN), [PaperStore(tmp_path / "paper.db") for _ in range(2)]
    first, second = (PaperBroker(market(flat()), clock, store=store) for store in stores)

    async def story() -> tuple[list[Fill], list[Fill]]:
        await first.submit(ticket("a", 150))
        await second.submit(ticket("b", 150, Side.SELL))
        clock.advance(2 * MINUTE)
        # Both read what waits before either has worked it.
        await asyncio.gather(first.find("a"), second.find("b"))
        clock.advance(2 * MINUTE)
        return list(await first.fills(OPEN)), list(await second.fills(OPEN))

    seen_by_first, seen_by_second = asyncio.run(story())
    for store in stores:
        store.close()

    assert seen_by_first == seen_by_second
    assert [(fill.client_order_id, fill.quantity) for fill in seen_by_first] == [
        ("a", 100),
        ("a", 50),
        ("b", 50),
        ("b", 100),
    ]


def test_what_one_broker_works_the_other_reports_too(tmp_path: Path) -> None:
    clock, stores = VirtualClock(OPEN), [PaperStore(tmp_path / "paper.db") for _ in range(2)]
    first, second = (PaperBroker(market(flat()), clock, store=store) for store in stores)

    async def story() -> list[int]:
        await first.submit(ticket(quantity=100))
        clock.advance(MINUTE)
        await second.find("t-1")
        return [len(await first.reports()), len(await second.reports())]

    told = asyncio.run(story())
    for store in stores:
        store.close()

    # Taken, one fill, filled.
    assert told == [3, 3]


def test_permanent_impact_outlives_the_process(tmp_path: Path) -> None:
    params = {SYMBOL: AlmgrenChrissParams(1e-12, 1e-4, 0.0)}
    clock, prices = VirtualClock(OPEN), []
    for client_order_id in ("a", "b"):
        store = PaperStore(tmp_path / "paper.db")
        broker = PaperBroker(market(flat()), clock, store=store, params=params)

        async def story(broker: PaperBroker = broker, sent: str = client_order_id) -> Decimal:
            await broker.submit(ticket(sent, 100))
            await until_quiet(broker, clock)
            return (await broker.fills(OPEN))[-1].price

        prices.append(asyncio.run(story()))
        store.close()

    # 100 shares at gamma = 1e-4 move the price by 0.01 $.
    assert prices == [Decimal("100.0101"), Decimal("100.0201")]


def test_a_file_of_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()

    with pytest.raises(LedgerError, match=r"version 99.*move the file away"):
        PaperStore(path)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    path.write_text("these are not the books you are looking for" * 50)

    with pytest.raises(LedgerError, match=r"paper\.db"):
        PaperStore(path)


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="nowhere"):
        PaperStore(tmp_path / "nowhere" / "paper.db")


def test_a_submit_that_cannot_be_booked_is_unclear_and_leaves_nothing(tmp_path: Path) -> None:
    store = PaperStore(tmp_path / "paper.db")
    broker = PaperBroker(market(flat()), VirtualClock(OPEN), store=store)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("ALTER TABLE news RENAME TO mislaid")

    with pytest.raises(SubmitUnclear):
        asyncio.run(broker.submit(ticket()))

    assert asyncio.run(broker.find("t-1")) is None
    other.close()
    store.close()


def test_a_question_that_the_books_cannot_answer_may_be_asked_again(tmp_path: Path) -> None:
    store = PaperStore(tmp_path / "paper.db")
    broker = PaperBroker(market(flat()), VirtualClock(OPEN), store=store)
    asyncio.run(broker.submit(ticket()))
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("ALTER TABLE orders RENAME TO mislaid")

    with pytest.raises(BrokerUnavailable):
        asyncio.run(broker.find("t-1"))

    other.execute("ALTER TABLE mislaid RENAME TO orders")
    assert asyncio.run(broker.find("t-1")) is not None
    other.close()
    store.close()


def test_an_order_in_real_time_is_filled_by_the_models_next_bars() -> None:
    """Bars of 50 ms with 2,000 shares each: 500 shares need three of them at 10 %."""
    now = SystemClock().now()
    hours = SessionHours(day=now.date(), open=now, close=now + timedelta(seconds=60))
    facts = MarketFacts(
        symbol=SYMBOL,
        as_of=now.date(),
        price=100.0,
        daily_volume=2_000 * 1_200,
        daily_spread=0.02,
        daily_volatility=0.02,
        shape=(1.0,),
    )
    source = ModelledMarket([facts], [hours], length=timedelta(milliseconds=50))
    executor = PaperExecutor(source, skip_delays=False)

    result = executor.execute_order(SYMBOL, "buy", 500)

    assert result.state is BrokerOrderState.FILLED
    assert [fill.quantity for fill in result.fills] == [200, 200, 100]
    assert all(fill.at > now for fill in result.fills)


def frame_of_the_first_minutes() -> pd.DataFrame:
    """Three minutes as the intraday store keeps them; the second had no trade."""
    index = pd.DatetimeIndex([OPEN, OPEN + 2 * MINUTE, OPEN + 3 * MINUTE], name="ts").as_unit("s")
    prices = {name: [10.1, 10.2, 10.3] for name in ("open", "high", "low", "close")}
    day = pd.to_datetime(["2026-11-20"] * 3).astype("datetime64[s]")
    rest = {"volume": [100.0, 0.0, 300.0], "day": day, "minute": [0, 2, 3], "session_minutes": 390}
    return pd.DataFrame({**prices, **rest, "is_early": False}, index=index)


def test_a_replay_takes_the_stored_bars_of_its_day_as_they_were_written(tmp_path: Path) -> None:
    store = IntradayStore(tmp_path)
    store.merge(SYMBOL, 1, frame_of_the_first_minutes(), "test")

    bars = stored_bars(store, [SYMBOL], HOURS)[SYMBOL]

    assert [(bar.start, str(bar.close), bar.volume) for bar in bars] == [
        (OPEN, "10.1", 100),
        (OPEN + 2 * MINUTE, "10.2", 0),
        (OPEN + 3 * MINUTE, "10.3", 300),
    ]
    assert {bar.length for bar in bars} == {MINUTE}


def test_a_replay_of_a_day_that_is_not_stored_says_what_to_do(tmp_path: Path) -> None:
    store = IntradayStore(tmp_path)
    store.merge(SYMBOL, 1, frame_of_the_first_minutes(), "test")

    with pytest.raises(BarStoreError, match=r"2019-02-11.*refresh_intraday_data"):
        stored_bars(store, [SYMBOL], SHARED_HOURS)


CSV = """symbol,ts,open,high,low,close,volume
AAPL,2026-11-20 09:29:00,10,10,10,10,1
AAPL,2026-11-20 09:30:00,10.1,10.3,10.0,10.2,100
AAPL,2026-11-20 09:31:00,10.2,10.2,10.2,10.2,50
MSFT,2026-11-20 09:30:00,20,20,20,20,7
"""


@pytest.mark.parametrize("place", ["bars_1min.csv", "intraday/bars_1min.csv"])
@pytest.mark.parametrize("is_file", [True, False])
def test_a_replay_reads_csv_files_wherever_they_are(tmp_path: Path, place: str, is_file: bool) -> None:
    """New York is five hours behind UTC in November; the bar before the open is left out."""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(CSV)

    bars = csv_bars(tmp_path / place if is_file else tmp_path, [SYMBOL], HOURS)

    assert list(bars) == [SYMBOL]
    assert [(bar.start, bar.high, bar.volume) for bar in bars[SYMBOL]] == [
        (OPEN, Decimal("10.3"), 100),
        (OPEN + MINUTE, Decimal("10.2"), 50),
    ]


def test_a_replay_names_the_symbols_that_the_files_lack(tmp_path: Path) -> None:
    (tmp_path / "bars_1min.csv").write_text(CSV)

    with pytest.raises(SourceError, match="no intraday bars of IBM on 2026-11-20"):
        csv_bars(tmp_path, [SYMBOL, "IBM"], HOURS)


@needs_shared_bars
def test_the_shortest_of_several_files_is_replayed() -> None:
    bars = csv_bars(SHARED, ["SPY"], SHARED_HOURS)["SPY"]

    assert len(bars) == 390
    assert bars[0].open == Decimal("271.19")
    assert bars[0].volume == 1_488_804


@needs_shared_bars
def test_a_real_day_fills_an_order_within_its_share_and_the_days_prices() -> None:
    """50,000 shares of SPY from 10:00 New York, at 1 % of each minute; checked against the bars anew."""
    bars = csv_bars(SHARED / "intraday" / "us20_1min_2019.csv.gz", ["SPY"], SHARED_HOURS)
    config = PaperConfig(max_share_of_bar=0.01)
    start = SHARED_HOURS.open + 30 * MINUTE
    executor = PaperExecutor(BarMarket(bars, [SHARED_HOURS]), skip_delays=True, start=start, config=config)

    result = executor.execute_order("SPY", "sell", 50_000)

    by_end = {bar.end: bar for bar in bars["SPY"]}
    assert (result.state, result.filled) == (BrokerOrderState.FILLED, 50_000)
    expected, left = [], 50_000
    for end in sorted(end for end in by_end if end > start):
        shares = min(left, by_end[end].volume // 100)
        expected += [(end, shares)] if shares else []
        left -= shares
    assert [(fill.at, fill.quantity) for fill in result.fills] == expected
    for fill in result.fills:
        bar = by_end[fill.at]
        # A sale at the typical price less 1 bp (half of 2 bp), and one step of rounding.
        typical = (bar.high + bar.low + bar.close) / 3
        assert typical * Decimal("0.9999") - Decimal("0.0001") <= fill.price <= typical * Decimal("0.9999")


def test_the_close_ends_a_day_order_even_if_nobody_asks_for_days(tmp_path: Path) -> None:
    clock, store = VirtualClock(CLOSE - 3 * MINUTE), PaperStore(tmp_path / "paper.db")
    broker = PaperBroker(market(flat()), clock, store=store)

    async def story() -> tuple[BrokerOrderState, int]:
        await broker.submit(ticket(quantity=1_000))
        clock.advance(timedelta(days=4))
        found = await broker.find("t-1")
        assert found is not None
        return found.state, found.filled

    ended = asyncio.run(story())
    store.close()

    assert ended == (BrokerOrderState.EXPIRED, 300)
