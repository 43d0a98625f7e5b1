"""The page of the night: the plan held against what came, and every waiting task with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from observability.dashboard.lanes import PLANNER
from orchestration.changes import Change
from orchestration.ctl.beside import view_beside
from orchestration.runs import Outcome
from scripts import plan_window
from tests.calendars import ny
from tests.control_desk import FRIDAY_EVENING, HOLDER, FakeDaemon
from tests.dashboard_box import MINUTE, dashboard_box, ended, planned, running

NOW = FRIDAY_EVENING
TASKS = """
[[task]]
name = "weekly_report"
enabled = false
"""


def page(folder: Path, *changes: Change, at: datetime = NOW, tasks: str = "") -> str:
    """Return the page of a box whose daemon runs."""
    folder.mkdir(exist_ok=True)
    file = folder / "tasks.toml"
    file.write_text(tasks)
    environ = {"ORCHESTRATOR_TASKS": str(file), "ORCHESTRATOR_ASSUME_CLOCK_SYNCED": "true"}
    daemon = FakeDaemon(who=dict(HOLDER))
    with dashboard_box(folder, *changes, at=at, daemon=daemon, environ=environ) as box:
        answer = box.client().get("/tonight")
    assert answer.status_code == 200
    return str(answer.text)


def words(markup: str) -> str:
    """Return what is read on a page."""
    body = markup[markup.index("<main") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    """What plan_window writes down on a box without a history, half an hour into the weekend."""
    with dashboard_box(tmp_path_factory.mktemp("planned")) as box:
        view = view_beside(box.source.desk)
        return plan_window.report_of(plan_window.plan_of(box.source.desk, view), view)


def planned_as(plan: Mapping[str, object]) -> tuple[Change, ...]:
    return ended(planned(PLANNER, NOW), 0.1, report=plan)


def queue_row(markup: str, task: str) -> str:
    """Return a task's line of the queue, in words."""
    body = markup[markup.index('id="queue"') :]
    (row,) = (row for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL) if f'href="/task/{task}"' in row)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", row)).strip()


# --- the plan ---------------------------------------------------------------------------------------------


def test_planned_and_actual_runs_are_drawn_above_each_other(
    tmp_path: Path, plan: Mapping[str, object]
) -> None:
    came = ended(planned("run_weekend_research", NOW + MINUTE), 60, Outcome.FAILED)

    markup = page(tmp_path, *planned_as(plan), *came, at=NOW + timedelta(hours=3))

    assert 'role="img" aria-label="The weekend"' in markup
    lane = markup[markup.index(">run_weekend_research<title>") :]
    assert lane.index('<rect class="planned"') < lane.index('<rect class="fail"')
    assert "Planned Fri 18:30 EST, every run taking its usual time." in words(markup)
    # The same as a table: from 18:31 for an hour.
    assert "✗ Fri 18:31 to 19:31, 1 h, failed" in words(markup)


def test_what_is_done_and_what_is_to_come_of_the_plan_is_counted(
    tmp_path: Path, plan: Mapping[str, object]
) -> None:
    came = (
        *ended(planned("cleanup_logs", NOW + MINUTE), 0.2),
        *ended(planned("run_weekend_research", NOW + MINUTE), 60, Outcome.FAILED),
        *running(planned("verify_backups", NOW + 170 * MINUTE)),
    )

    shown = words(page(tmp_path, *planned_as(plan), *came, at=NOW + timedelta(hours=3)))

    # The planner itself and cleanup_logs are done.
    (done, of, runs, to_come, failed) = re.findall(
        r"Planned tasks done (\d+) of (\d+) (\d+) running, (\d+) to come, ✗ (\d+) failed", shown
    )[0]
    assert (done, runs, failed) == ("2", "1", "1")
    assert int(of) == 2 + 1 + 1 + int(to_come)


