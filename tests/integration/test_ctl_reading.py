"""What the control command reads by itself: rotated logs, stored sessions, the recorded past."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from typer.testing import CliRunner

from config import Settings
from orchestration import checks
from orchestration.changes import AlertSaved, BlockedSaved, Change, RunEnded, RunPlanned, SessionsSaved
from orchestration.clock import VirtualClock
from orchestration.ctl import logs, past
from orchestration.ctl.box import Box
from orchestration.ctl.client import Client
from orchestration.ctl.desk import Desk
from orchestration.ctl.exits import FAILED, NOT_RUNNING, Failure
from orchestration.ctl.main import app
from orchestration.decisions import Blocked, Gate, Reason
from orchestration.errors import ControlError
from orchestration.instance import Holder
from orchestration.runs import ActiveRun, Outcome, RunKey, StopCause, TaskResult
from orchestration.simulation.stand_ins import SteadySensors
from orchestration.state.history import load_readonly
from orchestration.state.store import SqlStore
from orchestration.state.stored_sessions import read_sessions
from tests.calendars import ny, nyse_2026, tokyo_day
from tests.control_desk import FakeDaemon, running_daemon

TWO = ny("2026-11-20T02:00")
"""The night asked about: 02:00 on a Friday, in New York."""
HOUR = timedelta(hours=1)
KEY = RunKey("nightly", "2026-11-20", "once", 1)


def rows_of(path: Path, *changes: Change) -> None:
    store = SqlStore(path)
    store.commit(list(changes))
    store.close()


def blocked(at: datetime, reason: Reason | None, slot: str | None = None) -> BlockedSaved:
    why = None
    if reason is not None:
        why = Blocked("nightly", (Gate(reason, False, "MB", 300.0, 50.0),), at + HOUR)
    return BlockedSaved(task="nightly", at=at, blocked=why, slot=slot)


def planned(started: datetime, key: RunKey = KEY) -> RunPlanned:
    run = ActiveRun(key=key, started_at=started, predicted_end=started + HOUR, reserved_mb=300.0)
    return RunPlanned(run=run, predicted_minutes=30.0, log="/nowhere/nightly.log")


def ended(at: datetime, key: RunKey = KEY) -> RunEnded:
    result = TaskResult(
        key=key,
        outcome=Outcome.KILLED,
        ended_at=at,
        started_at=at - HOUR,
        duration_s=3600.0,
        exit_code=-15,
        detail="made room",
        report={"summary": "x" * 200},
        stop_cause=StopCause.RECLAIM,
    )
    return RunEnded(result=result)


def desk_at(folder: Path, now: datetime = TWO + 12 * HOUR, daemon: FakeDaemon | None = None) -> Desk:
    environ = {
        "ORCHESTRATOR_STATE_DIR": str(folder),
        "ORCHESTRATOR_LOG_DIR": str(folder / "logs"),
        "USE_UNIFIED_SCHEDULER": "true",
    }
    clock = VirtualClock(now)
    box = Box(Settings.from_env(environ), clock, SteadySensors())
    return Desk(environ, clock=clock, daemon=daemon or FakeDaemon(), box=box)


def call(folder: Path, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words), obj=desk_at(folder))
    return result.exit_code, result.stdout, result.stderr


# --- the past ---------------------------------------------------------------------------------------------


def test_why_at_an_instant_gives_the_reason_then_in_force(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    rows_of(
        path,
        blocked(TWO - 3 * HOUR, Reason.WRONG_MODE),
        blocked(TWO - HOUR, Reason.MEMORY),
        blocked(TWO + HOUR, None),
        planned(TWO + 2 * HOUR),
    )

    found = past.what_was(load_readonly(path), "nightly", TWO)

    assert [row.reason for row in found.waits] == ["MEMORY"]
    assert found.recorded
    assert found.running is None
    assert found.following is not None
    assert found.following.planned_at == TWO + 2 * HOUR


def test_why_at_an_instant_shows_its_numbers_and_what_came_after(tmp_path: Path) -> None:
    rows_of(tmp_path / "performance.db", blocked(TWO - HOUR, Reason.MEMORY), planned(TWO + 2 * HOUR))

    code, shown, _ = call(tmp_path, "why", "nightly", "--at", TWO.isoformat())

    assert code == 0
    assert "nightly at Fri 2026-11-20 02:00 EST" in shown
    assert "Fri 2026-11-20 01:00 EST  MEMORY: MB (needs 300, has 50)" in shown
    assert "the next run after it: Fri 2026-11-20 04:00 EST (planned)" in shown


def test_a_slot_skipped_near_the_instant_belongs_to_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    slot, far = TWO.isoformat().replace("+00:00", "Z"), (TWO - 5 * HOUR).isoformat()
    rows_of(
        path,
        blocked(TWO + 2 * HOUR, Reason.DEADLINE_PASSED, slot),
        blocked(TWO + 2 * HOUR, Reason.MEMORY, far),
        blocked(TWO + 0.5 * HOUR, Reason.SLOTS, "once"),
    )

    found = past.what_was(load_readonly(path), "nightly", TWO)

    assert sorted(str(row.reason) for row in found.waits) == ["DEADLINE_PASSED", "SLOTS"]
    assert "slot once skipped: SLOTS" in call(tmp_path, "why", "nightly", "--at", TWO.isoformat())[1]


@pytest.mark.parametrize(("hours", "was_running"), [(-2, False), (0.5, True), (2, False)])
def test_a_run_on_its_way_at_the_instant_is_the_answer(
    tmp_path: Path, hours: float, was_running: bool
) -> None:
    path = tmp_path / "performance.db"
    rows_of(path, planned(TWO), ended(TWO + HOUR))

    found = past.what_was(load_readonly(path), "nightly", TWO + hours * HOUR)

    assert (found.running is not None) is was_running


def test_since_lists_every_change_of_reason(tmp_path: Path) -> None:
    rows_of(
        tmp_path / "performance.db",
        blocked(TWO - HOUR, Reason.MEMORY),
        blocked(TWO, None),
        blocked(TWO + HOUR, Reason.SLOTS),
    )

    code, shown, _ = call(tmp_path, "why", "nightly", "--since", TWO.isoformat(), "--json")
    text = call(tmp_path, "why", "nightly", "--since", TWO.isoformat())[1]

    assert code == 0
    assert [row["reason"] for row in json.loads(shown)["waits"]] == ["MEMORY", None, "SLOTS"]
    assert "Fri 2026-11-20 02:00 EST  no longer waited" in text


def test_runs_shows_the_history_and_one_run_in_detail(tmp_path: Path) -> None:
    rows_of(tmp_path / "performance.db", planned(TWO), ended(TWO + HOUR))

    listed = call(tmp_path, "runs")[1]
    detail = call(tmp_path, "runs", KEY.run_id)[1]
    as_json = json.loads(call(tmp_path, "runs", "nightly", "--json")[1])

    assert "killed" in listed
    assert "1 h" in listed
    assert "made room" in detail
    assert re.search(r"stopped for +reclaim", detail)
    assert re.search(r"report\.summary +x{97}\.\.\.", detail)
    assert (as_json["exit_code"], as_json["stop_cause"], as_json["log_tail"]) == (-15, "reclaim", [])


def test_an_empty_history_is_no_error(tmp_path: Path) -> None:
    rows_of(tmp_path / "performance.db")

    assert call(tmp_path, "runs")[:2] == (0, "no run is recorded yet\n")


def test_a_database_without_our_tables_is_said_and_no_traceback(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'performance.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE task_runs (run_id TEXT)")
    engine.dispose()

    code, _, said = call(tmp_path, "runs")

    assert code == 1
    assert "the history cannot be read" in said


def test_open_alerts_are_the_first_thing_that_status_says(tmp_path: Path) -> None:
    alert = AlertSaved(at=TWO, key="failed:nightly", severity="error", text="nightly failed", task="nightly")
    rows_of(tmp_path / "performance.db", alert)

    found = json.loads(call(tmp_path, "status", "--json")[1])

    assert found["fine"] is False
    assert "alert: nightly failed" in found["complaints"]
    assert found["alerts"][0]["key"] == "failed:nightly"


def test_alerts_that_cannot_be_read_are_an_alert(tmp_path: Path) -> None:
    (tmp_path / "performance.db").write_bytes(b"no database" * 500)

    result = CliRunner().invoke(app, ["status", "--json"], obj=desk_at(tmp_path, daemon=running_daemon()))

    found = json.loads(result.stdout)
    assert found["fine"] is False
    assert found["complaints"][0].startswith("alert: the recorded alerts cannot be read")


# --- sessions ---------------------------------------------------------------------------------------------


def test_stored_sessions_are_read_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    tables = {"XNYS": nyse_2026().table, "XTKS": (tokyo_day(TWO.date()),)}
    rows_of(
        path, *(SessionsSaved(exchange=name, sessions=t, source="test", at=TWO) for name, t in tables.items())
    )

    assert read_sessions(path) == tables


def test_a_state_elsewhere_is_read_through_its_address(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.db"
    rows_of(path, SessionsSaved(exchange="XNYS", sessions=nyse_2026().table, source="test", at=TWO))

    def box(url: str) -> Box:
        return Box(Settings.from_env({"ORCHESTRATOR_DATABASE_URL": url}), VirtualClock(TWO))

    plain, driver = box(f"sqlite:///{path}"), box(f"sqlite+pysqlite:///{path}")
    assert (plain.database, driver.database) == (path, None)
    assert plain.tables.stored == driver.tables.stored == {"XNYS": nyse_2026().table}


# --- logs -------------------------------------------------------------------------------------------------


def line(number: int, **keys: object) -> str:
    event = {"timestamp": "2026-11-20T23:00:00.000Z", "level": "info", "logger": "execute", "event": "n"}
    return json.dumps({**event, "number": number, **keys}) + "\n"


def numbers(lines: list[dict[str, Any]]) -> list[object]:
    return [found.get("number") for found in lines]


class Meddler:
    """Does the next thing each time somebody sleeps."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts = iter(acts)

    def sleep(self, seconds: float) -> None:
        next(self._acts)()


