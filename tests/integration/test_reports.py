"""The daily and weekly report from a real database, and on a box that has none yet."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from config import Settings
from observability.report_document import as_markdown
from observability.report_facts import WAITING, read_facts
from orchestration.decisions import Reason
from orchestration.state import schema
from scripts import daily_report, weekly_report
from scripts._report import compose
from scripts._report_inputs import Days, gather
from tests.bar_frames import steady
from trading.marketdata.bars import BarStore
from trading.marketdata.findings import Finding, FindingLog, Severity

ROOT = Path(__file__).resolve().parents[2]
NIGHT = datetime(2026, 11, 19, 23, 0, tzinfo=UTC)  # 18:00 in New York: W(2026-11-20) begins
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
SINCE = NIGHT


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Box:
    """A state directory with the daemon's tables, to fill by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "performance.db"
        engine = create_engine(f"sqlite:///{self.database}")
        schema.metadata.create_all(engine)
        engine.dispose()
        self.rows = 0

    def insert(self, table: str, values: Mapping[str, object]) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))
            connection.commit()

    def ran(
        self,
        task: str,
        start: datetime,
        minutes: float,
        outcome: str | None = "succeeded",
        detail: str = "",
        exit_code: int | None = 0,
    ) -> None:
        self.rows += 1
        ended = outcome is not None
        self.insert(
            "task_runs",
            {
                "run_id": f"{task}.{self.rows}",
                "task": task,
                "cycle": "2026-11-20",
                "slot": "once",
                "attempt": self.rows,
                "status": "ended" if ended else "running",
                "pool": "local",
                "planned_at": text(start),
                "started_at": text(start),
                "ended_at": text(start + timedelta(minutes=minutes)) if ended else None,
                "outcome": outcome,
                "exit_code": exit_code if ended else None,
                "duration_s": 60 * minutes if ended else None,
                "peak_memory_mb": 123.4 if ended else None,
                "reserved_mb": 200,
                "cpus": 1,
                "predicted_minutes": 2.0,
                "filler": 0,
                "detail": detail,
                "report": "{}",
                "log": "",
            },
        )

    def decided(
        self, at: datetime, task: str, reason: str | None, detail: str = "", slot: str | None = None
    ) -> None:
        failures = json.dumps([{"reason": reason, "detail": detail}] if reason else [])
        self.insert(
            "decisions",
            {"at": text(at), "task": task, "slot": slot, "reason": reason, "failures": failures},
        )

    def daily(self) -> str:
        """The Markdown of the daily report at noon."""
        days = Days.read(self.database, NOON, Settings.from_env({}))
        day, since, until = daily_report.period(days, NOON, None)
        assert day == date(2026, 11, 20)
        inputs = gather(self.folder, self.folder / "data", days, since, until, NOON)
        return as_markdown(compose("Daily", inputs, with_timeline=True))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def section(report: str, title: str) -> str:
    return report.split(f"## {title}\n")[1].split("\n## ")[0]


def test_what_ran_is_counted_with_duration_prediction_and_memory(box: Box) -> None:
    box.ran("refresh_data", NIGHT, 1.0)
    box.ran("refresh_data", NIGHT + timedelta(hours=1), 3.0)
    box.ran("calculate_pnl", NOON - timedelta(minutes=1), 1.0, outcome=None)

    report = box.daily()

    # The median of 1 and 3 minutes is 2; 123.4 MB are shown as 123.
    row = "| refresh_data | 2 | 2 succeeded | 2 min 00 s | 3 min 00 s | 2 min 00 s | 123 |"
    assert row in section(report, "What ran")
    assert "| calculate_pnl | 1 | 1 running | – | – | – | – |" in section(report, "What ran")
    assert "What went wrong" not in report


def test_runs_before_the_reports_time_are_left_out(box: Box) -> None:
    box.ran("yesterday", NIGHT - timedelta(hours=2), 30)
    box.ran("across", NIGHT - timedelta(hours=1), 90)

    report = box.daily()

    assert "across" in report
    assert "yesterday" not in report