def test_without_a_plan_the_page_says_so_and_offers_to_make_one(tmp_path: Path) -> None:
    markup = page(tmp_path)

    assert "No plan is written down for this window." in words(markup)
    assert re.search(rf'action="/actions/run".*?name="task" value="{PLANNER}"', markup, re.DOTALL)
    assert "Nothing has run in it so far." in words(markup)


def test_by_day_the_coming_night_is_shown(tmp_path: Path) -> None:
    shown = words(page(tmp_path, at=ny("2026-11-20T12:00")))

    assert "the weekend before Mon 08:00 EST" in shown
    assert "Begins in 6 h" in shown
    assert "it is made when the window begins, in 6 h." in shown


def test_the_plan_of_another_window_is_not_this_one_s(tmp_path: Path, plan: Mapping[str, object]) -> None:
    old = {**plan, "research_end": "2026-11-20T13:00:00Z"}

    markup = page(tmp_path, *planned_as(old))

    assert "No plan is written down for this window." in words(markup)


def test_the_past_night_s_runs_are_not_in_this_one(tmp_path: Path) -> None:
    yesterday = ended(planned("daily_report", NOW - timedelta(hours=30), cycle="2026-11-20"), 1)

    assert "<svg" not in page(tmp_path, *yesterday)


# --- the queue --------------------------------------------------------------------------------------------


def test_every_waiting_task_has_its_reason_in_a_sentence_and_when_it_will_be_ready(tmp_path: Path) -> None:
    row = queue_row(page(tmp_path), "execute_orders")

    # Trading begins again on Monday at 09:30 in New York.
    assert "· waiting It runs in trading; the mode is research, until Mon 09:30 EST" in row
    assert "Mon 09:30 EST (in 2 d 15 h)" in row
    assert "and 3 more" in row
    assert "Run now" in row


def test_what_runs_comes_first_and_is_not_run_again(tmp_path: Path) -> None:
    markup = page(tmp_path, *running(planned("verify_backups", NOW - MINUTE)))

    body = markup[markup.index('id="queue"') :]
    assert re.findall(r'href="/task/(\w+)"', body)[0] == "verify_backups"
    assert "▶ running" in queue_row(markup, "verify_backups")
    assert "Run now" not in queue_row(markup, "verify_backups")


def test_a_task_that_waits_for_an_event_is_ready_as_soon_as_that_is_over(tmp_path: Path) -> None:
    row = queue_row(page(tmp_path), "verify_backups")

    assert "It waits for backup_databases" in row
    assert "as soon as that is over" in row


@pytest.mark.parametrize(
    ("minutes", "until"),
    # Ends are predicted at twice the usual length; PREP, on Monday at 02:00, ends research before that.
    [(30, "Fri 19:30 EST"), (60 * 60, "Mon 02:00 EST")],
)
def test_a_conflict_with_research_lasts_until_prep_at_most(
    tmp_path: Path, minutes: float, until: str
) -> None:
    row = queue_row(
        page(tmp_path, *running(planned("run_weekend_research", NOW, minutes=minutes))), "optimize_parameters"
    )

    assert f"Not beside what is running: run_weekend_research, expected until {until}" in row


def test_disabled_tasks_are_folded_away(tmp_path: Path) -> None:
    markup = page(tmp_path, tasks=TASKS)

    folded = markup[markup.rindex("<details>") :]
    assert re.search(r"<summary>\d+ disabled</summary>", folded)
    assert 'href="/task/weekly_report"' in folded
    assert 'href="/task/weekly_report"' not in markup[: markup.rindex("<details>")]


def test_every_cell_says_on_a_phone_what_it_is(tmp_path: Path) -> None:
    body = page(tmp_path)
    row = next(row for row in re.findall(r"<tr>.*?</tr>", body[body.index('id="queue"') :], re.DOTALL)[1:])

    labels = re.findall(r'data-label="([^"]*)"', row)
    assert labels == ["State", "Why", "Ready", "Takes", "Memory"]
