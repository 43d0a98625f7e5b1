"""The ledger on a real disk: what it keeps, what it refuses, and what it survives."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from trading.execution.errors import IllegalTransition, LedgerError, UnknownOrder
from trading.execution.facts import MarketFacts
from trading.execution.ledger import schema
from trading.execution.ledger.book import Book
from trading.execution.ledger.events import replay
from trading.execution.ledger.file import _create, explain
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
from trading.execution.smart.plan import Choice, ExecutionPlan, PlannedSlice
from trading.execution.transitions import filled, parent_moved, refused, unclear

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
GOLDEN = Path(__file__).parents[1] / "golden" / "ledger_v1.sql"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(path) as opened:
        yield opened


def an_order(reference: str = "plan-7", quantity: int = 1000, symbol: str = "AAPL") -> ParentOrder:
    return ParentOrder(
        parent_id="",
        reference=reference,
        session=DAY,
        symbol=symbol,
        side=Side.BUY,
        quantity=quantity,
        created_at=AT,
        limit_price=Decimal("231.50"),
    )


def a_plan(parent_id: str, number: int = 1, quantity: int = 1000) -> ExecutionPlan:
    return ExecutionPlan(
        parent_id=parent_id,
        number=number,
        made_at=AT,
        cause="first plan",
        algorithm="twap",
        inner="twap",
        choice=Choice(algorithm="twap", rule="500 <= q < 2000", numbers=(("quantity", 1000.0),)),
        quantity=quantity,
        slices=(
            PlannedSlice(
                start=AT, end=AT + timedelta(minutes=5), quantity=quantity, expected_volume=12345.678
            ),
        ),
        expected_cost=12.5,
        variance=400.0,
        expected_cost_bps=0.5,
        price=230.0,
        profile="default U-shape",
    )


def working(book: Book, order: ParentOrder) -> ParentOrder:
    """Enter an order and bring it to WORKING."""
    order = book.add_parent(order)
    order = parent_moved(parent_moved(order, ParentState.VALIDATED, AT), ParentState.WORKING, AT)
    book.put_parent(order)
    return order


def new_child(book: Book, order: ParentOrder, quantity: int) -> ChildOrder:
    sequence = book.next_sequence(order.parent_id)
    child = ChildOrder(
        client_order_id=child_id(order.parent_id, sequence),
        parent_id=order.parent_id,
        sequence=sequence,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        kind=OrderKind.LIMIT,
        limit_price=Decimal("231.40"),
        created_at=AT,
    )
    book.put_child(child)
    return child


def a_fill(child: ChildOrder, quantity: int, execution_id: str, price: str = "231.39") -> Fill:
    return Fill(
        execution_id=execution_id,
        client_order_id=child.client_order_id,
        symbol=child.symbol,
        side=child.side,
        quantity=quantity,
        price=Decimal(price),
        fee=Decimal("-0.0020"),
        at=AT + timedelta(seconds=quantity),
    )


def booked(ledger: Ledger, child: ChildOrder, fill: Fill) -> ChildOrder:
    with ledger.writing(fill.at) as book:
        assert book.add_fill(fill)
        child = filled(child, fill, fill.at)
        book.put_child(child)
    return child


def test_what_was_written_is_read_back_after_a_restart(path: Path) -> None:
    with Ledger(path) as ledger:
        with ledger.writing(AT) as book:
            order = working(book, an_order())
            book.add_plan(a_plan(order.parent_id))
            child = new_child(book, order, 300)
        child = booked(ledger, child, a_fill(child, 100, "e1"))

    with Ledger(path) as ledger:
        assert ledger.parent("20261120-AAPL-0001") == order
        assert ledger.children(order.parent_id) == [child]
        assert ledger.child(child.client_order_id) == child
        assert ledger.fills() == [a_fill(child, 100, "e1")]
        assert ledger.plan(order.parent_id) == a_plan(order.parent_id)
        assert ledger.verify() == []


def test_money_keeps_every_digit(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        child = new_child(book, working(book, an_order()), 300)

    booked(ledger, child, a_fill(child, 1, "e1", price="0.30000000000000000001"))

    assert str(ledger.fills()[0].price) == "0.30000000000000000001"


def test_parents_are_numbered_by_session_and_symbol(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        orders = [
            an_order("a"),
            an_order("b", symbol="BRK-B"),
            an_order("c"),
            replace(an_order("d"), session=date(2026, 11, 23)),
        ]
        names = [book.add_parent(order).parent_id for order in orders]

    assert names == ["20261120-AAPL-0001", "20261120-BRK-B-0001", "20261120-AAPL-0002", "20261123-AAPL-0001"]


def test_the_same_reference_is_the_same_order(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        stored = working(book, an_order())
    mark = len(ledger.events())

    with ledger.writing(AT + timedelta(hours=1)) as book:
        again = book.add_parent(replace(an_order(), created_at=AT + timedelta(hours=1)))

    assert again == stored == ledger.by_reference("plan-7")
    assert len(ledger.events()) == mark


def test_a_reference_that_is_taken_by_another_order_says_what_differs(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        book.add_parent(an_order())

    with (
        pytest.raises(
            ValueError, match=r"'plan-7' is 20261120-AAPL-0001's with quantity 1000 \(given: 900\)"
        ),
        ledger.writing(AT) as book,
    ):
        book.add_parent(an_order(quantity=900))


def test_an_order_without_a_reference_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="reference"), ledger.writing(AT) as book:
        book.add_parent(an_order(reference=""))


def test_parents_are_found_by_session_and_state(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        first = working(book, an_order("a"))
        second = book.add_parent(an_order("b"))
        other_day = book.add_parent(replace(an_order("c"), session=date(2026, 11, 23)))

    assert ledger.parents() == [first, second, other_day]
    assert ledger.parents(session=DAY) == [first, second]
    assert ledger.parents(session=DAY, states={ParentState.NEW}) == [second]
    assert ledger.parents(states=()) == []


def test_an_unknown_parent_is_an_error_that_names_it(ledger: Ledger) -> None:
    with pytest.raises(UnknownOrder, match="no parent 'nobody'"):
        ledger.parent("nobody")
    with pytest.raises(KeyError), ledger.writing(AT) as book:
        book.next_sequence("nobody")


def test_a_sequence_that_was_given_is_never_given_again(path: Path) -> None:
    with Ledger(path) as ledger, ledger.writing(AT) as book:
        order = working(book, an_order())
        assert [book.next_sequence(order.parent_id) for _ in range(2)] == [1, 2]

    with Ledger(path) as ledger, ledger.writing(AT) as book:
        assert new_child(book, order, 10).client_order_id == "20261120-AAPL-0001-0003"


def test_a_fill_counts_once(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        child = new_child(book, working(book, an_order()), 300)
    booked(ledger, child, a_fill(child, 100, "e1"))
    mark = len(ledger.events())

    with ledger.writing(AT) as book:
        assert not book.add_fill(a_fill(child, 100, "e1"))

    assert ledger.positions() == {"AAPL": 100}
    assert len(ledger.events()) == mark


def test_two_brokers_may_use_the_same_execution_id(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        child = new_child(book, working(book, an_order()), 300)
    child = booked(ledger, child, a_fill(child, 100, "e1"))
    booked(ledger, child, replace(a_fill(child, 50, "e1"), broker="alpaca"))

    assert ledger.positions() == {"AAPL": 150}


def test_a_symbol_counts_as_sent_before_its_first_fill_and_as_filled_after_its_last(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        bought = new_child(book, working(book, an_order()), 100)
        sold = new_child(book, working(book, replace(an_order("sale"), side=Side.SELL)), 100)
        new_child(book, working(book, an_order(reference="other", symbol="MSFT")), 100)
    booked(ledger, bought, a_fill(bought, 100, "e1"))
    booked(ledger, sold, a_fill(sold, 100, "e2"))

    assert ledger.positions() == {}
    assert ledger.symbols_filled() == {"AAPL"}
    assert ledger.symbols_sent() == {"AAPL", "MSFT"}


def test_the_shares_filled_of_an_order_are_those_of_all_its_children(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        order = working(book, an_order())
        children = [new_child(book, order, 100), new_child(book, order, 100)]
        other = new_child(book, working(book, an_order(reference="another")), 100)
    for number, child in enumerate([*children, other], start=1):
        booked(ledger, child, a_fill(child, 10 * number, f"e{number}"))

    assert ledger.filled(order.parent_id) == 30
    assert ledger.filled("20261120-MSFT-0001") == 0


def test_a_known_execution_with_other_contents_is_told_once_and_not_booked(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        child = new_child(book, working(book, an_order()), 300)
    booked(ledger, child, a_fill(child, 100, "e1"))

    for _ in range(2):
        with ledger.writing(AT) as book:
            assert not book.add_fill(a_fill(child, 120, "e1"))

    told = [event for event in ledger.events() if event.kind == "fill.differs"]
    assert [event.details["quantity"] for event in told] == [120]
    assert ledger.positions() == {"AAPL": 100}


def test_a_fill_without_its_child_is_not_committed(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        child = new_child(book, working(book, an_order()), 300)

    with pytest.raises(ValueError, match="0 shares filled and fills of 100"), ledger.writing(AT) as book:
        book.add_fill(a_fill(child, 100, "e1"))

    assert ledger.fills() == []


def test_fills_are_read_by_parent_and_since_an_instant(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        one = new_child(book, working(book, an_order("a")), 300)
        two = new_child(book, working(book, an_order("b", symbol="NVDA")), 300)
    booked(ledger, one, a_fill(one, 100, "late"))
    booked(ledger, two, a_fill(two, 20, "early"))

    assert [fill.execution_id for fill in ledger.fills()] == ["early", "late"]
    assert [fill.execution_id for fill in ledger.fills(two.parent_id)] == ["early"]
    # The early fill is 20 s, the late one 100 s after AT.
    assert [fill.execution_id for fill in ledger.fills(since=AT + timedelta(seconds=100))] == ["late"]


def test_positions_are_bought_less_sold(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        bought = new_child(book, working(book, an_order("a")), 300)
        sold = new_child(book, working(book, replace(an_order("b"), side=Side.SELL)), 400)
        flat = new_child(book, working(book, an_order("c", symbol="NVDA")), 10)
        back = new_child(book, working(book, replace(an_order("d", symbol="NVDA"), side=Side.SELL)), 10)
    for child, quantity in ((bought, 300), (sold, 350), (flat, 10), (back, 10)):
        booked(ledger, child, a_fill(child, quantity, f"e{child.client_order_id}"))

    assert ledger.positions() == {"AAPL": -50}


def test_open_children_are_those_that_may_still_be_filled(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        order = working(book, an_order())
        live, gone, awaited = (new_child(book, order, 100) for _ in range(3))
        book.put_child(refused(gone, "no", AT))
        awaited = replace(awaited, state=ChildState.CANCELLED, reported_filled=40, closed_at=AT)
        book.put_child(awaited)

    assert ledger.open_children() == [live, awaited]


def test_plans_are_kept_in_order_and_the_newest_counts(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        order = book.add_parent(an_order())
        plans = [a_plan(order.parent_id, number) for number in (1, 2)]
        for plan in (*plans, plans[0]):
            book.add_plan(plan)

    assert ledger.plans(order.parent_id) == plans
    assert ledger.plan(order.parent_id) == plans[1]
    with pytest.raises(ValueError, match="plan 2 of 20261120-AAPL-0001 is stored and differs"):  # noqa: SIM117
        with ledger.writing(AT) as book:
            book.add_plan(replace(plans[1], cause="another"))


def test_facts_and_marks_are_replaced(ledger: Ledger) -> None:
    facts = MarketFacts(
        symbol="AAPL",
        as_of=DAY,
        price=231.1,
        daily_volume=5e7,
        daily_spread=0.01,
        daily_volatility=0.013,
        shape=(0.5, 0.2, 0.3),
        sources=(("spread", "assumed"),),
    )
    newer = replace(facts, price=232.2)
    for known in (facts, newer):
        with ledger.writing(AT) as book:
            book.put_facts(known)
            book.put_meta("asked_until", str(known.price))

    assert ledger.facts("AAPL") == newer
    assert ledger.meta("asked_until") == "232.2"
    assert (ledger.facts("NVDA"), ledger.meta("other")) == (None, None)


def test_events_explain_and_come_back_as_text(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        book.event("guard.refused", parent_id="p", price=Decimal("1.10"), until=AT, states=["a"], share=0.1)

    [event] = ledger.events(parent_id="p")
    assert (event.number, event.at, event.kind) == (1, AT, "guard.refused")
    assert event.details == {
        "price": "1.10",
        "share": 0.1,
        "states": ["a"],
        "until": "2026-11-20T15:00:00.000000+00:00",
    }
    assert ledger.events(after=1) == []


@pytest.mark.parametrize("kind", ["killed", "Order.Killed", "order.killed.twice", "fill.booked"])
def test_an_event_is_a_noun_and_a_verb_and_none_of_the_books_own(ledger: Ledger, kind: str) -> None:
    with pytest.raises(ValueError, match=r"expected noun\.verb"), ledger.writing(AT) as book:
        book.event(kind)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM events", "UPDATE events SET kind = 'x'", "DELETE FROM fills"]
)
def test_the_log_and_the_fills_are_only_ever_added_to(ledger: Ledger, path: Path, statement: str) -> None:
    with ledger.writing(AT) as book:
        child = new_child(book, working(book, an_order()), 300)
    booked(ledger, child, a_fill(child, 100, "e1"))

    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="only ever added to"),
    ):
        connection.execute(statement)


def test_an_unchanged_order_writes_nothing(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        order = working(book, an_order())
        child = new_child(book, order, 300)
    mark = len(ledger.events())

    with ledger.writing(AT) as book:
        book.put_parent(order)
        book.put_child(child)

    assert len(ledger.events()) == mark


def test_a_stale_copy_cannot_bring_a_killed_order_back(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        stale = working(book, an_order())
        book.put_parent(parent_moved(stale, ParentState.KILLED, AT, "by hand"))

    with pytest.raises(IllegalTransition, match="is killed in the ledger: it cannot become working"):  # noqa: SIM117
        with ledger.writing(AT) as book:
            book.put_parent(stale)


def test_a_stale_copy_cannot_take_shares_back(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        stale = new_child(book, working(book, an_order()), 300)
    booked(ledger, stale, a_fill(stale, 100, "e1"))

    with pytest.raises(ValueError, match=r"filled of .* is 0: expected at least 100"):  # noqa: SIM117
        with ledger.writing(AT) as book:
            book.put_child(replace(stale, state=ChildState.PARTIAL))


def test_what_was_wanted_never_changes(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        order = working(book, an_order())
        child = new_child(book, order, 300)

    with pytest.raises(ValueError, match=r"with quantity 1000 \(given: 2000\)"), ledger.writing(AT) as book:
        book.put_parent(replace(order, quantity=2000))
    with pytest.raises(ValueError, match=r"with quantity 300 \(given: 400\)"), ledger.writing(AT) as book:
        book.put_child(replace(child, quantity=400))


@pytest.mark.parametrize("state", [ParentState.KILLED, ParentState.EXPIRED, ParentState.CANCELLED])
def test_a_finished_parent_gets_no_new_child(ledger: Ledger, state: ParentState) -> None:
    with ledger.writing(AT) as book:
        order = working(book, an_order())
        book.put_parent(parent_moved(order, state, AT))

    with (
        pytest.raises(IllegalTransition, match=f"is {state}: it gets no new child"),
        ledger.writing(AT) as book,
    ):
        new_child(book, order, 10)

    assert ledger.children(order.parent_id) == []


def test_no_more_is_sent_than_is_neither_filled_nor_out(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        order = working(book, an_order(quantity=1000))
        part, cancelled, unknown, rejected = (new_child(book, order, 250) for _ in range(4))
        book.put_child(replace(cancelled, state=ChildState.CANCELLED, reported_filled=40, closed_at=AT))
        book.put_child(unclear(unknown, "timeout", AT))
        book.put_child(refused(rejected, "no", AT))
    booked(ledger, part, a_fill(part, 100, "e1"))

    # 1000 - (100 filled + 150 open) - 40 reported filled - 250 in doubt - 0 refused = 460 shares.
    with pytest.raises(ValueError, match="quantity is 461: expected at most 460"), ledger.writing(AT) as book:
        new_child(book, order, 461)
    with ledger.writing(AT) as book:
        new_child(book, order, 460)


def test_a_child_needs_a_number_that_its_parent_gave(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        order = working(book, an_order())
        child = new_child(book, order, 10)

    made_up = replace(child, sequence=2, client_order_id="20261120-AAPL-0001-0002")
    with pytest.raises(ValueError, match="sequence is 2: expected at most 1"), ledger.writing(AT) as book:
        book.put_child(made_up)
    with pytest.raises(ValueError, match="expected '20261120-AAPL-0001-0002'"), ledger.writing(AT) as book:
        book.put_child(replace(made_up, client_order_id="mine"))


def test_an_error_within_writing_leaves_nothing_of_it(ledger: Ledger) -> None:
    with pytest.raises(UnknownOrder), ledger.writing(AT) as book:
        book.add_plan(a_plan(working(book, an_order()).parent_id + "0"))

    assert (ledger.parents(), ledger.events()) == ([], [])


def test_writing_within_writing_is_refused(ledger: Ledger) -> None:
    with ledger.writing(AT), pytest.raises(RuntimeError, match="one transaction at a time"):  # noqa: SIM117
        with ledger.writing(AT):
            pass


def test_a_book_is_of_no_use_afterwards(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        pass

    with pytest.raises(RuntimeError, match="the book is closed"):
        book.add_parent(an_order())


class Killed(BaseException):
    """The process was killed here."""


@pytest.mark.parametrize(("where", "kept"), [("before_commit", 0), ("after_commit", 1)])
def test_a_kill_around_the_commit_leaves_all_or_nothing(path: Path, where: str, kept: int) -> None:
    def die(step: str) -> None:
        if step == where:
            raise Killed

    with Ledger(path, step=die) as ledger, pytest.raises(Killed), ledger.writing(AT) as book:
        book.add_parent(an_order())

    with Ledger(path) as ledger:
        assert len(ledger.parents()) == kept
        assert ledger.verify() == []


def test_readers_see_a_change_only_after_its_commit(path: Path, ledger: Ledger) -> None:
    with Ledger(path, read_only=True) as reader:
        before = reader.change_mark()
        with ledger.writing(AT) as book:
            book.add_parent(an_order())
            seen_within = (len(ledger.parents()), len(reader.parents()), reader.change_mark() == before)

        assert seen_within == (1, 0, True)
        assert (len(reader.parents()), reader.change_mark() == before) == (1, False)


def test_a_reader_cannot_write(path: Path, ledger: Ledger) -> None:
    with (
        Ledger(path, read_only=True) as reader,
        pytest.raises(LedgerError, match="opened to be read only"),
        reader.writing(AT),
    ):
        pass


def test_a_reader_opens_a_ledger_that_nobody_has_open(path: Path) -> None:
    with Ledger(path) as ledger, ledger.writing(AT) as book:
        book.add_parent(an_order())

    with Ledger(path, read_only=True) as reader:
        assert [order.reference for order in reader.parents()] == ["plan-7"]


def test_a_reader_makes_no_file(path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger"):
        Ledger(path, read_only=True)

    assert not path.parent.exists()


def test_the_ledger_is_its_owners_alone(path: Path, ledger: Ledger) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def a_random_day(ledger: Ledger, seed: int) -> None:
    """Orders, children, fills, cancels and doubts in any order, as an executor would write them."""
    random = Random(seed)
    with ledger.writing(AT) as book:
        orders = [working(book, an_order(f"r{number}", random.randint(1, 500))) for number in range(3)]
    for turn in range(60):
        at = AT + timedelta(seconds=turn)
        order = random.choice(orders)
        children = ledger.children(order.parent_id)
        unsent = order.quantity - sum(child.filled + child.leaves for child in children)
        live = [child for child in children if not child.state.is_final]
        with ledger.writing(at) as book:
            if unsent and (not live or random.random() < 0.5):
                new_child(book, order, random.randint(1, unsent))
            elif live:
                child = random.choice(live)
                if random.random() < 0.2:
                    child = unclear(child, "timeout", at)
                elif random.random() < 0.2 and child.filled:
                    child = replace(child, state=ChildState.CANCELLED, closed_at=at)
                elif child.leaves:
                    fill = a_fill(child, random.randint(1, child.leaves), f"e{turn}")
                    book.add_fill(fill)
                    child = filled(child, fill, at)
                book.put_child(child)


@pytest.mark.parametrize("seed", range(5))
def test_the_event_log_alone_gives_the_same_state(ledger: Ledger, seed: int) -> None:
    a_random_day(ledger, seed)

    replayed = replay(ledger.events())

    assert list(replayed.parents.values()) == ledger.parents()
    stored = [child for order in ledger.parents() for child in ledger.children(order.parent_id)]
    assert sorted(replayed.children.values(), key=lambda child: child.client_order_id) == stored
    assert {fill.execution_id for fill in replayed.fills.values()} == {
        fill.execution_id for fill in ledger.fills()
    }
    assert ledger.verify() == []


def test_the_same_day_writes_the_same_log(tmp_path: Path) -> None:
    logs = []
    for name in ("one", "two"):
        with Ledger(tmp_path / name) as ledger:
            a_random_day(ledger, 11)
            logs.append(ledger.events())

    assert logs[0] == logs[1]


def test_a_log_that_begins_in_the_middle_is_refused(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        working(book, an_order())

    with pytest.raises(ValueError, match="event 2 changes '20261120-AAPL-0001'"):
        replay(ledger.events(after=1))


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "UPDATE children SET filled = 90, reported_filled = 90",
            "child 20261120-AAPL-0001-0001 has 90 shares filled, its fills sum to 100",
        ),
        (
            "UPDATE parents SET quantity = 250",
            "parent 20261120-AAPL-0001 is for 250 shares, 100 are filled and 200 may still be",
        ),
        (
            "UPDATE parents SET state = 'completed', completed_at = created_at",
            "parent 20261120-AAPL-0001 is completed with 100 of 1000 shares filled",
        ),
        (
            "UPDATE parents SET last_sequence = 0",
            "child 20261120-AAPL-0001-0001 has number 1, its parent gave 0",
        ),
        (
            "UPDATE children SET state = 'expired'",
            "child 20261120-AAPL-0001-0001 is expired without an end",
        ),
        (
            "UPDATE children SET side = 'sell'",
            "child 20261120-AAPL-0001-0001 is of another symbol or side than its parent",
        ),
        (
            "UPDATE parents SET reason = 'changed by hand'",
            "parent 20261120-AAPL-0001 is not what the event log makes it",
        ),
        ("UPDATE plans SET number = 3", "parent 20261120-AAPL-0001 has 1 plans, numbered 3 to 3"),
        ("DELETE FROM parents", "a row of children belongs to none of parents"),
    ],
)
def test_a_table_that_was_changed_by_hand_is_told(path: Path, statement: str, sentence: str) -> None:
    with Ledger(path) as ledger:
        with ledger.writing(AT) as book:
            order = working(book, an_order())
            book.add_plan(a_plan(order.parent_id))
            child = new_child(book, order, 300)
        booked(ledger, child, a_fill(child, 100, "e1"))
        assert ledger.verify() == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()

    with Ledger(path) as ledger:
        assert sentence in ledger.verify()


def test_a_file_that_is_no_database_is_damaged_and_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)

    with pytest.raises(LedgerError, match=r"ledger\.db is damaged.*python -m scripts\.verify_backups"):
        Ledger(path)

    assert path.read_bytes() == b"not a database at all" * 100


def test_a_damaged_page_is_told_when_it_is_read(path: Path) -> None:
    with Ledger(path) as ledger:
        a_random_day(ledger, 3)
    content = bytearray(path.read_bytes())
    # Every page but the first, which holds the header and the schema's root.
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)

    with pytest.raises(LedgerError, match="damaged"), Ledger(path) as ledger:
        ledger.parents()


def test_a_row_that_makes_no_sense_is_damage(path: Path) -> None:
    with Ledger(path) as ledger, ledger.writing(AT) as book:
        book.add_parent(an_order())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE parents SET limit_price = 'ten'")
        connection.commit()

    with Ledger(path) as ledger, pytest.raises(LedgerError, match=r"damaged: no ParentOrder.*'ten'"):
        ledger.parents()


def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE runs (id INTEGER)")

    with pytest.raises(LedgerError, match="another program's database"):
        Ledger(path)


def test_a_ledger_of_a_newer_program_is_refused(path: Path) -> None:
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(LedgerError, match=r"has version 99, this program knows \d.*Update this program"):
        Ledger(path)


def test_a_full_disk_is_told_and_leaves_nothing_behind(ledger: Ledger) -> None:
    with ledger.writing(AT) as book:
        order = working(book, an_order())
    pages = ledger._file.value("PRAGMA page_count")
    ledger._file.rows(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(LedgerError, match="the disk is full"), ledger.writing(AT) as book:
        book.add_plan(replace(a_plan(order.parent_id), cause="x" * 100_000))

    assert ledger.plans(order.parent_id) == []


def test_a_file_that_became_read_only_is_told(ledger: Ledger) -> None:
    ledger._file.rows("PRAGMA query_only = ON")

    with pytest.raises(LedgerError, match="read-only"), ledger.writing(AT) as book:
        book.add_parent(an_order())


def test_another_process_that_writes_too_long_is_told(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY

    assert "another process holds the ledger's write lock" in str(explain(error, tmp_path))


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger(tmp_path / "file" / "ledger.db")


TRY_TO_LOCK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


def test_opening_a_ledger_again_drops_no_lock_that_this_process_holds(path: Path) -> None:
    """POSIX drops all locks of a process on a file when any descriptor of it is closed (fcntl(2))."""
    Ledger(path).close()
    with path.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)

        _create(path)

        other = subprocess.run([sys.executable, "-c", TRY_TO_LOCK, str(path)], capture_output=True, text=True)
    assert "BlockingIOError" in other.stderr


def test_the_oldest_ledger_stays_readable(path: Path) -> None:
    """The dump was written by the first version of this program, and is never written again."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(GOLDEN.read_text(encoding="utf-8"))

    with Ledger(path) as ledger:
        assert ledger.verify() == []
        order = ledger.parent("20261120-AAPL-0001")
        assert (order.reference, order.state, order.quantity) == ("plan-7", ParentState.WORKING, 1000)
        assert order.limit_price == Decimal("231.50")
        [child] = ledger.children(order.parent_id)
        assert (child.state, child.filled, child.leaves) == (ChildState.PARTIAL, 100, 200)
        [fill] = ledger.fills()
        assert (fill.price, fill.fee, fill.at) == (
            Decimal("231.39"),
            Decimal("-0.0020"),
            datetime(2026, 11, 20, 15, 1, 40, tzinfo=UTC),
        )
        assert ledger.plan(order.parent_id) == a_plan(order.parent_id)
        with ledger.writing(AT) as book:
            assert book.next_sequence(order.parent_id) == 2


