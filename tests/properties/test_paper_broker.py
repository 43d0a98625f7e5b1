"""The paper broker over random markets, orders, faults and restarts: what must hold whatever happens."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.clock import VirtualClock
from tests.paper_markets import HOURS, MINUTE, OPEN, SYMBOL, market, until_quiet
from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Report, Ticket
from trading.execution.brokers.paper import PaperBroker, PaperConfig, PaperStore
from trading.execution.errors import OrderRejected, SubmitUnclear
from trading.execution.markets.traded import Bar
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.orders import Fill, OrderKind, Side

examples = settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "40")))
CLOSE = OPEN + 15 * MINUTE
SHORT = replace(HOURS, close=CLOSE)
MIRROR = Decimal(200)
"""A price p becomes MIRROR - p: what is high is low then."""


@dataclass(frozen=True)
class Act:
    """One thing that somebody does, `wait` after the one before."""

    wait: timedelta
    ticket: Ticket | None = None  # to send
    cancel: str = ""  # the id of an order to cancel


@dataclass(frozen=True)
class Day:
    """A session of few minutes with trades, what somebody does in it, and how the broker is."""

    bars: tuple[Bar, ...]
    acts: tuple[Act, ...]
    config: PaperConfig = field(default_factory=PaperConfig)
    params: AlmgrenChrissParams | None = None

    def tickets(self) -> dict[str, Ticket]:
        return {act.ticket.client_order_id: act.ticket for act in self.acts if act.ticket}


@dataclass(frozen=True)
class Outcome:
    """What came of a day: the truth at its end, all reports, what a submit raised, when orders were sent."""

    fills: tuple[Fill, ...]
    orders: dict[str, BrokerOrder | None]
    reports: tuple[Report, ...]
    unclear: frozenset[str]
    refused: frozenset[str]
    sent_at: dict[str, datetime]


cents = st.integers(9_800, 10_200).map(lambda c: Decimal(c) / 100)


@st.composite
def bars(draw: st.DrawFn) -> tuple[Bar, ...]:
    found = []
    for minute in range(draw(st.integers(1, 12))):
        if draw(st.integers(0, 9)) == 0:
            continue  # nobody traded
        prices = sorted(draw(st.tuples(cents, cents, cents, cents)))
        inner = draw(st.permutations(prices[1:3]))
        volume = draw(st.integers(0, 3_000))
        found.append(Bar(OPEN + minute * MINUTE, inner[0], prices[3], prices[0], inner[1], volume, MINUTE))
    return tuple(found)


@st.composite
def tickets(draw: st.DrawFn, client_order_id: str) -> Ticket:
    limit = draw(st.none() | cents)
    return Ticket(
        client_order_id=client_order_id,
        symbol=SYMBOL,
        side=draw(st.sampled_from(Side)),
        quantity=draw(st.integers(1, 500)),
        kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
        limit_price=limit,
    )


waits = st.sampled_from([timedelta(), timedelta(seconds=1), timedelta(seconds=30), MINUTE, 2 * MINUTE])


@st.composite
def acts(draw: st.DrawFn) -> tuple[Act, ...]:
    found: list[Act] = []
    for number in range(draw(st.integers(1, 6))):
        if found and draw(st.integers(0, 3)) == 0:
            found.append(Act(draw(waits), cancel=f"o-{draw(st.integers(0, number))}"))
        else:
            found.append(Act(draw(waits), ticket=draw(tickets(f"o-{number}"))))
    return tuple(found)


params = st.builds(
    AlmgrenChrissParams,
    eta=st.sampled_from([1e-9, 1e-7, 1e-6]),
    gamma=st.sampled_from([0.0, 1e-7, 1e-5]),
    sigma=st.just(0.0),
)
plain = st.builds(
    PaperConfig, seed=st.integers(0, 5), max_share_of_bar=st.sampled_from([0.05, 0.1, 0.29, 1.0])
)
faulty = st.builds(
    PaperConfig,
    seed=st.integers(0, 10**6),
    most_latency=st.sampled_from([timedelta(), timedelta(seconds=2), timedelta(seconds=90)]),
    reject_rate=st.sampled_from([0.0, 0.2]),
    late_reject_rate=st.sampled_from([0.0, 0.2]),
    unclear_arrived_rate=st.sampled_from([0.0, 0.3]),
    unclear_lost_rate=st.sampled_from([0.0, 0.3]),
    duplicate_rate=st.sampled_from([0.0, 0.5]),
    reorder_rate=st.sampled_from([0.0, 0.5]),
)
plain_days = st.builds(Day, bars=bars(), acts=acts(), config=plain, params=st.none() | params)
days = st.builds(Day, bars=bars(), acts=acts(), config=plain | faulty, params=st.none() | params)


def lived(day: Day, restarts: Sequence[int] = (), questions: int = 1) -> Outcome:
    """Live through a day and return what came of it.

    restarts: the acts before which the broker is dropped and made anew on its books. questions: how
    often `find` is asked while time passes between two acts.
    """
    clock, store = VirtualClock(OPEN - MINUTE), PaperStore()
    source = market(day.bars, hours=SHORT)
    impact = {SYMBOL: day.params} if day.params else None

    def made() -> PaperBroker:
        return PaperBroker(source, clock, config=day.config, store=store, params=impact)

    async def story() -> Outcome:
        broker = made()
        reports: list[Report] = []
        unclear, refused, sent_at = set(), set(), {}
        for number, act in enumerate(day.acts):
            for _ in range(questions):
                clock.advance(act.wait / questions)
                await broker.find("o-0")
            if number in restarts:
                broker = made()
            if act.ticket is not None:
                sent_at[act.ticket.client_order_id] = clock.now()
                try:
                    await broker.submit(act.ticket)
                except SubmitUnclear:
                    unclear.add(act.ticket.client_order_id)
                except OrderRejected:
                    refused.add(act.ticket.client_order_id)
            elif act.cancel:
                await broker.cancel(act.cancel)
            reports += await broker.reports()
        if len(day.acts) in restarts:
            clock.advance(3 * MINUTE)
            broker = made()
        reports += await until_quiet(broker, clock)
        orders = {each: await broker.find(each) for each in day.tickets()}
        fills = tuple(await broker.fills(OPEN - MINUTE))
        return Outcome(fills, orders, tuple(reports), frozenset(unclear), frozenset(refused), sent_at)

    outcome = asyncio.run(story())
    store.close()
    return outcome


def filled_by_order(outcome: Outcome) -> dict[str, int]:
    shares: dict[str, int] = defaultdict(int)
    for fill in outcome.fills:
        shares[fill.client_order_id] += fill.quantity
    return shares


@examples
@given(day=days)
def test_no_bar_gives_more_than_its_share_to_all_orders_together(day: Day) -> None:
    volumes = {bar.end: bar.volume for bar in day.bars}
    given_away: dict[datetime, int] = defaultdict(int)

    for fill in lived(day).fills:
        given_away[fill.at] += fill.quantity

    share = Decimal(str(day.config.max_share_of_bar))
    assert all(shares <= share * volumes[at] for at, shares in given_away.items())


@examples
@given(day=days)
def test_no_order_gets_more_than_it_asked_for_and_its_fills_say_what_it_got(day: Day) -> None:
    outcome = lived(day)

    shares = filled_by_order(outcome)
    for client_order_id, ticket in day.tickets().items():
        order = outcome.orders[client_order_id]
        assert 0 <= shares[client_order_id] <= ticket.quantity
        assert shares[client_order_id] == (0 if order is None else order.filled)
        is_whole = shares[client_order_id] == ticket.quantity
        assert is_whole == (order is not None and order.state is BrokerOrderState.FILLED)


@examples
@given(day=days)
def test_nothing_is_filled_from_a_bar_that_began_before_the_submit(day: Day) -> None:
    outcome = lived(day)

    assert all(fill.at - MINUTE >= outcome.sent_at[fill.client_order_id] for fill in outcome.fills)


@examples
@given(day=days)
def test_no_fill_is_worse_than_its_limit(day: Day) -> None:
    for fill in lived(day).fills:
        limit = day.tickets()[fill.client_order_id].limit_price
        assert limit is None or fill.side.sign * (fill.price - limit) <= 0


@examples
@given(day=days)
def test_every_order_has_ended_by_the_close(day: Day) -> None:
    for order in lived(day).orders.values():
        assert order is None or order.state is not BrokerOrderState.OPEN
        assert order is None or order.at is None or order.at <= CLOSE + day.config.most_latency


@examples
@given(day=days)
def test_no_shares_come_after_an_order_has_ended(day: Day) -> None:
    outcome = lived(day)

    for fill in outcome.fills:
        order = outcome.orders[fill.client_order_id]
        assert order is not None
        assert order.at is not None
        assert fill.at <= order.at


@examples
@given(day=plain_days)
def test_buying_is_selling_in_the_mirror(day: Day) -> None:
    def turned(price: Decimal) -> Decimal:
        return MIRROR - price

    mirrored_bars = tuple(
        bar._replace(
            open=turned(bar.open), high=turned(bar.low), low=turned(bar.high), close=turned(bar.close)
        )
        for bar in day.bars
    )

    def other(ticket: Ticket) -> Ticket:
        side = Side.SELL if ticket.side is Side.BUY else Side.BUY
        limit = None if ticket.limit_price is None else turned(ticket.limit_price)
        return replace(ticket, side=side, limit_price=limit)

    mirrored_acts = tuple(replace(act, ticket=act.ticket and other(act.ticket)) for act in day.acts)

    here, there = lived(day), lived(replace(day, bars=mirrored_bars, acts=mirrored_acts))

    assert [(f.execution_id, f.quantity, f.price) for f in here.fills] == [
        (f.execution_id, f.quantity, turned(f.price)) for f in there.fills
    ]


@examples
@given(day=plain_days, more_volume=st.integers(0, 2_000), share=st.sampled_from([0.29, 0.5, 1.0]))
def test_more_volume_or_a_higher_share_never_fills_less(day: Day, more_volume: int, share: float) -> None:
    """Without impact. With it a faster order may push the price beyond another one's limit."""
    day = replace(day, params=None)
    richer = replace(
        day,
        bars=tuple(bar._replace(volume=bar.volume + more_volume) for bar in day.bars),
        config=replace(day.config, max_share_of_bar=max(share, day.config.max_share_of_bar)),
    )

    little, much = filled_by_order(lived(day)), filled_by_order(lived(richer))

    assert all(little[each] <= much[each] for each in day.tickets())


