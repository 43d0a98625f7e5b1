"""What each piece of news does to an order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState
from trading.execution.errors import IllegalTransition
from trading.execution.orders import (
    ChildOrder,
    ChildState,
    Fill,
    OrderKind,
    ParentOrder,
    ParentState,
    Side,
)
from trading.execution.transitions import (
    CHILD_MOVES,
    PARENT_MOVES,
    cancel_asked,
    filled,
    overfilled,
    parent_moved,
    reaches,
    reconciled,
    refused,
    reported,
    submitted,
    unclear,
)

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
LATER = AT + timedelta(seconds=5)
OPEN, FILLED, CANCELLED, REJECTED, EXPIRED = (
    BrokerOrderState.OPEN,
    BrokerOrderState.FILLED,
    BrokerOrderState.CANCELLED,
    BrokerOrderState.REJECTED,
    BrokerOrderState.EXPIRED,
)
NAME = "20261120-AAPL-0001-0001"


def a_child(**changes: object) -> ChildOrder:
    child = ChildOrder(
        client_order_id=NAME,
        parent_id="20261120-AAPL-0001",
        sequence=1,
        symbol="AAPL",
        side=Side.BUY,
        quantity=100,
        kind=OrderKind.MARKET,
        created_at=AT,
    )
    return replace(child, **changes)  # type: ignore[arg-type]  # a test names real fields


def told(state: BrokerOrderState, shares: int = 0, reason: str = "", quantity: int = 100) -> BrokerOrder:
    return BrokerOrder(
        client_order_id=NAME,
        broker_order_id="b1",
        state=state,
        quantity=quantity,
        filled=shares,
        reason=reason,
    )


def a_fill(quantity: int, execution_id: str = "e1") -> Fill:
    return Fill(
        execution_id=execution_id,
        client_order_id=NAME,
        symbol="AAPL",
        side=Side.BUY,
        quantity=quantity,
        price=Decimal("10.01"),
        at=AT,
    )


def working() -> ChildOrder:
    return reported(submitted(a_child(), told(OPEN), AT), told(OPEN), AT)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (told(OPEN), ChildState.SUBMITTED),
        (told(OPEN, 30), ChildState.PARTIAL),
        (told(FILLED, 100), ChildState.FILLED),
        (told(REJECTED), ChildState.REJECTED),
        (told(CANCELLED), ChildState.CANCELLED),
        (told(EXPIRED), ChildState.EXPIRED),
    ],
)
def test_the_answer_of_a_submit_gives_the_state(answer: BrokerOrder, state: ChildState) -> None:
    child = submitted(a_child(), answer, LATER)

    assert (child.state, child.broker_order_id, child.submitted_at) == (state, "b1", LATER)


@pytest.mark.parametrize("overtaking", [told(OPEN), told(OPEN, 30), told(FILLED, 100)])
def test_an_answer_that_reports_have_overtaken_takes_nothing_back(overtaking: BrokerOrder) -> None:
    child = reported(a_child(), overtaking, AT)

    assert submitted(child, told(OPEN), LATER) == child


def test_a_report_of_an_open_order_acknowledges_it() -> None:
    assert working().state is ChildState.ACKED


def test_a_smaller_count_never_lowers_a_larger_one() -> None:
    child = reported(working(), told(OPEN, 60), AT)

    assert reported(child, told(OPEN, 20), LATER) == child


@pytest.mark.parametrize("state", [FILLED, CANCELLED, EXPIRED])
def test_an_open_report_after_the_end_is_ignored(state: BrokerOrderState) -> None:
    child = reported(working(), told(state, 100 if state is FILLED else 40), AT)

    assert reported(child, told(OPEN, 40), LATER) == child


def test_the_first_end_stays() -> None:
    child = reported(working(), told(CANCELLED, 40, "by you"), AT)

    assert reported(child, told(EXPIRED, 40), LATER) == child


def test_an_end_says_when_and_why() -> None:
    child = reported(working(), told(CANCELLED, 0, "by the exchange"), LATER)

    assert (child.closed_at, child.reason) == (LATER, "by the exchange")


def test_a_cancelled_child_that_was_reported_filled_after_all_is_filled() -> None:
    child = reported(working(), told(CANCELLED, 40), AT)

    assert reported(child, told(FILLED, 100), LATER).state is ChildState.FILLED


def test_an_end_with_all_shares_filled_is_filled() -> None:
    assert reported(working(), told(CANCELLED, 100), AT).state is ChildState.FILLED


def test_filled_without_a_count_means_all_of_it() -> None:
    child = reported(working(), told(FILLED), AT)

    assert (child.reported_filled, child.leaves) == (100, 100)


def test_shares_reported_filled_are_expected_until_their_fills_come() -> None:
    child = filled(reported(working(), told(CANCELLED, 40), AT), a_fill(25), LATER)

    assert (child.filled, child.leaves) == (25, 15)


def test_what_has_fills_was_cancelled_and_not_refused() -> None:
    child = filled(working(), a_fill(10), AT)

    assert reported(child, told(REJECTED, 0, "risk"), LATER).state is ChildState.CANCELLED


def test_a_report_of_another_order_is_refused() -> None:
    other = replace(told(OPEN), client_order_id="20261120-AAPL-0001-0002")

    with pytest.raises(IllegalTransition, match="0001-0001 cannot take a report of 20261120-AAPL-0001-0002"):
        reported(working(), other, AT)


def test_fills_add_up_to_filled() -> None:
    partial = filled(working(), a_fill(60, "e1"), AT)
    complete = filled(partial, a_fill(40, "e2"), LATER)

    assert (partial.state, partial.leaves) == (ChildState.PARTIAL, 40)
    assert (complete.state, complete.filled, complete.leaves) == (ChildState.FILLED, 100, 0)
    assert complete.closed_at == LATER


def test_a_fill_proves_that_an_intent_was_sent() -> None:
    child = filled(a_child(), a_fill(60), LATER)

    assert (child.state, child.submitted_at) == (ChildState.PARTIAL, LATER)


@pytest.mark.parametrize("state", [CANCELLED, EXPIRED])
def test_a_late_fill_is_booked_and_the_end_stays(state: BrokerOrderState) -> None:
    child = filled(reported(working(), told(state), AT), a_fill(60), LATER)

    assert (child.state, child.filled, child.closed_at) == (ChildState(state.value), 60, AT)


def test_late_fills_that_complete_a_cancelled_child_make_it_filled() -> None:
    child = filled(reported(working(), told(CANCELLED), AT), a_fill(100), LATER)

    assert child.state is ChildState.FILLED


def test_more_than_was_ordered_is_booked_and_said() -> None:
    child = filled(working(), a_fill(130), AT)

    assert (child.filled, child.state, child.leaves, overfilled(child)) == (130, ChildState.FILLED, 0, 30)


@pytest.mark.parametrize(
    "fill",
    [
        replace(a_fill(10), symbol="NVDA"),
        replace(a_fill(10), side=Side.SELL),
        replace(a_fill(10), client_order_id="20261120-AAPL-0001-0002"),
    ],
)
def test_a_fill_of_another_order_symbol_or_side_is_refused(fill: Fill) -> None:
    with pytest.raises(IllegalTransition, match="is not its own"):
        filled(working(), fill, AT)


@pytest.mark.parametrize("state", [s for s in ChildState if not s.is_final and s is not ChildState.UNKNOWN])
def test_any_state_but_an_end_can_become_unknown(state: ChildState) -> None:
    child = unclear(a_child(state=state), "timeout after 10 s", AT)

    assert (child.state, child.reason) == (ChildState.UNKNOWN, "timeout after 10 s")


@pytest.mark.parametrize("state", [s for s in ChildState if s.is_final])
def test_an_end_is_never_unclear(state: ChildState) -> None:
    child = a_child(state=state, closed_at=AT)

    assert unclear(child, "timeout", LATER) == child


def test_reports_and_fills_do_not_lead_out_of_unknown_but_are_remembered() -> None:
    child = unclear(a_child(), "timeout", AT)
    child = submitted(child, told(OPEN), LATER)
    child = reported(child, told(CANCELLED, 50), LATER)
    child = filled(child, a_fill(20), LATER)

    assert (child.state, child.reported_filled, child.filled) == (ChildState.UNKNOWN, 50, 20)
    # Of 100 shares 20 are filled: until it is looked up, 80 may still be.
    assert child.leaves == 80


@pytest.mark.parametrize("start", [a_child(), unclear(a_child(), "timeout", AT)])
@pytest.mark.parametrize(
    ("found", "state"),
    [
        (told(OPEN), ChildState.ACKED),
        (told(OPEN, 30), ChildState.PARTIAL),
        (told(FILLED, 100), ChildState.FILLED),
        (told(CANCELLED, 30), ChildState.CANCELLED),
        (told(EXPIRED), ChildState.EXPIRED),
        (told(REJECTED), ChildState.REJECTED),
        (None, ChildState.REJECTED),
    ],
)
def test_a_look_at_the_broker_settles_an_intent_and_an_unknown(
    start: ChildOrder, found: BrokerOrder | None, state: ChildState
) -> None:
    child = reconciled(start, found, LATER)

    assert child.state is state
    assert child.closed_at == (LATER if state.is_final else None)


def test_an_order_with_fills_that_the_broker_no_longer_has_is_cancelled() -> None:
    child = reconciled(unclear(filled(working(), a_fill(10), AT), "crash", AT), None, LATER)

    assert (child.state, child.leaves, child.filled) == (ChildState.CANCELLED, 0, 10)


def test_fills_that_complete_an_unknown_child_count_when_it_is_looked_up() -> None:
    child = filled(unclear(a_child(), "timeout", AT), a_fill(100), AT)

    assert reconciled(child, told(OPEN, 60), LATER).state is ChildState.FILLED


@pytest.mark.parametrize("found", [None, told(OPEN), told(FILLED, 100)])
def test_a_look_at_the_broker_changes_no_end_that_has_come(found: BrokerOrder | None) -> None:
    child = filled(working(), a_fill(100), AT)

    assert reconciled(child, found, LATER) == child


@pytest.mark.parametrize("before", [a_child(), working()])
def test_an_order_that_was_not_found_and_yet_exists_must_be_looked_up_again(before: ChildOrder) -> None:
    missed = reconciled(unclear(before, "timeout", AT), None, AT)

    by_report = reported(missed, told(OPEN), LATER)
    by_fill = filled(missed, a_fill(10), LATER)

    assert (by_report.state, by_report.leaves) == (ChildState.UNKNOWN, 100)
    assert (by_fill.state, by_fill.leaves) == (ChildState.UNKNOWN, 90)
    assert by_fill.closed_at is None


def test_a_late_report_does_not_revive_an_order_that_the_broker_refused() -> None:
    child = reported(working(), told(REJECTED), AT)

    assert reported(child, told(OPEN), LATER) == child


def test_a_refusal_rejects_an_intent() -> None:
    child = refused(a_child(), "insufficient buying power", AT)

    assert (child.state, child.reason, child.leaves) == (ChildState.REJECTED, "insufficient buying power", 0)
    assert refused(child, "again", LATER) == child


def test_a_refusal_of_what_is_at_the_broker_is_an_error() -> None:
    with pytest.raises(IllegalTransition, match=f"child {NAME} is acked: it cannot become rejected"):
        refused(working(), "duplicate id", AT)


def test_a_cancel_is_asked_once() -> None:
    child = cancel_asked(working(), AT)

    assert child.cancel_asked_at == AT
    assert cancel_asked(child, LATER) == child


def test_no_cancel_is_asked_for_what_has_ended() -> None:
    child = filled(working(), a_fill(100), AT)

    assert cancel_asked(child, LATER) == child


def a_parent(state: ParentState = ParentState.NEW, reason: str = "") -> ParentOrder:
    return ParentOrder(
        parent_id="20261120-AAPL-0001",
        reference="plan-7",
        session=date(2026, 11, 20),
        symbol="AAPL",
        side=Side.BUY,
        quantity=100,
        created_at=AT,
        state=state,
        reason=reason,
    )


def test_a_parent_goes_from_new_to_completed() -> None:
    order = a_parent()
    for state in (ParentState.VALIDATED, ParentState.WORKING, ParentState.PAUSED, ParentState.WORKING):
        order = parent_moved(order, state, AT)
    order = parent_moved(order, ParentState.COMPLETED, LATER, "all filled")

    assert (order.state, order.completed_at, order.reason) == (ParentState.COMPLETED, LATER, "all filled")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (ParentState.NEW, ParentState.WORKING),
        (ParentState.WORKING, ParentState.REJECTED),
        (ParentState.WORKING, ParentState.NEW),
        (ParentState.VALIDATED, ParentState.COMPLETED),
        (ParentState.KILLED, ParentState.WORKING),
        (ParentState.COMPLETED, ParentState.CANCELLED),
    ],
)
def test_a_move_that_is_not_in_the_table_names_both_states(start: ParentState, end: ParentState) -> None:
    with pytest.raises(IllegalTransition, match=f"AAPL-0001 is {start}: it cannot become {end}"):
        parent_moved(a_parent(start), end, AT)


@pytest.mark.parametrize("state", [s for s in ParentState if s.is_final])
def test_a_final_parent_absorbs_its_own_state(state: ParentState) -> None:
    order = replace(a_parent(state, "first"), completed_at=AT)

    assert parent_moved(order, state, LATER, "second") == order


def test_a_pause_takes_a_new_reason() -> None:
    order = a_parent(ParentState.PAUSED, "halted")

    assert parent_moved(order, ParentState.PAUSED, LATER, "no quote").reason == "no quote"


def test_every_state_is_in_the_tables_and_can_come_to_an_end() -> None:
    assert set(CHILD_MOVES) == set(ChildState)
    assert set(PARENT_MOVES) == set(ParentState)
    for child in ChildState:
        assert any(reaches(CHILD_MOVES, child, end) for end in ChildState if end.is_final)
    for parent in ParentState:
        assert any(reaches(PARENT_MOVES, parent, end) for end in ParentState if end.is_final)


def test_no_end_of_a_child_leads_back_but_a_refusal_that_was_wrong() -> None:
    back = {s for s in ChildState if s.is_final for to in CHILD_MOVES[s] if not to.is_final}

    assert back == {ChildState.REJECTED}
