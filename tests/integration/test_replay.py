"""A replay is the executor itself on a day's bars: nothing from the future, nothing beyond the caps, and the
same again. Pictures of it need no colour and no network."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from scripts._replay import known_before, past_hours, take_in
from tests.intraday_files import SHARED
from tests.open_market import now
from tests.paper_markets import CLOSE, HOURS, MINUTE, OPEN, bar, flat
from trading.execution.errors import PlanError
from trading.execution.facts import MarketFacts
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.ledger import Ledger
from trading.execution.markets.traded import Bar
from trading.execution.order_records import OrderRecord
from trading.execution.orders import ParentOrder, ParentState, Side, Urgency
from trading.execution.replay import ReplayDay, modelled_day, recorded_day, replay, send_plainly
from trading.execution.replay_bars import stored_bars
from trading.execution.replay_pictures import png, svg, words
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.rules import Ended
from trading.marketdata.intraday import IntradayStore

NEW_YORK = ZoneInfo("America/New_York")


def facts_of(symbol: str = "AAPL") -> MarketFacts:
    """390,000 shares a day, 1,000 in each minute; a spread of 2 cents at 100 $."""
    return MarketFacts(
        symbol=symbol,
        as_of=date(2026, 11, 19),
        price=100.0,
        daily_volume=390_000.0,
        daily_spread=0.02,
        daily_volatility=0.01,
        shape=(0.5, 0.5),
    )


def order_of(
    quantity: int, algorithm: str = "twap", side: Side = Side.BUY, symbol: str = "AAPL"
) -> ParentOrder:
    return ParentOrder(
        parent_id="",
        reference=f"test {symbol}",
        session=HOURS.day,
        symbol=symbol,
        side=side,
        quantity=quantity,
        created_at=OPEN,
        algorithm=algorithm,
        urgency=Urgency.HIGH,
    )


def day_of(bars: Sequence[Bar]) -> ReplayDay:
    return recorded_day(HOURS, {"AAPL": bars}, {"AAPL": facts_of()})


def waves() -> list[Bar]:
    """Prices that go up and down by 5 cents every ten minutes."""
    return [bar(n, "100.05" if n // 5 % 2 else "99.95", spread_out="0.02") for n in range(390)]


def worked(day: ReplayDay, order: ParentOrder, folder: Path) -> OrderRecord:
    """Work one order through a day; its ledger is in order afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    with Ledger(folder / "ledger.db") as ledger:
        ended, [record] = replay([order], day, ledger, KillSwitch(folder / "halt"))
        assert ended is Ended.DONE
        assert ledger.verify() == []
    return record


def test_an_order_is_worked_from_the_open_to_its_end(tmp_path: Path) -> None:
    record = worked(day_of(waves()), order_of(780), tmp_path)

    assert record.order.state is ParentState.COMPLETED
    assert record.measures.filled == 780
    assert record.plans[0].made_at < OPEN
    # The first bar's close is the first price that is known, and it is known when the bar has ended.
    assert record.order.arrived_at == OPEN + MINUTE
    assert record.order.decision_price == Decimal("99.95")


def test_every_fill_is_from_a_bar_that_began_after_its_child_was_sent(tmp_path: Path) -> None:
    record = worked(day_of(waves()), order_of(780), tmp_path)

    sent = {child.client_order_id: child.created_at for child in record.children}
    assert all(fill.at - MINUTE >= sent[fill.client_order_id] for fill in record.fills)


def test_the_same_day_gives_the_same_fills_again(tmp_path: Path) -> None:
    first = worked(day_of(waves()), order_of(780, "adaptive"), tmp_path / "a")
    second = worked(day_of(waves()), order_of(780, "adaptive"), tmp_path / "b")

    assert first.fills == second.fills
    assert first.plans == second.plans


