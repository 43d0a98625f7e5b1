"""Sessions of the smart executor in which more than the market moves: people, lines, clocks, disks."""

from __future__ import annotations

import asyncio
import errno
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench_execution import Desk, Instant
from orchestration.clock import VirtualClock
from tests.trading_floor import (
    DAY,
    MINUTE,
    OPEN,
    PRICE,
    SECOND,
    Floor,
    Killed,
    Steps,
    Through,
    bars_of,
    hours_of,
    market_of,
    order_of,
)
from trading.execution.brokers.broker import BrokerOrder, Report, Ticket
from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.errors import BrokerUnavailable, LedgerError, OrderRejected, SubmitUnclear
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import ChildState, Fill, ParentOrder, ParentState, Side, Urgency
from trading.execution.smart.rules import Ended, StopPolicy

MINUTES = 30
HOURS = hours_of(MINUTES)
CLOSE = HOURS.close


def at(minute: float) -> datetime:
    return OPEN + minute * MINUTE


def a_floor(folder: Path, volume: int = 1_000, config: PaperConfig | None = None) -> Floor:
    market = market_of(bars_of([PRICE] * MINUTES, volume), HOURS)
    return Floor(folder, market, HOURS, config=config or PaperConfig())


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    """Half an hour at 100 $, 1,000 shares a minute, of which orders get 100."""
    return a_floor(tmp_path)


def urgent(quantity: int = 600, **changes: Any) -> ParentOrder:
    """An order whose children are filled in the next whole minute: they cross the spread."""
    return order_of(quantity, urgency=Urgency.HIGH, **changes)


def only(floor: Floor) -> ParentOrder:
    (order,) = floor.parents()
    return order


def bought(floor: Floor) -> int:
    return sum(fill.quantity for fill in floor.fills())


# People and signals.


def test_an_order_that_has_ended_does_not_keep_the_clock_from_moving_on(floor: Floor) -> None:
    first, _ = floor.enter(order_of(), order_of(reference="r2"))
    floor.happens.append((at(4.5), lambda: floor.cancel(first.parent_id)))

    assert floor.run() is Ended.DONE
    assert [p.state for p in floor.parents()] == [ParentState.CANCELLED, ParentState.COMPLETED]


def stop_at(floor: Floor, instant: datetime) -> None:
    def stop() -> None:
        floor.is_stopped = True

    floor.happens.append((instant, stop))


def test_a_stopped_run_cancels_what_is_open_and_the_next_one_completes_the_order(floor: Floor) -> None:
    floor.enter(order_of())
    stop_at(floor, at(6))

    assert floor.run() is Ended.STOPPED
    assert only(floor).state is ParentState.PAUSED
    assert all(child.state.is_final for child in floor.children())
    assert all(sent.at <= at(6) for sent in floor.sent)

    floor.is_stopped = False
    assert floor.run() is Ended.DONE
    assert (only(floor).state, bought(floor)) == (ParentState.COMPLETED, 600)
    assert floor.wrongs() == []


def test_a_stopped_run_keeps_what_is_open_where_that_is_the_policy(floor: Floor) -> None:
    floor.rules = replace(floor.rules, on_stop=StopPolicy.KEEP)
    floor.enter(urgent())
    stop_at(floor, at(5.5))

    assert floor.run() is Ended.STOPPED
    assert floor.cancels == []
    (kept,) = [child for child in floor.children() if not child.state.is_final]

    floor.is_stopped = False
    floor.clock.advance(2 * MINUTE)  # it is filled while nobody looks
    floor.run()
    assert only(floor).state is ParentState.COMPLETED
    assert next(c for c in floor.children() if c.sequence == kept.sequence).filled == kept.quantity
    assert floor.wrongs() == []


def test_a_stop_is_not_held_up_by_a_cancel_that_takes_too_long(tmp_path: Path) -> None:
    config = PaperConfig(least_latency=40 * SECOND, most_latency=40 * SECOND)
    floor = a_floor(tmp_path, config=config)
    floor.enter(order_of(), order_of(reference="r2", not_before=at(6) + 5 * SECOND))
    stop_at(floor, at(6))

    assert floor.run() is Ended.STOPPED
    assert floor.clock.now() == at(6) + floor.rules.wind_down