def test_an_older_file_is_migrated_and_keeps_its_rows(path: Path) -> None:
    with Ledger(path) as ledger, ledger.writing(AT) as book:
        book.add_parent(an_order())
    known = len(schema.MIGRATIONS)
    newer = (*schema.MIGRATIONS, ("ALTER TABLE parents ADD COLUMN note TEXT",))

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        versions = schema.migrate(connection, newer)

        assert versions == (known, known + 1)
        assert schema.version_of(connection) == known + 1
        assert connection.execute("SELECT reference, note FROM parents").fetchall() == [("plan-7", None)]


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    Ledger(path).close()
    broken = (*schema.MIGRATIONS, ("CREATE TABLE half (a INTEGER)", "CREATE TABLE parents (a INTEGER)"))

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.migrate(connection, broken)

        assert schema.version_of(connection) == len(schema.MIGRATIONS)
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall()


# Each commit books a fill and its child together, and is then acknowledged through the pipe.
WRITER = """
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import Fill
from trading.execution.transitions import filled

at = datetime(2026, 11, 20, 15, tzinfo=UTC)
with Ledger(Path(sys.argv[1])) as ledger:
    [child] = ledger.children("20261120-AAPL-0001")
    while True:
        fill = Fill(execution_id=f"e{child.filled + 1}", client_order_id=child.client_order_id,
                    symbol=child.symbol, side=child.side, quantity=1, price=Decimal("10"), at=at)
        child = filled(child, fill, at)
        with ledger.writing(at) as book:
            book.add_fill(fill)
            book.put_child(child)
        print(child.filled, flush=True)
"""