def test_a_plain_order_costs_half_the_spread_and_its_own_impact() -> None:
    # A tenth of the second minute's 1,000 shares: 0.01 $ for half the spread; eta = 0.02 / 3,900
    # ($/share)/(share/day), so 100 shares in 1/390 of a day cost 0.02 / 3,900 * 100 * 390 = 0.20 $ each.
    record = asyncio.run(send_plainly(order_of(100), day_of(flat())))

    assert [fill.price for fill in record.fills] == [Decimal("100.2100")]
    assert record.fills[0].at == OPEN + 2 * MINUTE
    assert record.order.state is ParentState.COMPLETED
    assert record.measures.slippage_arrival_bps == pytest.approx(21.0)


def test_a_plain_order_that_the_day_has_no_room_for_expires_at_the_close() -> None:
    # 389 bars from the second minute on, 100 shares of each.
    record = asyncio.run(send_plainly(order_of(50_000), day_of(flat())))

    assert record.measures.filled == 38_900
    assert record.order.state is ParentState.EXPIRED
    assert record.order.completed_at == CLOSE


def test_several_symbols_are_worked_side_by_side(tmp_path: Path) -> None:
    bars = {"AAPL": waves(), "ACME": waves()}
    day = recorded_day(HOURS, bars, {"AAPL": facts_of(), "ACME": facts_of("ACME")})

    with Ledger(tmp_path / "ledger.db") as ledger:
        orders = [order_of(780), order_of(780, symbol="ACME")]
        _, records = replay(orders, day, ledger, KillSwitch(tmp_path / "halt"))

    assert [record.order.symbol for record in records] == ["AAPL", "ACME"]
    assert [record.measures.filled for record in records] == [780, 780]


def test_a_replay_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    seen = [0]

    with Ledger(tmp_path / "ledger.db") as ledger:
        ended, [record] = replay(
            [order_of(780)],
            day_of(waves()),
            ledger,
            KillSwitch(tmp_path / "halt"),
            stop=lambda: seen[-1] > 0,
            watch=lambda at, desks: seen.append(sum(desk.filled for desk in desks)),
        )

    assert ended is Ended.STOPPED
    assert record.order.state is ParentState.PAUSED
    assert 0 < record.measures.filled < 780


def test_a_watcher_is_told_the_time_and_the_orders(tmp_path: Path) -> None:
    seen = []

    with Ledger(tmp_path / "ledger.db") as ledger:
        replay(
            [order_of(780)],
            day_of(waves()),
            ledger,
            KillSwitch(tmp_path / "halt"),
            watch=lambda at, desks: seen.append((at, [desk.filled for desk in desks])),
        )

    assert [at for at, _ in seen] == sorted(at for at, _ in seen)
    assert seen[-1][1][0] > 0


def test_bars_that_are_longer_than_a_child_lives_are_refused() -> None:
    five = [Bar(OPEN, *(Decimal(100),) * 4, 1_000, 5 * MINUTE)]

    with pytest.raises(PlanError, match=r"bars of AAPL .* are 5 minutes long; a replay needs .* at most 2"):
        day_of(five)


def test_a_modelled_day_says_that_it_is_one(tmp_path: Path) -> None:
    day = modelled_day(HOURS, {"AAPL": facts_of()}, seed=1)

    record = worked(day, order_of(390), tmp_path)

    assert "model" in day.remark
    assert record.measures.filled > 0


def test_hours_of_a_past_day_know_its_early_close() -> None:
    hours = past_hours(date(2018, 12, 24), now(), "XNYS")

    assert hours.is_early_close
    assert hours.close - hours.open == timedelta(hours=3.5)


@pytest.mark.parametrize(
    ("day", "why"), [(date(2019, 2, 16), "is no session"), (date(2199, 1, 2), "has not ended")]
)
def test_a_day_without_a_session_is_refused(day: date, why: str) -> None:
    with pytest.raises(ValueError, match=f"{day} {why}"):
        past_hours(day, now(), "XNYS")