def test_failures_are_listed_with_their_reason(box: Box) -> None:
    box.ran("refresh_data", NIGHT, 1.0, "failed", "ABC.csv:3: open is not a number", 1)
    box.ran("run_nightly_research", NIGHT, 1.0, "interrupted", "", None)

    wrong = section(box.daily(), "What went wrong")

    assert "failed | 1 | ABC.csv:3: open is not a number |" in wrong
    assert "interrupted | – | no reason was recorded |" in wrong


def test_many_failures_are_counted_not_listed(box: Box) -> None:
    for minute in range(35):
        box.ran("refresh_data", NIGHT + timedelta(minutes=minute), 0.1, "failed", "x", 1)

    assert "and 5 earlier ones" in section(box.daily(), "What went wrong")


def test_waiting_is_summed_per_task_and_reason(box: Box) -> None:
    box.decided(NIGHT - timedelta(hours=1), "heavy", "MEMORY", "needs 900 MB, 100 MB free")  # from before
    box.decided(NIGHT + timedelta(hours=2), "heavy", None)
    box.decided(NIGHT + timedelta(hours=3), "heavy", "MEMORY", "needs 900 MB, 600 MB free")
    box.decided(NIGHT + timedelta(hours=4), "heavy", "NOT_DUE")
    box.decided(NIGHT, "minute", "CONFLICT", "with heavy", slot="2026-11-19T23:00:00Z")

    waited = section(box.daily(), "What waited, and why")

    # Two hours of the window's beginning and one later; NOT_DUE is no waiting.
    assert "| heavy | MEMORY | 3 h 00 min | 2 | 0 | needs 900 MB, 600 MB free |" in waited
    assert "| minute | CONFLICT | 0 s | 1 | 1 | with heavy |" in waited
    assert "NOT_DUE" not in waited


def test_a_task_that_still_waits_waits_until_now(box: Box) -> None:
    box.decided(NOON - timedelta(minutes=30), "heavy", "SLOTS", "0 of 2 free")

    assert "| heavy | SLOTS | 30 min 00 s | 1 | 0 |" in section(box.daily(), "What waited, and why")


def test_details_that_cannot_be_read_are_left_empty(box: Box) -> None:
    row = {"at": text(NIGHT), "task": "heavy", "reason": "MEMORY", "failures": "torn"}
    box.insert("decisions", row)

    assert read_facts(box.database, SINCE, NOON).waits[0].detail == ""


def test_every_waiting_reason_is_one_that_decisions_have() -> None:
    assert {str(reason) for reason in WAITING} | {
        "DISABLED",
        "WRONG_MODE",
        "WRONG_PHASE",
        "OUTSIDE_WINDOW",
        "ALREADY_RAN",
        "NOT_DUE",
    } == {str(reason) for reason in Reason}


def test_research_use_is_of_the_window_before_prep(box: Box) -> None:
    # 18:00 to 04:00 are ten hours; five of them busy, and an hour of PREP that does not count.
    box.ran("run_nightly_research", NIGHT, 300)
    box.ran("pre_market", NIGHT + timedelta(hours=10), 60)

    research = section(box.daily(), "Research time")

    assert "Thu 2026-11-19 18:00 to Fri 2026-11-20 04:00 | 10 h 00 min | 5 h 00 min | 50 % |" in research


def test_sample_bars_are_called_what_they_are(box: Box) -> None:
    store = BarStore(box.folder / "data")
    store.write("ABC", steady(), "sample", fetched_at=NIGHT, ends_on=date(2024, 5, 17))
    store.write("XYZ", steady(), "csv:/bars", fetched_at=NIGHT)

    report = box.daily()

    assert "1 of 2 symbols are the bundled sample: real prices, but they end on 2024-05-17" in report
    assert "| 2024-05-17 | 1 | ABC | sample | the source ends on 2024-05-17 |" in report
    assert "| 2024-05-17 | 1 | XYZ | csv:/bars |  |" in report


