"""History, tasks and runs as pages over a database that the store wrote."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from functools import lru_cache
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, event

from observability.dashboard import past
from observability.redact import HIDDEN
from observability.secret_values import known_secrets
from orchestration.changes import BlockedSaved, Change, RecordSaved
from orchestration.decisions import Blocked, Gate, Reason
from orchestration.runs import Outcome, TaskRecord
from orchestration.state import summaries
from tests.calendars import ny
from tests.control_desk import FRIDAY_EVENING
from tests.dashboard_box import DashboardBox, TestClient, dashboard_box, ended, planned, running

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NIGHT = ny("2026-11-19T18:00")
"""The window before Friday: research from 18:00 to 04:00, ten hours."""
CYCLE = "2026-11-20"
RESEARCH = "run_nightly_research"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DashboardBox]:
    with dashboard_box(tmp_path) as made:
        yield made


@lru_cache(maxsize=1)
def browser_of(box: DashboardBox) -> TestClient:
    """One for all pages of a test: each of them reads the templates anew."""
    return box.client()


def known_since(at: datetime) -> tuple[Change, ...]:
    """A run with which the box's record begins."""
    return ended(planned("health_check", at, slot="first"), 1)


def get(box: DashboardBox, path: str, *changes: Change, code: int = 200) -> str:
    """The words of a page, as one line, after the daemon has written `changes`."""
    box.store.commit(changes)
    box.clock.advance(timedelta(seconds=1))  # a view is kept for half a second
    answer = browser_of(box).get(path, headers={"HX-Request": "1"})
    assert answer.status_code == code, answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def blocked(task: str, at: datetime, reason: Reason | None, detail: str = "") -> BlockedSaved:
    gates = () if reason is None else (Gate(reason, False, detail),)
    return BlockedSaved(task=task, at=at, blocked=Blocked(task, gates) if gates else None)


# --- History ----------------------------------------------------------------------------------------------


def test_an_empty_box_has_an_empty_history(box: DashboardBox) -> None:
    text = get(box, "/history")

    assert "Overnight window before Fri 2026-11-20" in text
    for words in (
        "Nothing was planned and nothing ran.",
        "Nothing failed.",
        "No run with an estimate has succeeded yet.",
        "Nothing has run yet.",
    ):
        assert words in text


def test_two_research_runs_at_once_use_an_hour_once(box: DashboardBox) -> None:
    # 20:00 to 23:00 and 22:00 to 00:00 are four hours of ten; what fails is under way as well. A run of no
    # research, and research outside the window's research hours, count for nothing.
    changes = [
        *known_since(NIGHT - 30 * DAY),
        *ended(planned(RESEARCH, NIGHT + 2 * HOUR, cycle=CYCLE), 180),
        *ended(planned("optimize_parameters", NIGHT + 4 * HOUR, cycle=CYCLE), 120, Outcome.FAILED),
        *ended(planned("refresh_history", NIGHT + 8 * HOUR, cycle=CYCLE), 60),
        *ended(planned("validate_candidates", NIGHT + 10 * HOUR, cycle=CYCLE), 60),
    ]

    text = get(box, "/history", *changes)

    assert "40 % 4.0 of 10.0 h" in text
    # Of the last ten windows eight are nights.
    assert "4.0 of 80.0" in text
    assert "record begins" not in text


def test_a_window_from_before_the_box_counts_for_nothing_and_the_page_says_since_when(
    box: DashboardBox,
) -> None:
    # The record begins on Wednesday at 20:00, two hours into a window; Thursday's is the first whole one. It
    # had four hours of ten; the weekend's has had none of its half hour.
    changes = [
        *known_since(NIGHT - DAY + 2 * HOUR),
        *ended(planned(RESEARCH, NIGHT + 2 * HOUR, cycle=CYCLE), 240),
    ]

    text = get(box, "/history?day=2026-11-19", *changes)
    windows = past.windows_before(box.source, FRIDAY_EVENING, 10)

    assert [str(window.cycle) for window in windows] == ["2026-11-23", "2026-11-20"]
    begins = "The box's record begins Wed 2026-11-18 20:00 EST"
    assert f"{begins}; windows that began before it are left out." in text
    assert "overnight 1 40 % 40 % 4.0 of 10.0" in text
    # Of the window in which it begins the half that is known is no share of it.
    assert f"{begins}; what ran before that is not known." in text
    assert "of 10.0 h" not in text
    assert "what ran before that" not in get(box, f"/history?day={CYCLE}")


