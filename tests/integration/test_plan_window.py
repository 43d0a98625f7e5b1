"""The job plan_window on a database that the daemon's own store wrote."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.changes import Change
from orchestration.clock import VirtualClock
from orchestration.ctl.beside import view_beside
from orchestration.run_files import RESULT_LIMIT_BYTES
from scripts import plan_window
from tests.control_desk import FRIDAY_EVENING
from tests.dashboard_box import dashboard_box, planned, running

WEEKEND_END = "2026-11-23T13:00:00Z"
"""08:00 in New York on Monday."""


def report(folder: Path, *changes: Change, at: datetime = FRIDAY_EVENING) -> dict[str, Any]:
    """Return what the job reports on a box that stays as it is."""
    with dashboard_box(folder, *changes, at=at) as box:
        view = view_beside(box.source.desk)
        return plan_window.report_of(plan_window.plan_of(box.source.desk, view), view)


@pytest.fixture(scope="module")
def weekend(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the job reports of a weekend, half an hour into it, on a box without a history."""
    return report(tmp_path_factory.mktemp("weekend"))


def rows_of(found: dict[str, Any], task: str) -> list[dict[str, Any]]:
    return [row for row in found["runs"] if row["task"] == task]


def run(folder: Path, at: datetime = FRIDAY_EVENING) -> int:
    return plan_window.main(["--state-dir", str(folder)], clock=VirtualClock(at))


def test_a_weekend_is_planned_to_its_end(weekend: dict[str, Any]) -> None:
    assert (weekend["window"], weekend["research_end"]) == ("2026-11-23/WEEKEND", WEEKEND_END)
    assert weekend["made_at"] == "2026-11-20T23:30:00Z"
    # 36 h in one piece, as its spec says: nothing is learned yet.
    (research,) = rows_of(weekend, "run_weekend_research")
    assert research["kind"] == "research"
    assert research["minutes"] == pytest.approx(36 * 60)


def test_what_recurs_is_one_row_with_its_count(weekend: dict[str, Any]) -> None:
    (checks,) = rows_of(weekend, "health_check")
    # Every 15 minutes from Friday 18:30 to Monday 07:45 in New York: 61.25 h x 4 + 1; and one at once, as
    # it has never succeeded on this box.
    assert checks["count"] == 246 + 1
    assert checks["start"].startswith("2026-11-20T23:30")
    assert checks["end"].startswith("2026-11-23T12:45")


def test_a_long_weekend_s_plan_is_a_small_part_of_what_a_result_may_hold(tmp_path: Path) -> None:
    # Thursday evening before Good Friday 2026: 80 h and more.
    found = report(tmp_path, at=datetime(2026, 4, 2, 22, 0, tzinfo=UTC))

    assert found["window"].startswith("2026-04-06/")
    assert len(json.dumps(found)) < RESULT_LIMIT_BYTES / 20


def test_what_runs_already_is_in_the_plan(tmp_path: Path) -> None:
    begun = planned("backup_databases", FRIDAY_EVENING - timedelta(minutes=1))

    backup = rows_of(report(tmp_path, *running(begun)), "backup_databases")[0]

    assert backup["kind"] == "running"
    assert backup["start"] == "2026-11-20T23:29:00Z"


def test_the_modes_of_the_window_are_told(weekend: dict[str, Any]) -> None:
    spans = weekend["spans"]

    # PREP begins six hours before Monday 08:00 in New York.
    assert [(span["mode"], span["end"][:16]) for span in spans] == [
        ("research", "2026-11-23T07:00"),
        ("prep", "2026-11-23T13:00"),
    ]


def test_the_job_leaves_its_plan_in_the_result_file(
    tmp_path: Path, result_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("USE_UNIFIED_SCHEDULER", "true")
    with dashboard_box(tmp_path):
        assert run(tmp_path) == 0

    found = json.loads(result_file.read_text())
    assert found["cycle"] == "2026-11-23"
    assert found["runs"]
    assert f"runs planned until {WEEKEND_END}" in capsys.readouterr().out


def test_without_a_known_window_nothing_is_planned(tmp_path: Path, result_file: Path) -> None:
    with dashboard_box(tmp_path):
        assert run(tmp_path, datetime(2045, 6, 1, tzinfo=UTC)) == 0

    assert json.loads(result_file.read_text()) == {"remark": "no window is known"}


def test_a_box_without_a_state_is_told_so(
    tmp_path: Path, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 1
    assert "no daemon has run" in capsys.readouterr().err