def test_findings_are_listed_the_worst_first(box: Box) -> None:
    log = FindingLog(box.folder / "data")
    warn = Finding(check="gap", symbol="AAA", text="is missing", day=date(2024, 1, 5))
    refuse = Finding(check="unreadable", symbol="ZZZ", text="torn", severity=Severity.REFUSE)
    info = Finding(check="ended", symbol="BBB", text="ended", severity=Severity.INFO)
    log.replace([], [warn, refuse, info], NIGHT)

    report = box.daily()

    assert report.index("| ZZZ | – | unreadable | refuse | torn |") < report.index(
        "| AAA | 2024-01-05 | gap | warn | is missing |"
    )
    assert "BBB" not in report


def test_open_alerts_are_told_from_cleared_ones(box: Box) -> None:
    alert = {
        "key": "a",
        "severity": "warning",
        "text": "disk is full",
        "task": None,
        "raised_at": text(NIGHT),
    }
    box.insert("alerts", alert)
    box.insert("alerts", alert | {"text": "was hot", "cleared_at": text(NIGHT + timedelta(hours=1))})

    report = box.daily()

    assert "Open alerts: **1**" in report
    assert "| open | Thu" in section(report, "Alerts")
    assert "| cleared Thu 2026-11-19 19:00 | Thu" in section(report, "Alerts")


def test_the_next_session_is_told_with_its_early_close(box: Box) -> None:
    assert "Monday, 2026-11-23, 09:30 to 16:00" in section(box.daily(), "Next session")

    days = Days.read(box.database, NOON, Settings.from_env({}))
    thanksgiving = datetime(2026, 11, 26, 17, 0, tzinfo=UTC)
    session = days.next_session(thanksgiving)

    assert session is not None
    assert (session.day, session.is_early_close) == (date(2026, 11, 27), True)


def test_the_daemons_own_session_table_is_used(box: Box) -> None:
    for day, opens, closes in [
        ("2026-11-19", "14:30", "21:00"),
        ("2026-11-20", "14:30", "21:00"),
        ("2026-11-24", "15:30", "20:00"),
    ]:
        row = {
            "exchange": "XNYS",
            "day": day,
            "open": f"{day}T{opens}:00.000000Z",
            "close": f"{day}T{closes}:00.000000Z",
            "early_close": 1,
            "source": "test",
        }
        box.insert("sessions", row)

    assert "Tuesday, 2026-11-24, 10:30 to 15:00" in section(box.daily(), "Next session")
    assert "early close" in section(box.daily(), "Next session")


def test_the_brokers_days_make_the_reports_calendar_as_careful_as_the_daemons(box: Box) -> None:
    """The table trades on all three days; the broker not on the 23rd, and on the 24th to 18:00 UTC."""
    for exchange, day, closes in [
        ("XNYS", "2026-11-20", "21:00"),
        ("XNYS", "2026-11-23", "21:00"),
        ("XNYS", "2026-11-24", "21:00"),
        ("XNYS@alpaca", "2026-11-20", "21:00"),
        ("XNYS@alpaca", "2026-11-24", "18:00"),
    ]:
        row = {
            "exchange": exchange,
            "day": day,
            "open": f"{day}T14:30:00.000000Z",
            "close": f"{day}T{closes}:00.000000Z",
            "early_close": 0,
            "source": "test",
        }
        box.insert("sessions", row)
    settings = Settings.from_env({"ORCHESTRATOR_BROKER": "alpaca"})

    days = Days.read(box.database, NOON, settings)

    assert days.on(date(2026, 11, 23)) is None
    careful = days.on(date(2026, 11, 24))
    assert careful is not None
    assert (careful.close.hour, careful.is_early_close) == (18, True)


def test_a_wanted_day_ends_two_hours_after_its_close() -> None:
    days = Days.read(Path("/nonexistent/performance.db"), NOON, Settings.from_env({}))

    wednesday = daily_report.period(days, NOON, date(2026, 11, 18))
    saturday = daily_report.period(days, NOON, date(2026, 11, 14))

    assert wednesday[1:] == (
        datetime(2026, 11, 17, 23, tzinfo=UTC),
        datetime(2026, 11, 18, 23, tzinfo=UTC),
    )
    # No session: the date itself, midnight to midnight in New York.
    assert saturday[1:] == (datetime(2026, 11, 14, 5, tzinfo=UTC), datetime(2026, 11, 15, 5, tzinfo=UTC))