def following(path: Path, count: int, *acts: Callable[[], object], backlog: int = 0) -> list[object]:
    found: Iterator[dict[str, Any]] = logs.follow(path, logs.Wanted(), Meddler(*acts), backlog)
    return numbers(list(islice(found, count)))


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_the_last_lines_reach_back_into_rotated_files(tmp_path: Path) -> None:
    path = tmp_path / "o.log"
    path.write_text(line(5) + line(6))
    (tmp_path / "o.log.1").write_text(line(3) + line(4))
    (tmp_path / "o.log.2").write_text(line(1) + line(2))

    assert numbers(logs.last_lines(path, logs.Wanted(), 3)) == [4, 5, 6]
    assert numbers(logs.last_lines(path, logs.Wanted(), 50)) == [1, 2, 3, 4, 5, 6]
    assert logs.last_lines(tmp_path / "none.log", logs.Wanted(), 5) == []
    assert logs.last_lines(path, logs.Wanted(), 0) == []


def test_only_wanted_lines_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "o.log"
    path.write_text(
        line(1, task="a", run="a.1") + line(2, task="b") + line(3, task="a", level="error") + "torn {\n"
    )

    def wanted(**keys: str) -> list[object]:
        return numbers(logs.last_lines(path, logs.Wanted(**keys), 10))

    assert wanted(task="a") == [1, 3]
    assert wanted(run="a.1") == [1]
    assert wanted(level="warning") == [3]
    assert wanted() == [1, 2, 3, None]