def test_a_box_set_up_in_its_first_window_has_none_yet(box: DashboardBox) -> None:
    text = get(box, "/history", *known_since(FRIDAY_EVENING - 10 * MINUTE))

    assert "The calendar knows no research window that has begun since." in text


def test_research_of_a_week_or_begun_in_a_window_and_going_on_counts(box: DashboardBox) -> None:
    # The weekend's window began at 18:00, half an hour ago. A weekly task has its week for its cycle.
    box.store.commit(known_since(NIGHT))
    box.store.commit(running(planned("train_models", NIGHT + 24 * HOUR + 10 * MINUTE, cycle="2026-W48")))
    windows = past.windows_before(box.source, FRIDAY_EVENING, 2)

    now, before = past.use_of(box.source, windows)

    assert (now.window.kind, now.use.hours) == ("weekend", 0.5)
    assert now.use.used == pytest.approx(1 / 3)
    assert (before.window.kind, before.use.used) == ("overnight", 0.0)


def test_a_window_long_over_is_worked_out_once_whatever_is_written(box: DashboardBox) -> None:
    box.store.commit(known_since(NIGHT - 30 * DAY))
    windows = past.windows_before(box.source, FRIDAY_EVENING, 3)
    asked = asked_of(box.source.engine)
    past.use_of(box.source, windows)
    first = len(asked)

    box.store.commit(ended(planned("health_check", FRIDAY_EVENING), 1))
    past.use_of(box.source, windows)

    # Friday's window ended at 04:00 today, the weekend's goes on; Thursday's is over for more than a day.
    assert (first, len(asked) - first) == (3, 2)


def asked_of(engine: Engine) -> list[str]:
    """Collect the statements that are sent from now on."""
    found: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return found


def test_what_held_a_task_back_is_added_up_by_reason(box: DashboardBox) -> None:
    at, ten = NIGHT + HOUR, 10 * MINUTE
    conflict = (Reason.CONFLICT, "running: refresh_history")
    changes = [
        # It held before the window began: from then on it counts.
        blocked("train_models", NIGHT - HOUR, *conflict),
        blocked("train_models", NIGHT + 20 * MINUTE, Reason.MEMORY, "free MB"),
        blocked("train_models", NIGHT + 25 * MINUTE, None),
        blocked("train_models", at, *conflict),
        blocked("train_models", at + ten, Reason.WRONG_MODE, "the everyday doing of the calendar"),
        blocked("daily_report", at, Reason.DEPENDENCY, "waits for refresh_eod_data"),
        # It holds to the window's end: 08:00, thirteen hours later.
        blocked("data_quality", at, Reason.NO_NETWORK, "the network is down"),
    ]
    box.store.commit(changes)

    found, _ = past.waits(box.source, NIGHT, NIGHT + 14 * HOUR)

    assert [(each.task, each.reason, each.total, each.times) for each in found] == [
        ("daily_report", "DEPENDENCY", 13 * HOUR, 1),
        ("data_quality", "NO_NETWORK", 13 * HOUR, 1),
        ("train_models", "CONFLICT", 30 * MINUTE, 2),
        ("train_models", "MEMORY", 5 * MINUTE, 1),
    ]
    assert "Not beside what is running: refresh_history 30 min 2" in get(box, "/history")


def test_what_only_differs_by_its_numbers_is_one_thing(box: DashboardBox) -> None:
    def short(at: datetime, needed: float) -> BlockedSaved:
        gate = Gate(Reason.MEMORY, False, "MB of memory, 1024 kept for trading duties", needed, 80.5)
        return BlockedSaved(task="train_models", at=at, blocked=Blocked("train_models", (gate,)))

    def late(at: datetime, text: str) -> BlockedSaved:
        return blocked("daily_report", at, Reason.DEADLINE_PASSED, text)

    text = get(
        box,
        "/history",
        short(NIGHT, 900.0),
        short(NIGHT + 10 * MINUTE, 1422.0),
        blocked("train_models", NIGHT + 30 * MINUTE, None),
        late(NIGHT, "the latest start was 2026-11-19T22:59:28Z, as it takes 32s"),
        blocked("daily_report", NIGHT + MINUTE, None),
        late(NIGHT + HOUR, "the latest start was 2026-11-19T23:59:28Z, as it takes 32s"),
        blocked("daily_report", NIGHT + HOUR + MINUTE, None),
    )

    assert "train_models Too little memory 30 min 2" in text
    assert "daily_report Its deadline had passed 2 min 2" in text