def test_what_is_filled_while_stopping_completes_its_order(tmp_path: Path) -> None:
    config = PaperConfig(least_latency=5 * SECOND, most_latency=5 * SECOND)
    floor = a_floor(tmp_path, config=config)
    floor.enter(urgent(100, algorithm="market"))
    stop_at(floor, at(3) - 4 * SECOND)  # the cancel arrives after the minute's end

    assert floor.run() is Ended.STOPPED
    assert (only(floor).state, bought(floor)) == (ParentState.COMPLETED, 100)


def touch(path: Path) -> None:
    subprocess.run(["touch", str(path)], check=True)


def test_a_halt_by_another_process_cancels_everything_and_nothing_is_sent_after_it(floor: Floor) -> None:
    floor.enter(order_of(), order_of(reference="r2", side=Side.SELL))
    floor.happens.append((at(6), lambda: touch(floor.kill.path)))

    assert floor.run() is Ended.DONE
    assert [p.state for p in floor.parents()] == [ParentState.KILLED] * 2
    assert all(child.state.is_final for child in floor.children())
    assert all(sent.at <= at(6) for sent in floor.sent)
    assert floor.cancels


def test_a_halt_between_the_turn_and_the_submit_is_seen(floor: Floor) -> None:
    floor.enter(order_of())

    def halt() -> None:
        if floor.clock.now() >= at(1):  # the first quote: what follows from it would be sent
            floor.kill.set("now", "test", floor.clock.now())

    floor.on_quote = halt
    floor.run()

    assert floor.sent == []
    assert [child.state for child in floor.children()] == [ChildState.REJECTED]
    assert only(floor).state is ParentState.KILLED


def test_an_order_cancelled_by_hand_takes_back_its_child(floor: Floor) -> None:
    (order,) = floor.enter(order_of())
    floor.happens.append((at(5.5), lambda: floor.cancel(order.parent_id)))

    assert floor.run() is Ended.DONE
    assert only(floor).state is ParentState.CANCELLED
    assert [child.state for child in floor.children()][-1] is ChildState.CANCELLED
    assert all(sent.at < at(5.5) for sent in floor.sent)


def test_an_order_cancelled_while_a_quote_is_awaited_gets_no_child(floor: Floor) -> None:
    (order,) = floor.enter(order_of())
    floor.on_quote = lambda: floor.cancel(order.parent_id)

    assert floor.run() is Ended.DONE
    assert only(floor).state is ParentState.CANCELLED
    assert floor.sent == []


def test_an_order_cancelled_by_hand_while_working_gets_no_child_in_that_turn(floor: Floor) -> None:
    (order,) = floor.enter(order_of())

    def cancel_late() -> None:
        if floor.clock.now() >= at(5):
            floor.cancel(order.parent_id)

    floor.on_quote = cancel_late
    assert floor.run() is Ended.DONE
    assert all(sent.at < at(5) for sent in floor.sent)


def test_an_order_that_is_entered_while_others_are_worked_is_worked_too(floor: Floor) -> None:
    floor.stay = True
    floor.enter(order_of(100))

    def enter_late() -> None:
        floor.enter(order_of(100, reference="late", algorithm="market"))

    floor.happens.append((at(20), enter_late))

    assert floor.run() is Ended.DONE
    assert [p.state for p in floor.parents()] == [ParentState.COMPLETED] * 2
    assert floor.clock.now() >= CLOSE


# Hours.


def close_early(floor: Floor, entered: datetime, close: datetime) -> None:
    def change() -> None:
        floor.hours = replace(HOURS, close=close, is_early_close=True)

    floor.happens.append((entered, change))


def test_nothing_is_sent_after_an_early_close_that_is_entered_during_the_session(floor: Floor) -> None:
    floor.enter(order_of())
    close_early(floor, at(8), at(12))

    assert floor.run() is Ended.DONE
    assert only(floor).state is ParentState.EXPIRED
    assert max(sent.at for sent in floor.sent) < at(12)
    assert max(fill.at for fill in floor.fills()) <= at(13)
    with floor.read() as ledger:
        assert "the horizon now ends" in ledger.plans(only(floor).parent_id)[1].cause


def test_what_is_open_is_taken_back_when_an_early_close_is_entered_long_after_it(tmp_path: Path) -> None:
    config = PaperConfig(least_latency=3 * SECOND, most_latency=3 * SECOND)
    floor = a_floor(tmp_path, config=config)
    floor.enter(order_of())
    close_early(floor, at(16), at(10))

    assert floor.run() is Ended.DONE
    assert only(floor).state is ParentState.EXPIRED
    assert all(child.state.is_final for child in floor.children())