def test_following_begins_with_the_backlog_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "o.log"
    path.write_text(line(3))
    (tmp_path / "o.log.1").write_text(line(1) + line(2))

    def write() -> None:
        append(path, line(4) + line(5)[:10])

    def write_the_rest() -> None:
        append(path, line(5)[10:])

    assert following(path, 4, write, write_the_rest, backlog=2) == [2, 3, 4, 5]


def test_following_loses_nothing_when_the_file_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "o.log"
    path.write_text(line(1))

    def rotate() -> None:
        append(path, line(2))
        path.rename(tmp_path / "o.log.1")
        path.write_text(line(3))

    def rotate_in_two_steps() -> None:
        append(path, line(4))
        path.rename(tmp_path / "o.log.1")

    def begin_anew() -> None:
        path.write_text(line(5))

    assert following(path, 4, rotate, rotate_in_two_steps, begin_anew) == [2, 3, 4, 5]


def test_following_waits_for_a_file_and_notices_that_one_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "o.log"

    def begin() -> None:
        path.write_text(line(1) + line(2))

    def cut() -> None:
        path.write_text(line(3))

    assert following(path, 3, begin, cut) == [1, 2, 3]


def test_logs_without_a_file_say_so(tmp_path: Path) -> None:
    code, _, said = call(tmp_path, "logs")

    assert code == 1
    assert "there is no log at" in said


def test_logs_are_readable_lines_or_json(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "orchestrator.log").write_text(line(1, task="a"))

    assert call(tmp_path, "logs")[1] == "23:00:00 info     n number=1 task=a [execute]\n"
    assert json.loads(call(tmp_path, "logs", "--json")[1])["number"] == 1


def test_the_tail_of_an_output_is_its_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(b"\xff first\n" + b"x" * 300_000 + b"\nlast\n")

    assert logs.tail(path, 1) == ["last"]
    assert logs.tail(tmp_path / "none.log", 5) == []


# --- the client and the checks ----------------------------------------------------------------------------