def test_no_acknowledged_fill_is_lost_whenever_the_worker_is_killed(path: Path) -> None:
    with Ledger(path) as ledger, ledger.writing(AT) as book:
        new_child(book, working(book, an_order(quantity=10**6)), 10**6)
    random = Random(20261120)

    for _ in range(6):
        worker = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
        )
        with worker:
            assert worker.stdout is not None
            for _ in range(random.randint(1, 60)):
                last = int(worker.stdout.readline())
            os.kill(worker.pid, signal.SIGKILL)
            rest = worker.stdout.read().split("\n")
        last = max([last, *(int(line) for line in rest[:-1])])

        with Ledger(path) as ledger:
            [child] = ledger.children("20261120-AAPL-0001")
            # The last commit may have been made without its acknowledgement.
            assert child.filled in (last, last + 1)
            assert ledger.verify() == []


def test_a_ledger_is_read_without_anything_heavy() -> None:
    """Jobs of every minute read it: they must be up and done in tenths of a second on a Pi."""
    code = (
        "import sys\n"
        "import trading.execution.ledger.ledger, trading.execution.kill_switch, trading.execution.turn_lock\n"
        "print(sorted({'numpy', 'pandas', 'sqlalchemy', 'scipy', 'pyarrow', 'asyncio'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert found.stdout.strip() == "[]"


def test_a_step_is_told_around_every_commit(path: Path) -> None:
    steps: list[str] = []
    note: Callable[[str], None] = steps.append

    with Ledger(path, step=note) as ledger, ledger.writing(AT) as book:
        book.add_parent(an_order())

    assert steps == ["before_commit", "after_commit"]