# Pictures


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[OrderRecord]:
    """One order as it is, plainly and by two algorithms; one of them refuses it."""
    day = day_of(waves())
    plain = asyncio.run(send_plainly(order_of(780), day))
    names = ("twap", "market")
    return [plain, *(worked(day, order_of(780, name), tmp_path_factory.mktemp(name)) for name in names)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_picture_is_a_png_that_holds_its_own_description(records: list[OrderRecord], count: int) -> None:
    found = png(records[-count:], HOURS, NEW_YORK, "Buy 780 AAPL")

    assert found.startswith(b"\x89PNG")
    assert b"Buy 780 AAPL" in found
    assert words(records[-count:], NEW_YORK).encode() in found


def test_the_words_of_a_picture_say_what_was_done_and_why_not(records: list[OrderRecord]) -> None:
    said = words(records, NEW_YORK)

    assert "plain: 100 % filled, half of that by 09:3" in said
    assert "market: nothing was filled (780 shares cannot go at once" in said


def test_the_same_orders_give_the_same_picture(records: list[OrderRecord]) -> None:
    assert png(records, HOURS, NEW_YORK, "x") == png(records, HOURS, NEW_YORK, "x")


def test_a_drawing_for_a_page_is_whole_names_no_address_and_follows_the_page(
    records: list[OrderRecord],
) -> None:
    drawn = svg(records, HOURS, NEW_YORK)

    ElementTree.fromstring(drawn)
    assert "http" not in drawn
    assert "prefers-color-scheme:dark" in drawn
    body = drawn.partition("</style>")[2]
    assert "#0a6cae" not in body
    assert "var(--xs0)" in body


def test_two_drawings_on_a_page_share_no_name(records: list[OrderRecord]) -> None:
    both = [
        Counter(node.get("id") for node in ElementTree.fromstring(svg(group, HOURS, NEW_YORK)).iter())
        for group in (records, records[1:2])
    ]

    assert set(both[0]) & set(both[1]) <= {None}


# Real bars


@pytest.fixture(scope="module")
def spy(tmp_path_factory: pytest.TempPathFactory) -> ReplayDay:
    """SPY on 2011-03-10, a day that fell by 1.9 %, as the day before knew it."""
    if not (SHARED / "intraday").is_dir():
        pytest.skip("the shared price data is not here (ORCHESTRATOR_SHARED_DATA)")
    folder, day = tmp_path_factory.mktemp("spy"), date(2011, 3, 10)
    source = folder / "source"
    (source / "intraday").mkdir(parents=True)
    (source / "SPY.csv.gz").symlink_to(SHARED / "daily_etf" / "SPY.csv.gz")
    (source / "intraday" / "SPY_1min_2011.csv.gz").symlink_to(SHARED / "intraday" / "SPY_1min_2011.csv.gz")
    take_in(f"csv:{source}", ["SPY"], day, folder / "data", now())
    hours = past_hours(day, now(), "XNYS")
    facts = known_before(["SPY"], day, [folder / "data"])
    return recorded_day(hours, stored_bars(IntradayStore(folder / "data"), ["SPY"], hours), facts)


def test_a_real_day_is_planned_from_what_was_known_before_it(spy: ReplayDay) -> None:
    sources = dict(spy.facts["SPY"].sources)

    assert spy.facts["SPY"].as_of == date(2011, 3, 9)
    # January's 20 sessions and the first seven of March are in the file before that day.
    assert sources["profile"] == "median of 27 sessions to 2011-03-09"


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_every_algorithm_keeps_to_the_rules_on_a_real_day(
    spy: ReplayDay, algorithm: str, tmp_path: Path
) -> None:
    wanted = ParentOrder(
        parent_id="",
        reference="test",
        session=spy.hours.day,
        symbol="SPY",
        side=Side.SELL,
        quantity=200_000,
        created_at=spy.hours.open,
        algorithm=algorithm,
    )

    record = worked(spy, wanted, tmp_path)

    of_bar = Counter[datetime]()
    for fill in record.fills:
        of_bar[fill.at] += fill.quantity
    volume = {each.end: each.volume for each in record.bars}
    assert 0.5 * wanted.quantity < record.measures.filled <= wanted.quantity
    assert all(shares <= 0.1 * volume[at] for at, shares in of_bar.items())
    assert all(spy.hours.open < child.created_at < spy.hours.close for child in record.children)
    assert record.order.state in (ParentState.COMPLETED, ParentState.EXPIRED)