def test_a_slot_that_was_never_started_for_its_deadline_went_wrong(box: DashboardBox) -> None:
    def skipped(task: str, at: datetime, *gates: Gate) -> BlockedSaved:
        return BlockedSaved(task=task, at=at, blocked=Blocked(task, gates), slot="once")

    start = "2026-11-20T00:59:28Z"
    late = Gate(Reason.DEADLINE_PASSED, False, f"the latest start was {start}, as it takes 32s")
    failed = Gate(Reason.DEPENDENCY_FAILED, False, "failed in this cycle: data_quality")
    hour = Gate(Reason.NOT_DUE, False, "at 20:00")
    changes = [
        *ended(planned("refresh_data", NIGHT + HOUR, cycle=CYCLE), 2, Outcome.FAILED, detail="exit code 3"),
        skipped("daily_report", NIGHT + 2 * HOUR, late, failed),
        # What was not its hour did not hold it back.
        skipped("data_quality", NIGHT + 3 * HOUR, late, hour),
        # Everyday: the window was over before it had its turn, the box was off at its minute.
        skipped(
            "train_models", NIGHT + 3 * HOUR, Gate(Reason.WONT_FIT, False, "minutes until PREP", 15, 0.2)
        ),
        skipped("health_check", NIGHT + 3 * HOUR, Gate(Reason.NOT_DUE, False, "missed")),
        # Before the window that is shown.
        skipped("plan_window", NIGHT - MINUTE, late),
    ]

    text = get(box, "/history", *changes)

    told = "Too late, the latest start was Thu 19:59 EST, as it takes 32s"
    cause = "what it depends on failed in this cycle: data_quality"
    # The newest first.
    assert (
        f"Why data_quality Thu 21:00 EST ✗ not started {told} "
        f"daily_report Thu 20:00 EST ✗ not started {told}. Until then: {cause} "
        "refresh_data Thu 19:00 EST ✗ failed exit code 3 Blocked by what"
    ) in text
    assert "Failed 1 0 stopped or lost, 2 not started" in text


def test_skipped_slots_of_a_stretch_come_newest_first_and_none_of_before_it(box: DashboardBox) -> None:
    late = Gate(Reason.DEADLINE_PASSED, False, "late")
    box.store.commit(
        [
            BlockedSaved(task=task, at=NIGHT + n * MINUTE, blocked=Blocked(task, (late,)), slot=f"{n}")
            for n, task in enumerate(("a", "b", "a", "b", "a"))
        ]
    )

    held, skipped = past.waits(box.source, NIGHT + MINUTE, NIGHT + 4 * MINUTE, {Reason.DEADLINE_PASSED})

    assert held == []
    assert [(row.task, row.slot) for row in skipped] == [("b", "3"), ("a", "2"), ("b", "1")]


def test_a_reason_that_still_holds_is_counted_until_now_only(box: DashboardBox) -> None:
    box.store.commit([blocked("train_models", FRIDAY_EVENING - 5 * MINUTE, Reason.MEMORY, "free MB")])

    (found,), _ = past.waits(box.source, FRIDAY_EVENING - HOUR, FRIDAY_EVENING + 60 * HOUR)

    assert found.total == 5 * MINUTE


def test_a_skipped_slot_does_not_end_the_reason_that_holds(box: DashboardBox) -> None:
    skipped = blocked("train_models", NIGHT + 10 * MINUTE, Reason.MEMORY, "free MB")
    box.store.commit(
        [
            blocked("train_models", NIGHT, Reason.MEMORY, "free MB"),
            BlockedSaved(task="train_models", at=skipped.at, blocked=skipped.blocked, slot="s"),
            blocked("train_models", NIGHT + HOUR, None),
        ]
    )

    (found,), _ = past.waits(box.source, NIGHT, NIGHT + 14 * HOUR)

    assert (found.total, found.times) == (HOUR, 1)


def test_what_went_wrong_is_told_with_its_reason(box: DashboardBox) -> None:
    run = planned("refresh_data", NIGHT + HOUR, cycle=CYCLE)

    text = get(box, "/history", *ended(run, 2, Outcome.FAILED, detail="exit code 3: <no> route"))

    assert "refresh_data Thu 19:00 EST ✗ failed exit code 3: <no> route" in text
    assert "Failed 1 0 stopped or lost" in text


