"""Whatever a broker does, and however its news arrives: no share is lost, none is sent twice."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Report
from trading.execution.facts import MarketFacts
from trading.execution.ledger.codec import facts_of, facts_text, plan_of, plan_text
from trading.execution.ledger.rows import child_of, fill_of, parent_of, row_of
from trading.execution.orders import (
    ChildOrder,
    ChildState,
    DeadlinePolicy,
    Fill,
    OrderKind,
    ParentOrder,
    ParentState,
    Side,
    Urgency,
    child_id,
)
from trading.execution.smart.plan import Choice, ExecutionPlan, PlannedSlice
from trading.execution.transitions import filled, reconciled, refused, reported, submitted, unclear

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
PARENT = "20261120-AAPL-0001"
ENDS = (BrokerOrderState.CANCELLED, BrokerOrderState.EXPIRED, BrokerOrderState.REJECTED)


@dataclass
class TrueOrder:
    """An order as it is at a broker that makes no mistakes."""

    name: str
    quantity: int
    filled: int = 0
    executions: int = 0
    state: BrokerOrderState = BrokerOrderState.OPEN

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled if self.state is BrokerOrderState.OPEN else 0

    def snapshot(self) -> BrokerOrder:
        return BrokerOrder(
            client_order_id=self.name,
            broker_order_id=f"b-{self.name}",
            state=self.state,
            quantity=self.quantity,
            filled=self.filled,
        )

    def trade(self, shares: int) -> list[Report]:
        self.filled += shares
        self.executions += 1
        if self.filled == self.quantity:
            self.state = BrokerOrderState.FILLED
        return [a_fill(self.name, f"{self.name}/{self.executions}", shares), self.snapshot()]

    def end(self, state: BrokerOrderState) -> list[Report]:
        # What has traded was not refused.
        is_wrong = state is BrokerOrderState.REJECTED and self.filled
        self.state = BrokerOrderState.CANCELLED if is_wrong else state
        return [self.snapshot()]


def a_fill(name: str, execution_id: str, quantity: int) -> Fill:
    return Fill(
        execution_id=execution_id,
        client_order_id=name,
        symbol="AAPL",
        side=Side.BUY,
        quantity=quantity,
        price=Decimal("10.01"),
        at=AT,
    )


def a_child(sequence: int, quantity: int) -> ChildOrder:
    return ChildOrder(
        client_order_id=child_id(PARENT, sequence),
        parent_id=PARENT,
        sequence=sequence,
        symbol="AAPL",
        side=Side.BUY,
        quantity=quantity,
        kind=OrderKind.MARKET,
        created_at=AT,
    )


def take(child: ChildOrder, message: Report, booked: set[str], at: datetime) -> ChildOrder:
    """What the executor does with a message: a fill counts once, by its execution id."""
    if isinstance(message, BrokerOrder):
        return reported(child, message, at)
    if message.execution_id in booked:
        return child
    booked.add(message.execution_id)
    return filled(child, message, at)


class Trading(RuleBasedStateMachine):
    """One parent order, worked over a line that loses, repeats, delays and reorders, with crashes between."""

    @initialize(quantity=st.integers(1, 400))
    def want(self, quantity: int) -> None:
        self.quantity = quantity
        self.children: dict[str, ChildOrder] = {}
        self.orders: dict[str, TrueOrder] = {}
        self.fills: list[Fill] = []
        self.line: list[Report] = []
        self.booked: set[str] = set()
        self.at = AT

    @property
    def unsent(self) -> int:
        return self.quantity - sum(child.filled + child.leaves for child in self.children.values())

    def keep(self, child: ChildOrder) -> None:
        old = self.children.get(child.client_order_id)
        if old is not None:
            assert child.filled >= old.filled
            assert child.reported_filled >= old.reported_filled
            if old.state.is_final:
                assert child.state in (old.state, ChildState.FILLED)
        self.children[child.client_order_id] = child
        self.at += timedelta(seconds=1)

    def happens(self, news: list[Report]) -> None:
        self.line.extend(news)
        self.fills.extend(message for message in news if isinstance(message, Fill))

    def pick(self, source: st.DataObject, names: list[str]) -> str:
        return source.draw(st.sampled_from(names))

    @precondition(lambda self: self.unsent > 0)
    @rule(
        source=st.data(),
        outcome=st.sampled_from(["taken", "refused", "timeout", "crash"]),
        arrives=st.booleans(),
    )
    def send(self, source: st.DataObject, outcome: str, arrives: bool) -> None:
        child = a_child(len(self.children) + 1, source.draw(st.integers(1, self.unsent)))
        name = child.client_order_id
        if outcome == "taken" or (outcome in ("timeout", "crash") and arrives):
            self.orders[name] = TrueOrder(name, child.quantity)
        if outcome == "taken":
            child = submitted(child, self.orders[name].snapshot(), self.at)
        elif outcome == "refused":
            child = refused(child, "no", self.at)
        elif outcome == "timeout":
            child = unclear(child, "timeout", self.at)
        self.keep(child)

    def open_orders(self) -> list[str]:
        return [name for name, order in self.orders.items() if order.remaining]

    @precondition(lambda self: self.open_orders())
    @rule(source=st.data())
    def trade(self, source: st.DataObject) -> None:
        order = self.orders[self.pick(source, self.open_orders())]
        self.happens(order.trade(source.draw(st.integers(1, order.remaining))))

    @precondition(lambda self: self.open_orders())
    @rule(source=st.data(), state=st.sampled_from(ENDS))
    def end(self, source: st.DataObject, state: BrokerOrderState) -> None:
        self.happens(self.orders[self.pick(source, self.open_orders())].end(state))

    @precondition(lambda self: self.open_orders())
    @rule(source=st.data())
    def acknowledge(self, source: st.DataObject) -> None:
        self.happens([self.orders[self.pick(source, self.open_orders())].snapshot()])

    @precondition(lambda self: self.line)
    @rule(source=st.data(), again=st.booleans())
    def deliver(self, source: st.DataObject, again: bool) -> None:
        number = source.draw(st.integers(0, len(self.line) - 1))
        message = self.line[number] if again else self.line.pop(number)
        child = self.children[message.client_order_id]
        next_child = take(child, message, self.booked, self.at)
        if child.state is ChildState.UNKNOWN:
            assert next_child.state is ChildState.UNKNOWN
        self.keep(next_child)

    @precondition(lambda self: self.line)
    @rule(source=st.data())
    def lose(self, source: st.DataObject) -> None:
        self.line.pop(source.draw(st.integers(0, len(self.line) - 1)))

    @rule()
    def restart(self) -> None:
        for child in list(self.children.values()):
            self.keep(unclear(child, "restart", self.at))

    @precondition(lambda self: self.children)
    @rule(source=st.data())
    def look_up(self, source: st.DataObject) -> None:
        self.settle(self.pick(source, list(self.children)))

    def settle(self, name: str) -> None:
        order = self.orders.get(name)
        self.keep(reconciled(self.children[name], order.snapshot() if order else None, self.at))

    @invariant()
    def no_share_is_counted_twice_or_forgotten(self) -> None:
        assert self.unsent >= 0

    @invariant()
    def what_may_still_trade_is_never_counted_less(self) -> None:
        for name, order in self.orders.items():
            child = self.children[name]
            assert child.filled <= order.filled
            assert child.filled + child.leaves >= order.filled + order.remaining

    @invariant()
    def the_broker_never_has_more_than_was_wanted(self) -> None:
        assert sum(order.filled + order.remaining for order in self.orders.values()) <= self.quantity

    def teardown(self) -> None:
        """After every fill has come and every child was looked up, all is as the broker has it."""
        for fill in self.fills:
            self.keep(take(self.children[fill.client_order_id], fill, self.booked, self.at))
        for name, child in list(self.children.items()):
            self.keep(unclear(child, "the end of the day", self.at))
            self.settle(name)
            after, order = self.children[name], self.orders.get(name)
            if order is None:
                assert (after.state, after.filled, after.leaves) == (ChildState.REJECTED, 0, 0)
            else:
                assert after.filled == order.filled
                assert after.leaves == order.remaining
                assert after.state.is_final == (order.remaining == 0)
                assert not after.state.is_final or after.state.value == order.state.value


TestTrading = Trading.TestCase
TestTrading.settings = settings(max_examples=120, stateful_step_count=40)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[TrueOrder, list[Report]]:
    """One order's whole history, every message at least once, in any order."""
    order = TrueOrder(child_id(PARENT, 1), draw(st.integers(1, 100)))
    news: list[Report] = [order.snapshot()]
    for shares in draw(st.lists(st.integers(1, 40), max_size=5)):
        if order.remaining:
            news += order.trade(min(shares, order.remaining))
    if order.remaining:
        news += order.end(draw(st.sampled_from(ENDS)))
    repeated = draw(st.lists(st.sampled_from(news), max_size=4))
    return order, draw(st.permutations([*news, *repeated]))