def test_a_quote_that_takes_until_the_close_is_no_crash(floor: Floor) -> None:
    floor.enter(order_of(100))
    floor.halted = [(OPEN, CLOSE - SECOND)]
    waited: list[bool] = []

    def wait() -> None:
        if floor.clock.now() >= CLOSE - SECOND and not waited:
            waited.append(True)
            floor.clock.advance(2 * SECOND)

    floor.rules = replace(floor.rules, retry=SECOND)
    floor.on_quote = wait
    assert floor.run() is Ended.DONE
    assert waited
    assert (only(floor).state, floor.sent) == (ParentState.EXPIRED, [])


def test_orders_that_an_earlier_session_left_are_brought_to_their_end(floor: Floor) -> None:
    before = DAY - timedelta(days=1)
    floor.enter(order_of(reference="old", session=before), order_of())

    floor.run()

    old, new = floor.parents()
    assert (old.state, new.state) == (ParentState.REJECTED, ParentState.COMPLETED)


def test_fills_that_are_told_after_the_close_are_booked(tmp_path: Path) -> None:
    config = PaperConfig(least_latency=9 * SECOND, most_latency=9 * SECOND, reorder_rate=1.0, seed=4)
    floor = a_floor(tmp_path, config=config)
    floor.enter(urgent(100, algorithm="market", not_before=at(28.5), max_participation=0.2))

    assert floor.run() is Ended.DONE
    assert [fill.at for fill in floor.fills()] == [CLOSE]
    assert only(floor).state is ParentState.COMPLETED
    assert floor.wrongs() == []


def test_a_break_that_is_entered_while_a_quote_is_awaited_is_kept(floor: Floor) -> None:
    floor.enter(urgent(100, algorithm="market"))

    def enter_break() -> None:
        floor.hours = replace(HOURS, pauses=((at(1), at(8)),))

    floor.on_quote = lambda: enter_break() if floor.clock.now() >= at(1) else None
    assert floor.run() is Ended.DONE
    assert only(floor).state is ParentState.COMPLETED
    assert min(sent.at for sent in floor.sent) >= at(8)


def test_children_of_slices_shorter_than_a_poll_are_sent_at_their_instants(tmp_path: Path) -> None:
    desk = Desk(tmp_path, clock := VirtualClock(OPEN - SECOND), OPEN, orders=2, slices=20)

    assert asyncio.run(desk.executor.run()) is Ended.DONE
    assert desk.lateness_ms() == [0.0] * 40
    assert clock.now() < OPEN + 5 * SECOND
    desk.ledger.close()


# Lines that fail.


@pytest.mark.parametrize("call", ["quote", "volume", "reports", "find", "fills", "cancel"])
def test_a_line_that_is_broken_for_a_while_costs_no_share(floor: Floor, call: str) -> None:
    floor.config = PaperConfig(unclear_arrived_rate=0.3, seed=2)
    floor.enter(order_of())
    floor.broken = {call: (at(4), at(11))}

    assert floor.run() is Ended.DONE
    assert only(floor).state in (ParentState.COMPLETED, ParentState.EXPIRED)
    assert bought(floor) >= 400
    assert floor.wrongs() == []


def test_a_market_feed_that_does_not_answer_pauses_the_order(floor: Floor) -> None:
    floor.enter(order_of())
    floor.broken = {"quote": (at(5), at(10))}

    floor.run()

    assert not [sent for sent in floor.sent if at(5) <= sent.at < at(10)]
    with floor.read() as ledger:
        reasons = [event.details.get("reason", "") for event in ledger.events()]
    assert any("the market feed does not answer" in reason for reason in reasons)


def test_a_broker_that_is_silent_is_not_asked_all_the_time(floor: Floor) -> None:
    floor.enter(order_of(100, algorithm="market"))
    floor.broken = {"reports": (at(1), at(2))}

    floor.run()

    assert floor.turns < 100


def test_a_cancel_that_failed_is_tried_again_soon_but_not_at_every_turn(floor: Floor) -> None:
    floor.enter(order_of(limit_price=PRICE - 1))
    floor.broken = {"cancel": (at(0), at(10))}

    floor.run()

    asked = [when for when, _ in floor.cancels if when < at(10)]
    assert len(asked) >= 20
    assert all(later - sooner >= floor.rules.retry for sooner, later in pairwise(asked))