def test_what_was_planned_is_shown_beside_what_happened(box: DashboardBox) -> None:
    row = {
        "task": RESEARCH,
        "start": "2026-11-20T00:00:00Z",
        "end": "2026-11-20T02:00:00Z",
        "minutes": 120.0,
        "kind": "research",
        "ends": "done",
        "count": 1,
    }
    report = {
        "window": "2026-11-20/OVERNIGHT",
        "research_start": "2026-11-19T23:00:00Z",
        "research_end": "2026-11-20T13:00:00Z",
        "made_at": "2026-11-19T23:00:05Z",
        "runs": [row],
    }
    box.store.commit(ended(planned("plan_window", NIGHT, cycle=CYCLE), 0.1, report=report))

    text = get(box, f"/history?day={CYCLE}", *ended(planned(RESEARCH, NIGHT + HOUR, cycle=CYCLE), 90))

    assert "Thu 19:00 to 21:00, 2 h" in text
    assert "Thu 19:00 to 20:30, 1 h 30 min, succeeded" in text


def test_estimates_are_held_against_what_came_task_by_task(box: DashboardBox) -> None:
    # Estimated 5 min, nine in ten within 10: 4, 5 and 20 min. A failure says nothing of it.
    changes = [
        change
        for number, minutes in enumerate((4, 5, 20))
        for change in ended(planned("daily_report", NIGHT + number * HOUR, slot=f"{number}"), minutes)
    ]
    changes += ended(planned("daily_report", NIGHT + 9 * HOUR, slot="9"), 1, Outcome.FAILED)

    text = get(box, "/history", *changes)

    assert "Estimated against actual duration" in text
    # The root of (5/4) * (5/5) * (20/5) = 5 is 1.71.
    assert "daily_report 3 5 min 5 min × 1.7 ✗ 67 %" in text


@pytest.mark.parametrize("query", ["day=yesterday", "part=night", "windows=7", "day=2026-11-20&windows=x"])
def test_what_cannot_be_chosen_is_told_so(box: DashboardBox, query: str) -> None:
    assert "expected" in get(box, f"/history?{query}", code=404)


def test_a_day_beyond_the_calendar_is_shown_empty(box: DashboardBox) -> None:
    assert "Closed hours before" in get(box, "/history?day=2050-01-03")


# --- Tasks ------------------------------------------------------------------------------------------------


def test_a_task_is_shown_before_it_has_ever_run(box: DashboardBox) -> None:
    text = get(box, "/task/daily_report")

    assert "It has never run." in text
    assert "Waits for dependencies" in text
    assert "No reason is recorded." in text


def test_a_name_that_is_nearly_right_is_told_the_right_one(box: DashboardBox) -> None:
    assert "No task is called 'daily_reprot'. Did you mean 'daily_report'?" in get(
        box, "/task/daily_reprot", code=404
    )


def test_a_task_that_is_gone_still_shows_its_runs(box: DashboardBox) -> None:
    text = get(box, "/task/old_job", *ended(planned("old_job", NIGHT), 3))

    assert "It is no longer among the tasks" in text
    assert "✓ succeeded 3 min 5 min 80 MB" in text


def test_runs_that_were_lost_have_neither_duration_nor_memory(box: DashboardBox) -> None:
    lost = ended(planned("old_job", NIGHT), 3, Outcome.INTERRUPTED, peak_mb=None)
    with closing(sqlite3.connect(box.folder / "performance.db")) as connection:
        box.store.commit(lost)
        connection.execute("UPDATE task_runs SET duration_s = NULL, predicted_minutes = NULL")
        connection.execute("UPDATE task_runs SET predicted_end = NULL, started_at = NULL, outcome = 'new'")
        connection.commit()

    # An outcome of a newer version is shown as it is written.
    assert "✗ new - - -" in get(box, "/task/old_job")
    assert "Failed 1" in get(box, "/history")


def test_runs_are_shown_page_by_page(box: DashboardBox) -> None:
    changes = [c for n in range(60) for c in ended(planned("old_job", NIGHT + n * MINUTE, slot=f"{n}"), 0.5)]

    assert "1 to 25 of 60 runs" in get(box, "/task/old_job", *changes)
    last = get(box, "/task/old_job?page=3")
    assert "51 to 60 of 60 runs" in last
    assert "Thu 18:00 EST" in last
    assert "there is no page" in get(box, "/task/old_job?page=4", code=404)