@given(deliveries())
@settings(max_examples=200)
def test_the_same_news_in_any_order_ends_in_the_same_state(delivery: tuple[TrueOrder, list[Report]]) -> None:
    order, messages = delivery
    child, booked = a_child(1, order.quantity), set[str]()

    for message in messages:
        child = take(child, message, booked, AT)

    # A refused order has nothing filled; every other end is the broker's own.
    assert (child.state.value, child.filled, child.leaves) == (order.state.value, order.filled, 0)


NUMBERS = st.floats(allow_nan=False, width=64)
POSITIVE = st.floats(1e-9, 1e12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INSTANTS = st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC]),
)
PRICES = st.decimals("0.0001", "99999", places=4)
DATES = st.dates(date(1990, 1, 1), date(2100, 1, 1))
SLICES = st.builds(
    PlannedSlice, start=INSTANTS, end=INSTANTS, quantity=st.integers(0, 10**9), expected_volume=NUMBERS
)
PLANS = st.builds(
    ExecutionPlan,
    parent_id=TEXTS,
    number=st.integers(1, 999),
    made_at=INSTANTS,
    cause=TEXTS,
    algorithm=TEXTS,
    inner=TEXTS,
    choice=st.builds(
        Choice,
        algorithm=TEXTS,
        rule=TEXTS,
        numbers=st.lists(st.tuples(TEXTS, NUMBERS), max_size=3).map(tuple),
    ),
    quantity=st.integers(0, 10**9),
    slices=st.lists(SLICES, max_size=3).map(tuple),
    expected_cost=NUMBERS,
    variance=NUMBERS,
    expected_cost_bps=NUMBERS,
    price=NUMBERS,
    profile=TEXTS,
    display=st.none() | st.integers(1, 10**9),
    rate=st.none() | NUMBERS,
    is_feasible=st.booleans(),
    reasons=st.lists(TEXTS, max_size=2).map(tuple),
    warnings=st.lists(TEXTS, max_size=2).map(tuple),
    already_filled=st.integers(0, 10**9),
)
SHAPES = st.lists(st.floats(0.1, 9), min_size=1, max_size=5).map(
    lambda shares: tuple(share / sum(shares) for share in shares)
)
FACTS = st.builds(
    MarketFacts,
    symbol=TEXTS,
    as_of=DATES,
    price=POSITIVE,
    daily_volume=POSITIVE,
    daily_spread=POSITIVE,
    daily_volatility=POSITIVE,
    shape=SHAPES,
    early_shape=st.just(()) | SHAPES,
    sources=st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
)


