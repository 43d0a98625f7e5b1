"""What an address is owed, how much of it at once, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from observability.alert_delivery import (
    MOST_CHARACTERS,
    Message,
    Notice,
    Owed,
    RaisedAlert,
    after_told,
    compose,
    follow,
    reachable,
    rest,
    room,
)
from observability.alert_rules import Rule

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PLAIN = Rule(when="disk")
STANDING = RaisedAlert(key="disk", severity="error", text="2 % left", task=None, raised_at=AT)
OVER = RaisedAlert(
    key="disk", severity="error", text="2 % left", task=None, raised_at=AT, cleared_at=AT + 10 * MINUTE
)
SEEN = RaisedAlert(
    key="disk", severity="error", text="2 % left", task=None, raised_at=AT, acknowledged_at=AT + MINUTE
)
TOLD = Notice(alert=STANDING, told="error", told_at=AT)


def owed(
    notice: Notice | None,
    alert: RaisedAlert,
    rule: Rule | None = PLAIN,
    tag: str = "phone",
    after: timedelta = MINUTE,
) -> Owed | None:
    found = follow(notice, alert, rule, tag, AT + after)
    return None if found is None else found.owed


# --- what is owed -----------------------------------------------------------------------------------------


def test_what_stands_is_told_and_then_no_more() -> None:
    raised = follow(None, STANDING, PLAIN, "phone", AT)

    assert raised is not None
    assert raised.owed is Owed.RAISED
    told = after_told(raised, AT)
    assert told == Notice(alert=STANDING, told="error", told_at=AT)
    assert owed(told, STANDING, after=100 * HOUR) is None


@pytest.mark.parametrize(
    ("notice", "what"),
    [
        (TOLD, Owed.RESOLVED),
        (None, Owed.PASSED),
        (Notice(alert=STANDING, owed=Owed.RAISED), Owed.PASSED),
        (Notice(alert=STANDING, told="error", told_at=AT, owed=Owed.REMINDER), Owed.RESOLVED),
    ],
)
def test_the_end_is_told_to_who_knew_and_in_one_message_to_who_did_not(
    notice: Notice | None, what: Owed
) -> None:
    found = follow(notice, OVER, PLAIN, "phone", AT + HOUR)

    assert found is not None
    assert found.owed is what
    assert after_told(found, AT + HOUR) is None


def test_a_rule_names_who_is_told() -> None:
    rule = Rule(when="disk", channels=("mail",))

    assert owed(None, STANDING, rule, "phone") is None
    assert owed(None, STANDING, rule, "mail") is Owed.RAISED


def test_what_is_for_the_digest_alone_or_no_alert_is_told_to_nobody() -> None:
    for rule in (Rule(when="disk", digest_only=True), None):
        assert owed(None, STANDING, rule) is None
        assert owed(None, OVER, rule) is None


def test_who_was_told_hears_the_end_even_if_a_new_rule_would_not_have_told_him() -> None:
    for rule in (Rule(when="disk", channels=("mail",)), Rule(when="disk", digest_only=True), None):
        assert owed(TOLD, STANDING, rule, "phone") is None
        assert owed(TOLD, OVER, rule, "phone") is Owed.RESOLVED


def test_it_is_told_again_after_each_span_until_it_is_acknowledged() -> None:
    rule = Rule(when="disk", remind=HOUR)

    assert owed(TOLD, STANDING, rule, after=59 * MINUTE) is None
    assert owed(TOLD, STANDING, rule, after=HOUR) is Owed.REMINDER
    assert owed(TOLD, SEEN, rule, after=HOUR) is None


def test_a_reminder_that_waits_is_moot_once_it_is_acknowledged() -> None:
    waiting = Notice(alert=STANDING, told="error", told_at=AT, owed=Owed.REMINDER)

    assert owed(waiting, STANDING) is Owed.REMINDER
    assert owed(waiting, SEEN) is None


def test_unacknowledged_it_is_told_to_more_and_once() -> None:
    rule = Rule(when="disk", channels=("mail",), escalate_after=HOUR, escalate_to=("phone",))

    assert owed(None, STANDING, rule, "phone", after=59 * MINUTE) is None
    found = follow(None, STANDING, rule, "phone", AT + HOUR)
    assert found is not None
    assert (found.owed, found.escalated) == (Owed.RAISED, True)
    assert owed(after_told(found, AT + HOUR), STANDING, rule, "phone", after=2 * HOUR) is None
    assert owed(None, SEEN, rule, "phone", after=2 * HOUR) is None
    # Whoever was told at first is not among those it escalates to.
    assert owed(TOLD, STANDING, rule, "mail", after=HOUR) is None


def test_who_knows_already_is_told_that_nobody_has_acknowledged_it() -> None:
    rule = Rule(when="disk", escalate_after=HOUR)

    found = follow(TOLD, STANDING, rule, "phone", AT + HOUR)

    assert found is not None
    assert (found.owed, found.escalated) == (Owed.ESCALATED, True)
    assert owed(after_told(found, AT + HOUR), STANDING, rule, after=5 * HOUR) is None


def test_one_that_has_become_worse_is_told_again() -> None:
    milder = Notice(alert=STANDING, told="warning", told_at=AT)

    assert owed(milder, STANDING) is Owed.ESCALATED
    assert owed(Notice(alert=STANDING, told="critical", told_at=AT), STANDING) is None


def test_a_tag_that_no_address_has_leaves_a_rule_for_all() -> None:
    rule = Rule(when="disk", channels=("pager",), escalate_after=HOUR, escalate_to=("pager", "mail"))

    found = reachable(rule, {"mail", "phone"})

    assert (found.channels, found.escalate_to) == ((), ("mail",))


# --- how much ---------------------------------------------------------------------------------------------


def test_half_of_an_hour_s_messages_go_at_once_and_the_others_spread_over_it() -> None:
    # 12 an hour: 6 as they come, then one every 60 / 6 = 10 minutes.
    sent = [AT - timedelta(seconds=k) for k in range(6)]

    assert room([], AT, 12) == 6
    assert room(sent[:4], AT, 12) == 2
    assert room(sent, AT + 9 * MINUTE, 12) == 0
    assert room(sent, AT + 10 * MINUTE, 12) == 1
    assert room([*sent, *(AT + k * MINUTE for k in range(10, 16))], AT + 30 * MINUTE, 12) == 0
    assert room(sent, AT + HOUR, 12) == 6


def test_one_message_an_hour_is_one() -> None:
    assert room([], AT, 1) == 1
    assert room([AT], AT + 59 * MINUTE, 1) == 0
    assert room([AT], AT + HOUR, 1) == 1


def test_what_the_clock_has_not_reached_counts_for_nothing() -> None:
    assert room([AT + 5 * HOUR], AT, 2) == 1


def test_an_address_that_takes_nothing_is_left_alone_for_longer_but_never_for_long() -> None:
    assert [rest(failures) // MINUTE for failures in range(7)] == [0, 0, 0, 4, 9, 14, 14]


# --- in which words ---------------------------------------------------------------------------------------


def notices(count: int, **of: Any) -> list[Notice]:
    return [
        Notice(
            alert=RaisedAlert(
                key=f"failed:job_{number}",
                severity="warning",
                text="exit 1",
                task=f"job_{number}",
                raised_at=AT,
            ),
            owed=of.get("owed", Owed.RAISED),
            turn=number,
        )
        for number in range(1, count + 1)
    ]


def test_a_message_says_what_how_bad_and_since_when() -> None:
    [message] = compose([Notice(alert=STANDING, owed=Owed.RAISED)], 5, ZoneInfo("America/New_York"))

    assert message == Message(
        title="[error] disk",
        text="2 % left\n\nraised Fri 2026-11-20 10:00 EST",
        severity="error",
        notices=(Notice(alert=STANDING, owed=Owed.RAISED),),
    )


@pytest.mark.parametrize(
    ("notice", "title", "severity"),
    [
        (Notice(alert=STANDING, owed=Owed.REMINDER), "[error, still] disk", "error"),
        (
            Notice(alert=STANDING, owed=Owed.ESCALATED, escalated=True),
            "[error, not acknowledged] disk",
            "error",
        ),
        (Notice(alert=STANDING, owed=Owed.ESCALATED), "[error, worse] disk", "error"),
        (Notice(alert=OVER, owed=Owed.RESOLVED), "[cleared] disk", "info"),
        (Notice(alert=OVER, owed=Owed.PASSED), "[error, over] disk", "info"),
    ],
)
def test_the_title_says_what_became_of_it(notice: Notice, title: str, severity: str) -> None:
    [message] = compose([notice], 1, UTC)

    assert (message.title, message.severity) == (title, severity)


def test_the_end_says_from_when_to_when() -> None:
    [message] = compose([Notice(alert=OVER, owed=Owed.PASSED)], 1, UTC)

    assert message.text.endswith("raised Fri 2026-11-20 15:00 UTC, over Fri 2026-11-20 15:10 UTC")


def test_what_has_room_goes_one_by_one_in_order_and_the_last_gathers_the_rest() -> None:
    shuffled = [notices(5)[k] for k in (3, 0, 4, 1, 2)]

    one_by_one = compose(shuffled, 5, UTC)
    gathered = compose(shuffled, 3, UTC)

    assert [m.title for m in one_by_one] == [f"[warning] failed:job_{k}" for k in range(1, 6)]
    assert [m.title for m in gathered] == [
        "[warning] failed:job_1",
        "[warning] failed:job_2",
        "3 more: 3 warning",
    ]
    assert gathered[2].text.splitlines() == [f"[warning] failed:job_{k}: exit 1" for k in (3, 4, 5)]


def test_many_are_named_by_kind_and_what_does_not_fit_waits() -> None:
    [message] = compose(notices(2000), 1, UTC)

    told = len(message.notices)
    assert 200 < told < 2000
    assert message.title == f"{told} more: {told} warning"
    assert message.text == "[warning] failed: " + ", ".join(f"job_{k}" for k in range(1, told + 1))
    assert len(message.text) <= MOST_CHARACTERS


def test_one_that_came_and_went_many_times_is_counted() -> None:
    flapping = [
        Notice(
            alert=RaisedAlert(
                key="clock",
                severity="error",
                text="x" * 200,
                task=None,
                raised_at=AT + k * MINUTE,
                cleared_at=AT + (k + 1) * MINUTE,
            ),
            owed=Owed.PASSED,
            turn=k,
        )
        for k in range(40)
    ]

    [message] = compose(flapping, 1, UTC)

    assert message.text == "[error, over] clock: (40 times)"


def test_without_room_nothing_is_composed() -> None:
    assert compose(notices(3), 0, UTC) == []