def test_recorded_reasons_come_newest_first(box: DashboardBox) -> None:
    text = get(
        box,
        "/task/daily_report",
        blocked("daily_report", NIGHT, Reason.DEPENDENCY, "waits for refresh_eod_data"),
        blocked("daily_report", NIGHT + HOUR, None),
    )

    assert "Thu 19:00 EST it no longer waited Thu 18:00 EST It waits for refresh_eod_data" in text


def test_the_list_has_every_task_with_the_reason_why_it_waits(box: DashboardBox) -> None:
    text = get(box, "/tasks")

    missing = [name for name in box.source.specs if name not in text]
    assert missing == []
    assert "It runs in trading; the mode is research" in text


# --- a run and its log ------------------------------------------------------------------------------------


def with_log(box: DashboardBox, text: str, name: str = "job.log") -> str:
    path = box.logs / "runs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_a_run_is_shown_with_its_report_and_the_end_of_its_log(box: DashboardBox) -> None:
    change = planned("old_job", NIGHT, log=with_log(box, "first\nlast\n"))

    text = get(
        box,
        f"/run/{quote(change.run.run_id)}",
        *ended(change, 3, Outcome.FAILED, detail="exit code 1", report={"rows": 7, "api_key": "abc"}),
    )

    assert "✗ failed" in text
    assert "Outcome failed: exit code 1" in text
    assert f"rows 7 api_key {HIDDEN}" in text
    assert "first last" in text


def test_a_run_that_nobody_knows_is_not_there(box: DashboardBox) -> None:
    assert "No run is called 'x.y'" in get(box, "/run/x.y", code=404)
    assert "No run is called 'x.y'" in get(box, "/run/x.y/log", code=404)


def test_a_log_is_followed_from_the_page_on_while_the_run_goes_on(box: DashboardBox) -> None:
    change = planned("old_job", NIGHT, log=(path := with_log(box, "first\n")))
    box.store.commit(running(change))
    address, browser = f"/run/{change.run.run_id}/log", box.client()

    first = browser.get(address)
    with open(path, "a") as log:
        log.write("second\nthi")
    second = browser.get(address, params={"after": first.headers["X-Log-End"]})
    box.store.commit(ended(change, 3)[2:])
    third = browser.get(address, params={"after": second.headers["X-Log-End"]})

    assert [part.text for part in (first, second, third)] == ["first\n", "second\n", "thi"]
    assert [part.headers["X-Log-State"] for part in (first, second, third)] == ["open", "open", "over"]
    assert first.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert first.headers["X-Content-Type-Options"] == "nosniff"


def test_a_log_outside_the_folder_of_logs_is_refused_whatever_the_database_says(box: DashboardBox) -> None:
    secret = box.folder / "secret"
    secret.write_text("not for you")
    change = planned("old_job", NIGHT, log=str(secret))

    text = get(box, f"/run/{change.run.run_id}", *ended(change, 3))

    assert "does not lie in the folder of logs" in text
    answer = box.client().get(f"/run/{change.run.run_id}/log")
    assert (answer.status_code, "not for you" in answer.text) == (404, False)


def test_a_place_that_was_made_up_is_a_bad_request(box: DashboardBox) -> None:
    change = planned("old_job", NIGHT, log=with_log(box, "first\n"))
    box.store.commit(ended(change, 3))

    answer = box.client().get(f"/run/{change.run.run_id}/log?after=../../etc/passwd")

    assert answer.status_code == 400


def test_markup_in_a_log_or_a_report_stays_text(box: DashboardBox) -> None:
    change = planned("old_job", NIGHT, log=with_log(box, "<script>alert(1)</script>\n"))
    box.store.commit(ended(change, 3, report={"<b>": "<img src=x>"}))

    answer = box.client().get(f"/run/{change.run.run_id}")

    assert "<script>alert" not in answer.text
    assert "<img" not in answer.text


def test_secret_settings_and_credentials_are_known(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "broker").write_text("the-broker-key\n")
    environ = {
        "ORCHESTRATOR_CREDENTIALS_DIR": str(tmp_path / "credentials"),
        "ORCHESTRATOR_ALERT_URLS": "ntfy://one-address mailto://another-one",
    }
    with dashboard_box(tmp_path / "box", environ=environ) as box:
        found = known_secrets(box.source.desk.settings)

    assert {"the-broker-key", "ntfy://one-address", "mailto://another-one"} <= set(found)


# --- how it is read ---------------------------------------------------------------------------------------