@given(PLANS)
@settings(max_examples=60)
def test_a_plan_comes_back_from_its_text_as_it_was(plan: ExecutionPlan) -> None:
    text = plan_text(plan)

    assert plan_of(text) == plan
    assert json.loads(text).keys() == {"version", *(field.name for field in fields(ExecutionPlan))}


@given(FACTS)
@settings(max_examples=60)
def test_facts_come_back_from_their_text_as_they_were(facts: MarketFacts) -> None:
    text = facts_text(facts)

    assert facts_of(text) == facts
    assert json.loads(text).keys() == {"version", *(field.name for field in fields(MarketFacts))}


PARENTS = st.builds(
    ParentOrder,
    parent_id=TEXTS,
    reference=TEXTS,
    session=DATES,
    symbol=st.sampled_from(["A", "BRK.B", "BF-B"]),
    side=st.sampled_from(Side),
    quantity=st.integers(1, 10**9),
    created_at=INSTANTS,
    lot_size=st.integers(1, 1000),
    algorithm=TEXTS,
    urgency=st.sampled_from(Urgency),
    risk_aversion=st.floats(0, 1e3),
    max_participation=st.floats(1e-6, 1),
    min_slice=st.integers(0, 10**6),
    display_size=st.none() | st.integers(1, 10**6),
    limit_price=st.none() | PRICES,
    not_before=st.none(),
    not_after=st.none() | INSTANTS,
    deadline_policy=st.sampled_from(DeadlinePolicy),
    strategy_id=TEXTS,
    decision_price=st.none() | PRICES,
    decided_at=st.none() | INSTANTS,
    arrival_price=st.none() | PRICES,
    arrived_at=st.none() | INSTANTS,
    state=st.sampled_from(ParentState),
    reason=TEXTS,
    completed_at=st.none() | INSTANTS,
)
CHILDREN = st.builds(
    lambda price, **rest: ChildOrder(
        kind=OrderKind.MARKET if price is None else OrderKind.LIMIT, limit_price=price, **rest
    ),
    price=st.none() | PRICES,
    client_order_id=TEXTS,
    parent_id=TEXTS,
    sequence=st.integers(1, 9999),
    symbol=TEXTS,
    side=st.sampled_from(Side),
    quantity=st.integers(1, 10**9),
    created_at=INSTANTS,
    slice_index=st.integers(0, 400),
    state=st.sampled_from(ChildState),
    broker_order_id=TEXTS,
    filled=st.integers(0, 10**9),
    reported_filled=st.integers(0, 10**9),
    submitted_at=st.none() | INSTANTS,
    cancel_asked_at=st.none() | INSTANTS,
    closed_at=st.none() | INSTANTS,
    reason=TEXTS,
)
FILLS = st.builds(
    Fill,
    execution_id=TEXTS.filter(bool),
    client_order_id=TEXTS,
    symbol=TEXTS,
    side=st.sampled_from(Side),
    quantity=st.integers(1, 10**9),
    price=PRICES,
    at=INSTANTS,
    fee=st.decimals("-99", "99", places=4),
    broker=TEXTS,
)


@given(PARENTS, CHILDREN, FILLS)
@settings(max_examples=100)
def test_orders_and_fills_come_back_from_their_rows_as_they_were(
    parent: ParentOrder, child: ChildOrder, fill: Fill
) -> None:
    assert parent_of(row_of(parent)) == parent
    assert child_of(row_of(child)) == child
    assert fill_of(row_of(fill)) == fill


@given(INSTANTS, st.integers(-14, 14))
def test_an_instant_of_any_zone_is_the_same_text(at: datetime, hours: int) -> None:
    elsewhere = at.astimezone(timezone(timedelta(hours=hours)))
    fill = a_fill("c", "e", 1)

    rows: list[dict[str, Any]] = [row_of(replace(fill, at=moment)) for moment in (at, elsewhere)]

    assert rows[0] == rows[1]