@examples
@given(day=plain_days, share=st.sampled_from([0.29, 0.5, 1.0]))
def test_a_higher_share_never_fills_less_of_a_single_order_under_impact(day: Day, share: float) -> None:
    """Where gamma * tau <= eta, the model's own condition: what is filled plus what may be never falls."""
    first = next(act for act in day.acts if act.ticket is not None)
    single = replace(day, acts=(first,), params=AlmgrenChrissParams(1e-6, 1e-5, 0.0))
    faster = replace(
        single, config=replace(day.config, max_share_of_bar=max(share, day.config.max_share_of_bar))
    )

    slow, fast = lived(single), lived(faster)

    assert sum(fill.quantity for fill in slow.fills) <= sum(fill.quantity for fill in fast.fills)


@examples
@given(day=days)
def test_the_same_seed_and_calls_give_the_same_reports_byte_for_byte(day: Day) -> None:
    assert repr(lived(day)) == repr(lived(day))


@examples
@given(day=days, questions=st.sampled_from([2, 5, 10]))
def test_asking_more_often_changes_nothing(day: Day, questions: int) -> None:
    seldom, often = lived(day), lived(day, questions=questions)

    assert (seldom.fills, seldom.orders) == (often.fills, often.orders)


@examples
@given(day=days, restarts=st.sets(st.integers(0, 6)))
def test_a_restart_at_any_point_changes_no_fill_and_no_order(day: Day, restarts: set[int]) -> None:
    always_there, restarted = lived(day), lived(day, restarts=sorted(restarts))

    assert always_there.fills == restarted.fills
    assert always_there.orders == restarted.orders


