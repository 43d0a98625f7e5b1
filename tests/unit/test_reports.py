"""What jobs propose in their result files: validated, then committed, or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from orchestration.changes import SessionsSaved
from orchestration.reports import SessionTables, alerts_told, proposals
from orchestration.runs import Outcome, RunKey, TaskResult
from orchestration.types import Session
from tests.calendars import ny, nyse_2026
from tests.unit.deciding import FRIDAY, NIGHT

TABLE = tuple(nyse_2026().table)
KEY = RunKey("refresh_sessions", FRIDAY, "once", 1)


def row(session: Session) -> list[object]:
    return [
        session.day.isoformat(),
        *(f"{instant:%Y-%m-%dT%H:%M:%SZ}" for instant in (session.open, session.close)),
        *(None, None, session.is_early_close),
    ]


def reported(sessions: tuple[Session, ...], outcome: Outcome = Outcome.SUCCEEDED) -> TaskResult:
    report = {"sessions": {"XNYS": [row(s) for s in sessions]}, "source": "package 1.0"}
    return TaskResult(key=KEY, outcome=outcome, report=report)


def tables() -> SessionTables:
    return SessionTables({"XNYS": TABLE})


def test_a_table_that_agrees_with_the_past_is_proposed_whole() -> None:
    changes, refusal = proposals(reported(TABLE), tables(), NIGHT)

    assert refusal is None
    assert changes == [SessionsSaved(exchange="XNYS", sessions=TABLE, source="package 1.0", at=NIGHT)]


def test_what_the_broker_says_is_kept_beside_the_table() -> None:
    result = reported(TABLE)
    told = {"name": "alpaca", "sessions": {"XNYS": [row(s) for s in TABLE[200:]]}}
    result = replace(result, report={**result.report, "broker": told})

    changes, refusal = proposals(result, tables(), NIGHT)

    assert refusal is None
    assert [(c.exchange, c.source, len(c.sessions)) for c in changes if isinstance(c, SessionsSaved)] == [
        ("XNYS", "package 1.0", len(TABLE)),
        ("XNYS@alpaca", "alpaca", len(TABLE) - 200),
    ]


def test_a_brokers_calendar_that_cannot_be_right_is_refused_with_the_table() -> None:
    result = reported(TABLE)
    told = {"name": "alpaca", "sessions": {"XNYS": [row(TABLE[0]), row(TABLE[-1])]}}

    changes, refusal = proposals(replace(result, report={**result.report, "broker": told}), tables(), NIGHT)

    assert changes == []
    assert refusal is not None
    assert "the broker's calendar has no session between 2026-01-02 and 2026-12-31" in refusal


def test_a_day_that_the_broker_made_careful_does_not_spoil_the_next_table() -> None:
    """The table is compared with the old table, not with what came of it and the broker's."""
    theirs = tuple(replace(s, exchange="XNYS@alpaca") for s in TABLE if s.day.isoformat() != "2026-11-18")
    held = SessionTables({"XNYS": TABLE, "XNYS@alpaca": theirs}, broker="alpaca")

    assert held.calendars(NIGHT.date()).is_holiday(date(2026, 11, 18))
    assert proposals(reported(TABLE), held, NIGHT)[1] is None


def test_a_disagreement_is_over_when_its_day_is() -> None:
    theirs = tuple(s for s in TABLE if s.day.isoformat() not in ("2026-11-23", "2026-11-25"))
    held = SessionTables({"XNYS": TABLE, "XNYS@alpaca": theirs}, broker="alpaca")
    held.calendars(date(2026, 11, 20))

    left = [[line[:10] for line in held.disagreements(date(2026, 11, day))] for day in (20, 23, 24, 26)]

    assert left == [["2026-11-23", "2026-11-25"], ["2026-11-23", "2026-11-25"], ["2026-11-25"], []]


def test_a_table_that_changes_the_past_is_refused_and_the_old_one_kept() -> None:
    without = tuple(s for s in TABLE if s.day.isoformat() != "2026-11-18")

    changes, refusal = proposals(reported(without), tables(), NIGHT)

    assert changes == []
    assert refusal is not None
    assert refusal.startswith("the new session table was refused and the old one kept")


def test_a_failed_run_and_a_report_of_something_else_propose_nothing() -> None:
    assert proposals(reported(TABLE, Outcome.FAILED), tables(), NIGHT) == ([], None)
    assert proposals(TaskResult(key=KEY, report={"summary": "x"}), tables(), NIGHT) == ([], None)


def test_a_committed_table_takes_the_place_of_the_old_one() -> None:
    held = SessionTables()
    change = SessionsSaved(exchange="XNYS", sessions=TABLE, source="x", at=NIGHT)

    assert not held.take([])
    assert held.take([change])
    assert held.known("XNYS") == TABLE
    assert held.calendars(NIGHT.date()).horizon().isoformat() == "2026-12-31"


def test_without_a_stored_table_the_shipped_list_is_what_is_known_of_new_york() -> None:
    shipped = SessionTables()

    assert len(shipped.known("XNYS")) > 1000
    assert shipped.known("XTKS") == ()
    assert shipped.calendars(NIGHT.date()).stretch(NIGHT).prep_start == ny("2026-11-20T04:00")


def test_what_a_report_tells_is_bounded_and_never_trusted() -> None:
    def told(alerts: object) -> dict[str, str]:
        return alerts_told(TaskResult(key=KEY, report={"alerts": alerts}))

    assert told({"A-1": "expired", 7: 8}) == {"A-1": "expired", "7": "8"}
    assert told(["A-1"]) == told("A-1") == told(None) == {}
    assert len(told({str(n): "x" for n in range(1000)})) == 20
    ((name, text),) = told({"n" * 999: "t" * 999}).items()
    assert (len(name), len(text)) == (100, 500)