class Deaf(Through):
    """A broker whose reports are lost."""

    async def reports(self) -> Sequence[Report]:
        await self.broker.reports()
        return ()


def test_reports_that_never_come_are_asked_for(floor: Floor) -> None:
    floor.wrap = Deaf
    floor.enter(urgent())

    assert floor.run() is Ended.DONE
    assert (only(floor).state, bought(floor)) == (ParentState.COMPLETED, 600)
    assert floor.wrongs() == []


class Behind(Instant):
    """A broker whose clock is half a minute behind, and whose reports are lost."""

    async def fills(self, since: datetime) -> Sequence[Fill]:
        told = [report for report in self._news if isinstance(report, Fill)]
        stamped = [replace(fill, at=fill.at - 30 * SECOND) for fill in told]
        return [fill for fill in stamped if fill.at >= since]

    async def reports(self) -> Sequence[Report]:
        return ()


def test_fills_stamped_by_a_clock_that_is_behind_are_found(floor: Floor) -> None:
    floor.wrap = lambda paper: Behind(floor.clock)
    floor.enter(urgent())

    assert floor.run() is Ended.DONE
    assert (only(floor).state, bought(floor)) == (ParentState.COMPLETED, 600)


class Undying(Through):
    """A broker that answers nothing about an order once it should be cancelled."""

    is_deaf = False

    async def cancel(self, client_order_id: str) -> None:
        type(self).is_deaf = True

    async def reports(self) -> Sequence[Report]:
        news = await self.broker.reports()
        return () if self.is_deaf else news

    async def find(self, client_order_id: str) -> BrokerOrder | None:
        raise BrokerUnavailable("no answer")


def test_a_child_of_which_nothing_is_heard_any_more_is_said_to_be_unresolved(floor: Floor) -> None:
    floor.wrap = Undying
    floor.enter(order_of(limit_price=PRICE - 1))

    assert floor.run() is Ended.UNRESOLVED
    assert not only(floor).state.is_final
    assert floor.clock.now() - CLOSE <= floor.rules.after_close + floor.rules.look
    assert len(floor.sent) == 1


# Refusals.


@pytest.mark.parametrize("config", [PaperConfig(reject_rate=1.0), PaperConfig(late_reject_rate=1.0)])
def test_an_order_whose_children_are_all_refused_is_given_up(tmp_path: Path, config: PaperConfig) -> None:
    floor = a_floor(tmp_path, config=config)
    floor.enter(order_of())

    assert floor.run() is Ended.DONE
    assert only(floor).state is ParentState.CANCELLED
    assert only(floor).reason == "the broker refused 5 children in a row"
    assert len(floor.sent) == 5


@pytest.mark.parametrize("config", [PaperConfig(reject_rate=1.0), PaperConfig(late_reject_rate=1.0)])
def test_after_a_refusal_nothing_is_sent_for_a_while(tmp_path: Path, config: PaperConfig) -> None:
    floor = a_floor(tmp_path, config=config)
    floor.enter(order_of())

    floor.run()

    times = [sent.at for sent in floor.sent]
    assert all(later - sooner >= floor.rules.retry for sooner, later in pairwise(times))


class Moody(Through):
    """A broker that takes each fifth order."""

    count = 0

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        type(self).count += 1
        if self.count % 5:
            raise OrderRejected("not now")
        return await self.broker.submit(ticket)


def test_only_refusals_in_a_row_end_an_order(floor: Floor) -> None:
    floor.wrap = Moody
    floor.enter(urgent())

    assert floor.run() is Ended.DONE
    assert only(floor).state is ParentState.COMPLETED
    assert len(floor.sent) > 5


# Orders that are there after all, and orders the ledger has forgotten.


class Slow(Through):
    """A broker whose first submit is given up after a long wait, and arrives later still."""

    def __init__(self, floor: Floor, wait: timedelta, later: timedelta) -> None:
        self.floor, self.wait, self.later = floor, wait, later
        self.held: list[Ticket] = []

    def __call__(self, broker: object) -> Slow:
        self.broker = broker  # type: ignore[assignment]  # the floor's own paper broker
        return self

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        if self.held:
            return await self.broker.submit(ticket)
        self.held.append(ticket)
        self.floor.clock.advance(self.wait)
        self.floor.happens.append((self.floor.clock.now() + self.later, self.arrive))
        raise SubmitUnclear("no answer in time")

    def arrive(self) -> None:
        with pytest.raises(StopIteration):
            self.broker.submit(self.held[0]).send(None)