def test_no_page_reads_a_whole_table(box: DashboardBox) -> None:
    """Half a million runs: what is not found by an index takes seconds on a card."""
    run = planned("daily_report", NIGHT, log=with_log(box, "x\n"))
    box.store.commit([*ended(run, 1), blocked("daily_report", NIGHT, Reason.MEMORY)])
    asked = asked_of(box.source.engine)

    for path in ("/history", "/history?part=day", "/task/daily_report", f"/run/{run.run.run_id}", "/tasks"):
        get(box, path)

    with closing(sqlite3.connect(box.folder / "performance.db")) as connection:
        plans = {sql: plan_of(connection, sql) for sql in asked if "task_runs" in sql or "decisions" in sql}
    assert len(plans) > 8
    whole = [(sql, line) for sql, plan in plans.items() for line in plan if is_whole(line)]
    assert whole == []


def plan_of(connection: sqlite3.Connection, sql: str) -> list[str]:
    values = [None] * sql.count("?")
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def is_whole(line: str) -> bool:
    """A scan of a large table; that of the index of open runs is of a few rows."""
    return bool(re.match(r"SCAN (task_runs|decisions)", line)) and "ix_task_runs_open" not in line


def test_tasks_on_record_are_found_one_by_one(box: DashboardBox) -> None:
    changes = [c for name in "bca" for c in ended(planned(f"job_{name}", NIGHT), 1)]
    box.store.commit(changes)

    assert summaries.tasks_recorded(box.source.engine) == ["job_a", "job_b", "job_c"]


def test_a_run_that_began_before_a_stretch_is_in_it(box: DashboardBox) -> None:
    box.store.commit(
        [
            *ended(planned("old_job", NIGHT - HOUR, slot="1"), 90),
            *ended(planned("old_job", NIGHT - HOUR, slot="2"), 30),
            *running(planned("old_job", NIGHT + HOUR, slot="3")),
        ]
    )

    found = summaries.busy_between(box.source.engine, NIGHT, NIGHT + 2 * HOUR, 100)

    assert [(span.start, span.end, span.runs) for span in found] == [
        (NIGHT - HOUR, NIGHT + 30 * MINUTE, 1),
        (NIGHT + HOUR, None, 1),
    ]


def test_of_many_runs_neighbours_that_ended_alike_are_one_span(box: DashboardBox) -> None:
    changes: list[Change] = []
    for number in range(120):
        outcome = Outcome.FAILED if number == 60 else Outcome.SUCCEEDED
        changes += ended(planned("old_job", NIGHT + number * MINUTE, slot=f"{number}"), 0.5, outcome)
    box.store.commit(changes)

    found = summaries.busy_between(box.source.engine, NIGHT, NIGHT + 10 * HOUR, 10)

    assert sorted((span.outcome, span.runs) for span in found) == [("failed", 1), ("succeeded", 119)]
    assert sum(span.runs for span in found) == 120


def test_a_database_of_the_first_version_is_read(box: DashboardBox) -> None:
    box.store.commit(ended(planned("old_job", NIGHT), 3))
    with closing(sqlite3.connect(box.folder / "performance.db")) as connection:
        connection.execute("ALTER TABLE alerts DROP COLUMN acknowledged_at")

    assert "Thu 18:00 to 18:03" in get(box, "/history")
    assert "3 min" in get(box, "/run/old_job.2026-11-23.once.1")


def test_a_box_without_a_database_says_so(tmp_path: Path) -> None:
    with dashboard_box(tmp_path / "other") as box:
        for name in ("performance.db", "performance.db-wal", "performance.db-shm"):
            (box.folder / name).unlink(missing_ok=True)
        for path in ("/history", "/tasks", "/task/daily_report", "/run/x"):
            assert "no daemon has run" in get(box, path, code=503)


def test_a_run_from_before_the_clock_was_set_back_is_said_to_be_that(box: DashboardBox) -> None:
    """Its start lies six days ahead of the clock."""
    ahead = FRIDAY_EVENING + timedelta(days=6)
    begun = planned("daily_report", ahead)
    over = TaskRecord(last_started_at=ahead, last_outcome=Outcome.SUCCEEDED)

    run = get(box, f"/run/{begun.run.run_id}", *running(begun), RecordSaved(task="data_quality", record=over))

    assert "Running for began before the clock was set back" in run
    assert "-6 d" not in run
    assert "Last run before the clock was set back, succeeded" in get(box, "/task/data_quality")
    assert "in 6 d" not in get(box, "/task/data_quality")
