"""The refresh job as a process of its own, and the tables compiled for the control command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from orchestration.calendar_source import accept, load_shipped, sessions_from_report
from orchestration.ctl.calendar_commands import calendars_for, when_answer
from orchestration.errors import CalendarError
from orchestration.market_calendar import Calendars
from orchestration.sessions import Override
from scripts import refresh_sessions
from tests.calendars import calendars_2026, ny

ROOT = Path(__file__).parents[2]
TODAY = "2026-11-20"


def test_the_job_writes_a_report_that_is_accepted(tmp_path: Path) -> None:
    result = tmp_path / "result.json"

    done = subprocess.run(
        [
            sys.executable,
            "scripts/refresh_sessions.py",
            "--exchange",
            "NYSE",
            "--exchange",
            "JPX",
            "--today",
            TODAY,
        ],
        cwd=ROOT,
        env={**os.environ, "ORCHESTRATOR_RESULT": str(result)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(result.read_text())
    assert report["source"].startswith("pandas_market_calendars ")
    assert ["2026-11-27", "2026-11-27T14:30:00Z", "2026-11-27T18:00:00Z", None, None, True] in report[
        "sessions"
    ]["XNYS"]
    tables = sessions_from_report(report)
    for sessions in tables.values():
        accept(sessions, (), date.fromisoformat(TODAY))
    accept(tables["XNYS"], load_shipped(), date.fromisoformat(TODAY))
    assert tables["XNYS"][0].day >= date(2025, 10, 16)  # 400 days before
    assert tables["XNYS"][-1].day == date(2029, 1, 26)  # 800 days ahead is a Sunday
    assert {s.break_start is not None for s in tables["XTKS"]} == {True}
    assert list(tmp_path.iterdir()) == [result]


def test_without_a_result_file_the_job_prints_a_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ORCHESTRATOR_RESULT", raising=False)

    assert refresh_sessions.main(["--today", TODAY]) == 0

    out = capsys.readouterr().out
    assert "XNYS: 8" in out
    assert "early closes" in out
    assert "source: pandas_market_calendars" in out


def test_the_job_counts_from_today_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(result))

    assert refresh_sessions.main([]) == 0

    days = [date.fromisoformat(row[0]) for row in json.loads(result.read_text())["sessions"]["XNYS"]]
    assert days[0] < datetime.now(UTC).date() < days[-1]


@pytest.mark.parametrize("name", ["FOO", "24/7"])
def test_an_exchange_that_cannot_be_stored_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refresh_sessions.main(["--exchange", name]) == 2

    assert f"exchange '{name}'" in capsys.readouterr().err


def test_the_control_command_compiles_an_exchange_it_lacks() -> None:
    day = date(2026, 11, 20)

    calendars = calendars_for("LSE", day, day, calendars_2026())

    assert when_answer(calendars, "open..close", day, "XLON")["intervals"] == [
        {"start": "2026-11-20T08:00:00Z", "end": "2026-11-20T16:30:00Z"}
    ]
    assert when_answer(calendars, "open..close", date(2026, 12, 25), "XLON")["intervals"] == []
    with pytest.raises(CalendarError, match="knows no exchange 'FOO'"):
        calendars_for("FOO", day, day, calendars)


def test_compiled_days_never_replace_the_operators_word() -> None:
    stored = calendars_2026().with_overrides([Override(day=date(2026, 11, 19), is_closed=True)])

    calendars = calendars_for("XNYS", date(2028, 7, 3), date(2028, 7, 3), stored)

    assert calendars.is_early_close(date(2028, 7, 3))
    assert calendars.is_holiday(date(2026, 11, 19))
    assert calendars.stretch(ny("2027-01-04T10:00")).is_known


def test_around_the_clock_needs_no_compilation() -> None:
    calendars = Calendars({})

    assert when_answer(calendars, "open..close", date(2026, 12, 25), "24/7")["intervals"] == [
        {"start": "2026-12-25T00:00:00Z", "end": "2026-12-26T00:00:00Z"}
    ]