def test_a_submit_that_was_given_up_late_is_not_sent_again_before_it_can_have_arrived(floor: Floor) -> None:
    floor.wrap = Slow(floor, wait=30 * SECOND, later=8 * SECOND)
    floor.enter(urgent(100, algorithm="market"))

    assert floor.run() is Ended.DONE
    assert len(floor.sent) == 1
    assert (only(floor).state, bought(floor)) == (ParentState.COMPLETED, 100)


def test_what_is_too_much_is_taken_back_when_a_lost_order_is_there_after_all(floor: Floor) -> None:
    floor.wrap = Slow(floor, wait=SECOND, later=25 * SECOND)
    floor.config = PaperConfig(max_share_of_bar=1.0)  # both would be filled in the same minute
    floor.enter(urgent(100, algorithm="market"))

    assert floor.run() is Ended.DONE
    assert (only(floor).state, bought(floor)) == (ParentState.COMPLETED, 100)
    assert not floor.kill.is_set()


def back_up(floor: Floor) -> None:
    with Ledger(floor.path) as ledger:  # the write-ahead log is emptied into the file
        ledger.change_mark()
    shutil.copy(floor.path, floor.folder / "backup.db")


def restore(floor: Floor) -> None:
    for tail in ("", "-wal", "-shm"):
        floor.path.with_name(floor.path.name + tail).unlink(missing_ok=True)
    shutil.copy(floor.folder / "backup.db", floor.path)


@pytest.mark.parametrize("limit", [PRICE - 1, None])
def test_an_older_ledger_than_the_broker_halts_trading(floor: Floor, limit: Decimal | None) -> None:
    """Whether what the ledger has lost is still open there or filled long ago."""
    floor.enter(urgent(limit_price=limit))
    back_up(floor)
    floor.rules = replace(floor.rules, on_stop=StopPolicy.KEEP)
    stop_at(floor, at(3 if limit is None else 1.5))
    floor.run()
    assert floor.sent
    before = len(floor.sent)
    restore(floor)

    floor.is_stopped = False
    floor.run()

    assert floor.kill.is_set()
    assert only(floor).state is ParentState.KILLED
    assert len(floor.sent) == before


def test_a_person_who_has_compared_both_can_go_on(floor: Floor) -> None:
    """The fills that the ledger has lost are there at each start; they halt at the first one only."""
    floor.enter(urgent())
    back_up(floor)
    stop_at(floor, at(3))
    floor.run()
    restore(floor)
    floor.is_stopped = False
    floor.run()
    assert floor.kill.clear("a person", floor.clock.now())

    floor.enter(urgent(100, reference="the rest"))
    floor.run()

    assert not floor.kill.is_set()
    assert floor.parents()[1].state is ParentState.COMPLETED


class Stammering(Through):
    """A broker that tells each fill again, with another price and quantity."""

    async def reports(self) -> Sequence[Report]:
        told: list[Report] = []
        for report in await self.broker.reports():
            told.append(report)
            if isinstance(report, Fill):
                told.append(replace(report, price=report.price + 1, quantity=report.quantity + 1))
        return told


def test_a_fill_that_is_told_again_with_other_contents_is_noted_and_not_booked(floor: Floor) -> None:
    floor.wrap = Stammering
    floor.enter(urgent())

    assert floor.run() is Ended.DONE
    assert bought(floor) == 600
    assert floor.wrongs() == []
    with floor.read() as ledger:
        assert "fill.differs" in {event.kind for event in ledger.events()}


class Doubling(Through):
    """A broker that executes too much: each fill comes twice, under two ids."""

    async def reports(self) -> Sequence[Report]:
        told: list[Report] = []
        for report in await self.broker.reports():
            told.append(report)
            if isinstance(report, Fill):
                told.append(replace(report, execution_id=report.execution_id + "b"))
        return told


def test_more_fills_than_were_ordered_halt_trading(floor: Floor) -> None:
    floor.wrap = Doubling
    floor.enter(urgent(100, algorithm="market"))

    floor.run()

    assert floor.kill.is_set()
    assert bought(floor) == 200


