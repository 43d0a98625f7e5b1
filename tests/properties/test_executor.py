"""Whatever the order, the market and the broker's faults: after every turn no share is lost, none is sent
twice, and nothing is sent when it must not be."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading_floor import (
    MINUTE,
    OPEN,
    PRICE,
    SECOND,
    Floor,
    Sent,
    bars_of,
    hours_of,
    in_memory,
    market_of,
    order_of,
)
from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.brokers.paper.paper_store import PaperStore
from trading.execution.markets.traded import Bar
from trading.execution.orders import DeadlinePolicy, ParentOrder, Side, Urgency
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.executor import Executor
from trading.execution.smart.plan import SessionHours
from trading.execution.smart.planner import end_of
from trading.execution.smart.rules import Ended

examples = settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "25")))
MIRROR = 2 * PRICE
"""A price p becomes MIRROR - p."""


@dataclass(frozen=True)
class Day:
    """A short session, its orders, its market, what somebody does in it, and how the broker is."""

    minutes: int
    orders: tuple[ParentOrder, ...]
    market_seed: int
    droughts: tuple[tuple[int, int], ...] = ()  # minutes without volume
    gaps: tuple[tuple[int, int], ...] = ()  # minutes without a quote
    halts: tuple[tuple[int, int], ...] = ()
    pause: tuple[int, int] | None = None
    early_close: tuple[int, int] | None = None  # entered at a minute, for a minute
    kill_at: int | None = None
    cancel_at: int | None = None
    outages: tuple[tuple[str, int, int], ...] = ()
    config: PaperConfig = field(default_factory=PaperConfig)
    is_mirrored: bool = False

    @property
    def hours(self) -> SessionHours:
        pauses = () if self.pause is None else (minutes(*self.pause),)
        return hours_of(self.minutes, pauses=pauses)


def at(minute: float) -> datetime:
    return OPEN + minute * MINUTE


def minutes(first: int, length: int) -> tuple[datetime, datetime]:
    return at(first), at(first + length)


def spells(longest: int) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    """A few stretches of time: (first minute, minutes)."""
    one = st.tuples(st.integers(0, 40), st.integers(1, longest))
    return st.lists(one, max_size=2).map(tuple)


@st.composite
def orders(draw: st.DrawFn, reference: str = "r1") -> ParentOrder:
    start = draw(st.none() | st.integers(0, 25))
    end = draw(st.none() | st.integers(5, 45))
    if start is not None and end is not None and end <= start:
        end = None
    side = draw(st.sampled_from(Side))
    away = draw(st.none() | st.sampled_from((-200, -3, 0, 3, 200)))
    return order_of(
        quantity=draw(st.sampled_from((1, 7, 99, 100, 499, 500)) | st.integers(1, 3_000)),
        algorithm=draw(st.sampled_from(("auto", *ALGORITHMS))),
        side=side,
        reference=reference,
        lot_size=draw(st.sampled_from((1, 1, 10, 100))),
        urgency=draw(st.sampled_from(Urgency)),
        max_participation=draw(st.sampled_from((0.05, 0.1, 0.25, 1.0))),
        min_slice=draw(st.sampled_from((0, 0, 20))),
        display_size=draw(st.none() | st.sampled_from((1, 10, 100, 5_000))),
        limit_price=None if away is None else PRICE - side.sign * Decimal(away) / 100,
        not_before=None if start is None else at(start),
        not_after=None if end is None else at(end),
        deadline_policy=draw(st.sampled_from(DeadlinePolicy)),
    )


RATES = st.sampled_from((0.0, 0.0, 0.3))


@st.composite
def faults(draw: st.DrawFn) -> PaperConfig:
    """Everything that goes wrong at a broker. No message is under way for longer than the executor waits
    before it believes that an order is not there (settle)."""
    return PaperConfig(
        seed=draw(st.integers(0, 99)),
        max_share_of_bar=draw(st.sampled_from((0.02, 0.1, 1.0))),
        most_latency=draw(st.sampled_from((0, 1, 8))) * SECOND,
        reject_rate=draw(RATES),
        late_reject_rate=draw(RATES),
        unclear_arrived_rate=draw(RATES),
        unclear_lost_rate=draw(RATES),
        duplicate_rate=draw(RATES),
        reorder_rate=draw(RATES),
    )


OUTAGES = ("reports", "find", "fills", "cancel", "quote", "volume")


@st.composite
def days(draw: st.DrawFn) -> Day:
    some = st.integers(0, 45)
    length = draw(st.sampled_from((20, 40)))
    outage = st.tuples(st.sampled_from(OUTAGES), st.integers(1, 40), st.integers(1, 8))
    wanted = [draw(orders())]
    if draw(st.booleans()):
        wanted.append(draw(orders("r2")))
    return Day(
        minutes=length,
        orders=tuple(wanted),
        market_seed=draw(st.integers(0, 999)),
        droughts=draw(spells(20)),
        gaps=draw(spells(6)),
        halts=draw(spells(6)),
        pause=draw(st.none() | st.tuples(st.integers(1, 15), st.integers(1, 4))),
        early_close=draw(st.none() | st.tuples(st.integers(0, 30), st.integers(5, 35))),
        kill_at=draw(st.none() | some),
        cancel_at=draw(st.none() | some),
        outages=tuple(draw(st.lists(outage, max_size=2))),
        config=draw(faults()),
    )


def floor_of(day: Day, folder: Path) -> Floor:
    """Build what the day says; enter its orders."""
    rng = random.Random(day.market_seed)
    volumes, prices, price = [], [], PRICE
    for minute in range(day.minutes):
        price += Decimal(rng.choice((-2, -1, 0, 0, 1, 2))) / 100
        prices.append(price)
        dry = any(first <= minute < first + length for first, length in day.droughts)
        volumes.append(0 if dry else rng.randint(0, 2_000))
    bars = bars_of([MIRROR - price for price in prices] if day.is_mirrored else prices, volumes)
    floor = Floor(folder, market_of(bars, day.hours), day.hours, config=day.config, bars=bars)
    floor.silent = [minutes(*spell) for spell in day.gaps]
    floor.halted = [minutes(*spell) for spell in day.halts]
    floor.broken = {name: minutes(first, length) for name, first, length in day.outages}
    parents = floor.enter(*day.orders)
    plan_what_happens(day, floor, parents[0].parent_id)
    return floor


def plan_what_happens(day: Day, floor: Floor, parent_id: str) -> None:
    if day.kill_at is not None:
        halt = lambda: floor.kill.set("a person", "test", floor.clock.now())  # noqa: E731
        floor.happens.append((at(day.kill_at), halt))
    if day.cancel_at is not None:
        floor.happens.append((at(day.cancel_at), lambda: floor.cancel(parent_id)))
    if day.early_close is not None:
        entered, close = day.early_close

        def close_early() -> None:
            floor.hours = replace(floor.hours, close=min(floor.hours.close, at(close)), is_early_close=True)

        floor.happens.append((at(entered), close_early))


class Auditor:
    """Looks at the ledger after each turn in which it was written to, as another process would."""

    def __init__(self, floor: Floor) -> None:
        self._ledger, self._mark = floor.read(), -1

    def __call__(self, executor: Executor) -> None:
        mark = self._ledger.change_mark()
        if mark == self._mark:
            return
        self._mark = mark
        assert self._ledger.verify() == []
        for order in self._ledger.parents():
            self._check(order, executor)

    def _check(self, order: ParentOrder, executor: Executor) -> None:
        children = self._ledger.children(order.parent_id)
        filled = sum(child.filled for child in children)
        leaves = sum(child.leaves for child in children)
        desk = executor.books.desks[order.parent_id]
        assert (desk.filled, desk.leaves, desk.unsent) == (filled, leaves, order.quantity - filled - leaves)
        assert desk.unsent >= 0
        assert filled <= order.quantity
        fills = self._ledger.fills(order.parent_id)
        assert filled == sum(fill.quantity for fill in fills)
        assert list(desk.children.values()) == children

    def close(self) -> None:
        self._ledger.close()


def play(day: Day, look: Callable[[Floor, Ended], None], kills: tuple[int, ...] = ()) -> None:
    """Run a day to its end; look at what came of it."""
    with in_memory() as folder:
        floor = floor_of(day, folder)
        look(floor, floor.run_killed(*kills))


def play_watched(day: Day, kills: tuple[int, ...] = ()) -> None:
    """The same, looked at after each turn and at the end."""
    with in_memory() as folder:
        floor = floor_of(day, folder)
        with closing(Auditor(floor)) as auditor:
            floor.on_turn = auditor
            ended = floor.run_killed(*kills)
        check_end(floor, ended)


def check_end(floor: Floor, ended: Ended) -> None:
    assert floor.wrongs() == []
    for order in floor.parents():
        assert order.state.is_final or ended is Ended.UNRESOLVED
    ids = [sent.ticket.client_order_id for sent in floor.sent]
    assert len(ids) == len(set(ids))
    with closing(PaperStore(floor.folder / "paper.db")) as store:
        assert store.count() <= len(ids)


def check_sent(floor: Floor, ended: Ended) -> None:
    """Each submit was intended on the disk, allowed at that instant, and within the guard."""
    for sent in floor.sent:
        assert sent.child is not None
        assert sent.parent is not None
        assert (sent.child.state, sent.child.quantity) == ("intent", sent.ticket.quantity)
        assert not sent.parent.state.is_final
        assert not sent.is_halted
        assert sent.hours.is_open(sent.at)
        assert sent.at < end_of(sent.parent, sent.hours)
        assert sent.at >= (sent.parent.not_before or sent.at)
        assert sent.exposed <= sent.parent.quantity
        # Whole lots, but for a child that leaves nothing unsent.
        is_last = sent.exposed == sent.parent.quantity
        assert sent.ticket.quantity % sent.parent.lot_size == 0 or is_last
        assert sent.exposed <= allowed(floor, sent)


def allowed(floor: Floor, sent: Sent) -> float:
    """Its share of what has been traded since the work began, and of what the present slice expects."""
    assert sent.parent is not None
    assert sent.plan is not None
    began = sent.parent.arrived_at or sent.at
    traded = sum(bar.volume * share_since(bar, began) for bar in floor.bars if bar.end <= sent.at)
    planned = next(each for each in sent.plan.slices if each.start <= sent.at < each.end)
    coming = planned.expected_volume * ((planned.end - sent.at) / (planned.end - planned.start))
    return sent.parent.max_participation * (traded + coming) + 1e-6


def share_since(bar: Bar, instant: datetime) -> float:
    return min(1.0, max(0.0, (bar.end - instant) / bar.length))


@examples
@given(days())
def test_no_share_is_lost_or_doubled_after_any_turn(day: Day) -> None:
    play_watched(day)


@examples
@given(days(), st.lists(st.integers(1, 120), min_size=1, max_size=3).map(tuple))
def test_no_share_is_lost_or_doubled_by_kills_among_faults(day: Day, kills: tuple[int, ...]) -> None:
    play_watched(day, kills)


@examples
@given(days())
def test_nothing_is_sent_that_must_not_be(day: Day) -> None:
    play(day, check_sent)


@examples
@given(days())
def test_the_same_seed_gives_the_same_event_log(day: Day) -> None:
    logs: list[list[str]] = []
    for _ in range(2):
        play(day, lambda floor, ended: logs.append(floor.events()))

    assert logs[0] == logs[1]


def mirrored(order: ParentOrder) -> ParentOrder:
    limit = order.limit_price
    side = Side.SELL if order.side is Side.BUY else Side.BUY
    return replace(order, side=side, limit_price=None if limit is None else MIRROR - limit)


@examples
@given(days())
def test_a_sale_is_the_mirror_of_a_purchase(day: Day) -> None:
    told: list[list[object]] = []

    def tell(floor: Floor, ended: Ended) -> None:
        # Prices of the second day are turned back.
        turn, sign = (MIRROR, -1) if told else (Decimal(0), 1)
        children = [
            (
                c.client_order_id,
                c.quantity,
                c.limit_price and turn + sign * c.limit_price,
                c.created_at,
                c.filled,
            )
            for c in floor.children()
        ]
        fills = [(f.execution_id, f.quantity, turn + sign * f.price, f.at) for f in floor.fills()]
        told.append([ended, [p.state for p in floor.parents()], children, fills])

    play(day, tell)
    turned = tuple(mirrored(order) for order in day.orders)
    play(replace(day, orders=turned, is_mirrored=True), tell)

    assert told[0] == told[1]