def test_an_order_that_cannot_be_signalled_is_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Vanishing(Client):
        """Runs when it is looked at first, and not when it is signalled."""

        looks: Iterator[Holder | None] = iter([{"pid": 1}, None])

        def holder(self) -> Holder | None:
            return next(self.looks)

    with pytest.raises(Failure) as failed:
        Vanishing(tmp_path).ask("pause")

    from orchestration.control import ControlDb

    assert failed.value.code == NOT_RUNNING
    assert ControlDb(tmp_path / "control.db").pending() == []


def test_an_order_to_a_daemon_of_another_user_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(state_dir: Path, signum: int) -> int:
        raise ControlError("it belongs to another user")

    class Foreign(Client):
        def holder(self) -> Holder | None:
            return {"pid": 1}

    monkeypatch.setattr("orchestration.ctl.client.signal_daemon", refuse)
    with pytest.raises(Failure, match="another user") as failed:
        Foreign(tmp_path).ask("pause")
    assert failed.value.code == FAILED

    blocked_dir = tmp_path / "file"
    blocked_dir.write_text("")
    with pytest.raises(Failure, match="Run this as the daemon's user"):
        Foreign(blocked_dir).ask("pause")


def finding(folder: Path, topic: str, sensors: SteadySensors | None = None) -> checks.Finding:
    environ = {"ORCHESTRATOR_STATE_DIR": str(folder), "USE_UNIFIED_SCHEDULER": "true"}
    box = Box(Settings.from_env(environ), VirtualClock(TWO), sensors or SteadySensors())
    return next(found for found in checks.check_thoroughly(box) if found.topic == topic)


def test_the_age_of_the_newest_backup_is_checked(tmp_path: Path) -> None:
    kept = tmp_path / "backups"
    kept.mkdir()
    (kept / "performance-20261101T000000Z.db").write_text("")
    old = finding(tmp_path, "backups")
    (kept / f"performance-{TWO - HOUR:%Y%m%dT%H%M%SZ}.db").write_text("")
    new = finding(tmp_path, "backups")

    assert (old.level, new.level) == ("warning", "ok")
    assert "2 kept, the newest 1.0 h old" in new.text


@pytest.mark.parametrize(
    ("sensors", "topic", "said"),
    [
        (SteadySensors(clock_synced=None), "clock", "not known to be right"),
        (SteadySensors(clock_synced=False), "clock", "not synchronised"),
        (SteadySensors(network_up=False), "network", "no default route"),
    ],
)
def test_what_the_box_lacks_is_a_warning(
    tmp_path: Path, sensors: SteadySensors, topic: str, said: str
) -> None:
    found = finding(tmp_path, topic, sensors)

    assert found.level == "warning"
    assert said in found.text


def test_a_calendar_that_ends_soon_or_does_not_reach_today_is_a_warning(tmp_path: Path) -> None:
    def calendar(now: datetime) -> str:
        box = Box(
            Settings.from_env({"ORCHESTRATOR_STATE_DIR": str(tmp_path)}), VirtualClock(now), SteadySensors()
        )
        (found,) = checks.LOOKS["calendar"](box)
        return str(found)

    assert "WARNING" in calendar(datetime(2030, 12, 20, 15, tzinfo=UTC))
    assert "today is NOT covered" in calendar(datetime(2031, 6, 2, 15, tzinfo=UTC))


def test_days_without_a_window_are_listed(tmp_path: Path) -> None:
    (tmp_path / "tasks.toml").write_text(
        '[[task]]\nname = "late"\nargv = ["/bin/true"]\non = "trading"\nwindow = "14:00..close"\n'
    )
    environ = {"ORCHESTRATOR_STATE_DIR": str(tmp_path), "ORCHESTRATOR_TASKS": str(tmp_path / "tasks.toml")}
    box = Box(Settings.from_env(environ), VirtualClock(TWO), SteadySensors())

    (found,) = [f for f in checks.check_thoroughly(box) if f.topic == "windows" and "late" in f.text]

    # The exchange closes at 13:00 on these days of the next 400.
    assert found.text == "late has none on 2026-11-27, 2026-12-24, 2027-11-26"


def test_a_database_of_another_version_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    rows_of(path)
    assert finding(tmp_path, "database").level == "ok"

    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    newer = finding(tmp_path, "database")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
    foreign = finding(tmp_path, "database")
    engine.dispose()

    assert (newer.level, foreign.level) == ("problem", "problem")
    assert "is of a newer version (revision 9999)" in newer.text
    assert "holds no state of ours" in foreign.text


def test_a_row_that_cannot_be_understood_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    rows_of(path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO scheduler_state VALUES ('record/x', '{', '')")
    engine.dispose()

    found = finding(tmp_path, "database")

    assert found.level == "problem"
    assert "is damaged" in found.text