def test_the_halt_is_there_before_the_fill_that_is_too_much(floor: Floor) -> None:
    """Else a kill between the two would leave a fill that is known, and nobody who halts."""
    floor.wrap = Doubling
    floor.enter(urgent(100, algorithm="market"))
    counted = Steps()
    seen: list[bool] = []

    def step(name: str) -> None:
        counted(name)
        if name == "after_commit" and bought(floor) > 100 and not seen:
            seen.append(floor.kill.is_set())
            raise Killed(name)

    with pytest.raises(Killed):
        floor.run(step)
    assert seen == [True]


def test_a_fill_of_an_earlier_session_is_booked_when_it_is_told_at_last(floor: Floor) -> None:
    """The child was closed, its order ended: only its name says whose it is."""
    told: list[Report] = []

    class Late(Through):
        async def reports(self) -> Sequence[Report]:
            news = [*await self.broker.reports(), *told]
            told.clear()
            return news

    floor.wrap = Late
    (old,) = floor.enter(order_of(limit_price=PRICE - 1))
    floor.run()
    child = floor.children()[0]
    assert child.state is ChildState.CANCELLED
    floor.session, floor.hours = DAY + timedelta(days=1), replace(HOURS, day=DAY + timedelta(days=1))
    fill = Fill(
        execution_id="late",
        client_order_id=child.client_order_id,
        symbol=child.symbol,
        side=child.side,
        quantity=5,
        price=PRICE,
        at=at(2),
    )
    told.append(fill)
    floor.run()

    with floor.read() as ledger:
        assert ledger.fills(old.parent_id) == [fill]
        assert ledger.verify() == []


# A ledger that cannot be written.


def test_nothing_is_sent_without_an_intent_on_the_disk(tmp_path: Path) -> None:
    """The disk is full from any commit on: the run ends there, and a later one goes on."""
    commits = Steps()
    whole = a_floor(tmp_path / "whole")
    (tmp_path / "whole").mkdir()
    whole.enter(urgent(200, not_after=at(10)))
    whole.run(commits)
    number = commits.names.count("before_commit")
    for full_at in range(1, number + 1):
        folder = tmp_path / str(full_at)
        folder.mkdir()
        floor = a_floor(folder)
        floor.enter(urgent(200, not_after=at(10)))
        count = 0

        def step(name: str, full_at: int = full_at) -> None:
            nonlocal count
            count += name == "before_commit"
            if name == "before_commit" and count >= full_at:
                raise LedgerError(errno.ENOSPC, "the disk is full", "ledger.db")

        with pytest.raises(LedgerError):
            floor.run(step)
        assert all(sent.child is not None for sent in floor.sent)
        floor.run()
        assert (only(floor).state, bought(floor)) == (ParentState.COMPLETED, 200)
        assert floor.wrongs() == []


# Orders at the edge.


@pytest.mark.parametrize(
    ("order", "state", "shares"),
    [
        (urgent(1), ParentState.COMPLETED, 1),
        (urgent(1, algorithm="auto"), ParentState.COMPLETED, 1),
        (urgent(7, lot_size=100), ParentState.COMPLETED, 7),  # an odd rest and nothing else
        (urgent(250, lot_size=100), ParentState.COMPLETED, 250),
        (urgent(300, algorithm="iceberg", display_size=5_000), ParentState.COMPLETED, 300),
        (urgent(300, algorithm="iceberg", display_size=1), ParentState.EXPIRED, None),
        (urgent(300, limit_price=Decimal(1)), ParentState.EXPIRED, 0),
        (urgent(300, limit_price=Decimal(10_000)), ParentState.COMPLETED, 300),
        (urgent(10**9), ParentState.REJECTED, 0),
        (urgent(300, algorithm="nonsense"), ParentState.REJECTED, 0),
    ],
)
def test_orders_at_the_edge_end_as_they_should(
    floor: Floor, order: ParentOrder, state: ParentState, shares: int | None
) -> None:
    floor.enter(order)

    assert floor.run() is Ended.DONE
    assert only(floor).state is state
    assert shares is None or bought(floor) == shares
    assert floor.wrongs() == []


def test_on_a_day_without_volume_nothing_is_filled_and_the_caps_hold(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, volume=0)
    floor.enter(urgent())

    assert floor.run() is Ended.DONE
    assert (only(floor).state, bought(floor)) == (ParentState.EXPIRED, 0)
    # 0.1 of the 5,000 shares that each slice of five minutes expects, and nothing was traded.
    assert max(sent.exposed for sent in floor.sent) <= 500