def test_a_weekend_belongs_to_the_report_of_friday() -> None:
    days = Days.read(Path("/nonexistent/performance.db"), NOON, Settings.from_env({}))
    sunday = datetime(2026, 11, 22, 20, tzinfo=UTC)

    assert daily_report.period(days, sunday, None) == (date(2026, 11, 20), NIGHT, sunday)


def job(script: str, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{script}", "--state-dir", str(folder), *argv],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "ORCHESTRATOR_RESULT": str(folder / "result.json")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("script", ["daily_report", "weekly_report"])
def test_a_first_report_is_written_before_there_is_anything(tmp_path: Path, script: str) -> None:
    done = job(script, tmp_path, "--data-dir", str(tmp_path / "data"))

    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads((tmp_path / "result.json").read_text())
    markdown, html = Path(result["markdown"]).read_text(), Path(result["html"]).read_text()
    assert "There is no performance.db yet" in markdown
    assert "No price bars are stored yet" in markdown
    assert html.startswith("<!doctype html>")
    assert Path(result["html"]).parent == tmp_path / "reports"


def test_a_report_of_a_day_has_its_name_and_its_timeline(box: Box) -> None:
    box.ran("refresh_data", NIGHT, 1.0)

    done = job("daily_report", box.folder, "--data-dir", str(box.folder / "data"), "--day", "2026-11-20")

    assert done.returncode == 0
    assert "<svg" in (box.folder / "reports" / "2026-11-20.html").read_text()


def test_a_report_of_a_week_is_named_by_the_iso_week(box: Box) -> None:
    # 2021-01-03 is a Sunday of the ISO week 2020-W53.
    done = job("weekly_report", box.folder, "--data-dir", str(box.folder / "data"), "--day", "2021-01-03")

    assert done.returncode == 0
    assert {p.name for p in (box.folder / "reports").iterdir()} == {"2020-W53.md", "2020-W53.html"}


@pytest.mark.parametrize("main", [daily_report.main, weekly_report.main])
def test_a_day_to_come_has_no_report(tmp_path: Path, main: object) -> None:
    assert callable(main)
    with pytest.raises(SystemExit) as caught:
        main(["--state-dir", str(tmp_path), "--data-dir", str(tmp_path), "--day", "2030-01-02"])

    assert caught.value.code == 2


@pytest.mark.parametrize("main", [daily_report.main, weekly_report.main])
def test_a_report_that_cannot_be_written_fails(tmp_path: Path, main: object) -> None:
    assert callable(main)
    (tmp_path / "reports").write_text("in the way")

    assert main(["--state-dir", str(tmp_path), "--data-dir", str(tmp_path), "--day", "2026-01-05"]) == 1


def test_a_table_that_is_missing_is_a_note_in_the_report(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "performance.db")) as connection:
        connection.execute("CREATE TABLE x (y)")

    facts = read_facts(tmp_path / "performance.db", SINCE, NOON)

    assert facts.runs == ()
    assert any("no such table: task_runs" in note for note in facts.notes)


@pytest.mark.parametrize("main", [daily_report.main, weekly_report.main])
def test_overrides_that_cannot_be_used_end_the_job_with_a_clear_line(
    tmp_path: Path, main: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(main)
    (tmp_path / "overrides.csv").write_text("2026-11-20, perhaps, someone said\n")
    monkeypatch.setenv("ORCHESTRATOR_OVERRIDES", str(tmp_path / "overrides.csv"))

    with pytest.raises(SystemExit) as caught:
        main(["--state-dir", str(tmp_path), "--data-dir", str(tmp_path)])

    assert caught.value.code == 2
    assert "overrides.csv" in capsys.readouterr().err


def test_reports_load_no_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from scripts import daily_report; "
        f"daily_report.main(['--state-dir', {str(tmp_path)!r}, '--data-dir', {str(tmp_path)!r}]); "
        "print(sorted({'pandas', 'numpy', 'pyarrow', 'sqlalchemy'} & set(sys.modules)))"
    )

    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert child.stdout.splitlines()[-1] == "[]"