@examples
@given(day=days)
def test_the_same_client_order_id_twice_is_one_order(day: Day) -> None:
    """Each order is sent again at once. None is lost here: it might arrive the second time."""
    doubled = tuple(again for act in day.acts for again in (act, Act(timedelta(), act.ticket, act.cancel)))
    config = replace(day.config, unclear_lost_rate=0.0)

    once = lived(replace(day, config=config))
    twice = lived(replace(day, config=config, acts=doubled))

    assert once.fills == twice.fills
    assert once.orders == twice.orders


@examples
@given(day=days)
def test_in_the_end_reports_and_questions_tell_the_same_truth(day: Day) -> None:
    outcome = lived(day)

    told = {report.execution_id: report for report in outcome.reports if isinstance(report, Fill)}
    assert told == {fill.execution_id: fill for fill in outcome.fills}
    assert len(told) == len(outcome.fills)
    for client_order_id, order in outcome.orders.items():
        ends = {
            report
            for report in outcome.reports
            if isinstance(report, BrokerOrder)
            and report.client_order_id == client_order_id
            and report.state is not BrokerOrderState.OPEN
        }
        assert ends == (set() if order is None else {order})


@examples
@given(day=days)
def test_only_orders_that_were_refused_or_lost_are_missing_in_the_end(day: Day) -> None:
    outcome = lived(day)

    for client_order_id, order in outcome.orders.items():
        if client_order_id in outcome.refused:
            assert order is None
        elif client_order_id not in outcome.unclear:
            assert order is not None


@examples
@given(series=bars(), other=bars(), minutes=st.integers(0, 12))
def test_nothing_known_depends_on_bars_that_have_not_ended(
    series: tuple[Bar, ...], other: tuple[Bar, ...], minutes: int
) -> None:
    now = OPEN + minutes * MINUTE + timedelta(seconds=20)
    past = tuple(bar for bar in series if bar.end <= now)
    changed = past + tuple(bar for bar in other if bar.start > now)

    async def known(source: Sequence[Bar]) -> tuple[object, ...]:
        seen = market(source, hours=SHORT)
        return (
            await seen.quote(SYMBOL, now),
            await seen.volume(SYMBOL, OPEN, CLOSE, now),
            await seen.bars(SYMBOL, OPEN, CLOSE, now),
            seen.next_bar_end(now),
        )

    assert asyncio.run(known(series)) == asyncio.run(known(changed))


@examples
@given(series=bars(), cut=st.integers(0, 720))
def test_volumes_of_two_parts_add_up_to_the_whole_but_for_rounding(series: tuple[Bar, ...], cut: int) -> None:
    middle = OPEN + timedelta(seconds=cut)

    async def volumes() -> tuple[int, int, int]:
        seen = market(series, hours=SHORT)
        stretches = ((OPEN, middle), (middle, CLOSE), (OPEN, CLOSE))
        first, second, whole = [await seen.volume(SYMBOL, *each, CLOSE) for each in stretches]
        return first, second, whole

    first, second, whole = asyncio.run(volumes())

    assert 0 <= whole - first - second <= 1
