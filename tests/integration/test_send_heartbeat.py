"""The heartbeat is heard while duties are on time, tells when they are not, and is silent when it cannot
tell. The receiver is a real one."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.changes import AlertSaved, Change, RunPlanned, RunStarted
from orchestration.runs import ActiveRun, RunKey
from orchestration.state.store import SqlStore
from scripts import send_heartbeat
from scripts.send_heartbeat import UntoldError, main, ping, troubles
from tests.calendars import ny
from tests.ntfy_server import NtfyServer, Received

AT = ny("2026-11-20T11:00")
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture
def receiver() -> Iterator[NtfyServer]:
    with NtfyServer() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with closing(SqlStore(tmp_path / "performance.db", now=lambda: AT)) as opened:
        yield opened


@pytest.fixture
def beat(
    tmp_path: Path, receiver: NtfyServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[Received]]:
    """Run the job as a task of the daemon; return all that the receiver has heard."""
    monkeypatch.setattr(send_heartbeat, "now", lambda: AT)
    monkeypatch.setattr(send_heartbeat, "PAUSE_S", 0.0)
    monkeypatch.setenv("heartbeat_url", receiver.web("planted-uuid"))
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(tmp_path / "result.json"))

    def run() -> list[Received]:
        assert main(["--state-dir", str(tmp_path)]) == 0
        return receiver.received

    return run


def began(task: str, due: str, late: timedelta) -> tuple[Change, ...]:
    """The rows of a run that was due on 20 November and began late."""
    slot = ny(f"2026-11-20T{due}")
    key = RunKey(task, "2026-11-20", slot.strftime("%Y-%m-%dT%H:%M:%SZ"), 1)
    at = slot + late
    run = ActiveRun(key=key, started_at=at, predicted_end=at + MINUTE, reserved_mb=40.0)
    return (
        RunPlanned(run=run, predicted_minutes=0.1, log=""),
        RunStarted(run_id=run.run_id, pid=4711, started_at=at),
    )


def raised(key: str, text: str = "what is wrong") -> AlertSaved:
    return AlertSaved(at=AT - MINUTE, key=key, severity="error", text=text)


def paths(heard: list[Received]) -> list[tuple[str, str]]:
    return [(message.method, message.path) for message in heard]


def test_while_duties_are_on_time_the_address_is_asked_for(
    store: SqlStore, beat: Callable[[], list[Received]]
) -> None:
    store.commit(began("monitor_positions", "10:59", 9 * SECOND))

    assert paths(beat()) == [("GET", "/planted-uuid")]


@pytest.mark.parametrize(
    "key",
    [
        "late:check_risk_limits",
        "deadline:reconcile_positions:2026-11-20T23:00:00Z",
        "unknown:execute_orders",
        "failed:monitor_positions",
        "quarantined:check_risk_limits",
        "late:own_watch_of_mine",
        "store",
        "clock",
        "no_session",
    ],
)
def test_an_alert_about_a_duty_or_what_none_starts_without_is_told_as_a_failure(
    key: str, store: SqlStore, beat: Callable[[], list[Received]]
) -> None:
    store.commit([raised(key)])

    [heard] = beat()

    assert (heard.method, heard.path) == ("POST", "/planted-uuid/fail")
    assert heard.text == f"{key}: what is wrong"


@pytest.mark.parametrize("key", ["failed:run_nightly_research", "deadline:daily_report", "disk", "told:x:y"])
def test_what_is_no_duty_is_left_to_the_alerts(
    key: str, store: SqlStore, beat: Callable[[], list[Received]]
) -> None:
    store.commit([raised(key)])

    assert paths(beat()) == [("GET", "/planted-uuid")]


def test_an_alert_that_is_over_is_told_no_more(store: SqlStore, beat: Callable[[], list[Received]]) -> None:
    over = AlertSaved(at=AT, key="late:monitor_positions", severity="info", text="cleared", cleared=True)
    store.commit([raised("late:monitor_positions"), over])

    assert paths(beat()) == [("GET", "/planted-uuid")]


def test_a_duty_whose_newest_run_began_late_is_told(
    store: SqlStore, beat: Callable[[], list[Received]]
) -> None:
    # monitor_positions tolerates 10 s.
    store.commit(
        [*began("monitor_positions", "10:58", SECOND), *began("monitor_positions", "10:59", 11 * SECOND)]
    )

    [heard] = beat()

    assert heard.path == "/planted-uuid/fail"
    assert heard.text == "monitor_positions of 2026-11-20T15:59:00Z began 11 s late"


def test_a_late_start_is_forgotten_when_the_next_one_is_on_time_or_it_is_long_ago(store: SqlStore) -> None:
    store.commit([*began("monitor_positions", "10:58", MINUTE), *began("monitor_positions", "10:59", SECOND)])
    store.commit(began("check_risk_limits", "10:30", 15 * MINUTE))

    assert troubles(Path(str(store.path)), AT, None) == []


def test_a_daemon_whose_state_is_not_written_is_told(
    store: SqlStore, beat: Callable[[], list[Received]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_RUN_ID", "a-run-that-was-never-committed")

    assert beat()[0].text == "the daemon's state is not being written"


def test_a_run_that_the_daemon_has_committed_is_proof_that_it_writes(
    store: SqlStore, beat: Callable[[], list[Received]], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, started = began("send_heartbeat", "11:00", SECOND)
    store.commit([planned, started])
    assert isinstance(planned, RunPlanned)
    monkeypatch.setenv("ORCHESTRATOR_RUN_ID", planned.run.run_id)

    assert paths(beat()) == [("GET", "/planted-uuid")]


def test_a_damaged_database_is_told(tmp_path: Path, beat: Callable[[], list[Received]]) -> None:
    (tmp_path / "performance.db").write_bytes(b"not a database" * 1000)

    assert beat()[0].text.startswith("the daemon's database is damaged")


def test_without_a_database_there_is_silence(tmp_path: Path, beat: Callable[[], list[Received]]) -> None:
    assert beat() == []
    assert json.loads((tmp_path / "result.json").read_text())["told"] is None


def test_a_database_that_cannot_be_read_now_is_silence(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "performance.db").close()  # without the tables

    with pytest.raises(UntoldError, match="no such table"):
        troubles(tmp_path / "performance.db", AT, None)


def test_a_receiver_in_trouble_is_asked_twice_and_the_job_ends_well(
    store: SqlStore, receiver: NtfyServer, beat: Callable[[], list[Received]], tmp_path: Path
) -> None:
    receiver.status = 503

    assert beat() == []

    report = json.loads((tmp_path / "result.json").read_text())
    assert len(receiver.refused) == 2
    assert report["problem"] == "it answered 503"


def test_a_receiver_that_is_down_or_hangs_is_left_in_time(
    receiver: NtfyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_heartbeat, "PAUSE_S", 0.0)
    go = threading.Event()

    def hang(message: Received) -> None:
        go.wait(30)

    receiver.before = hang
    assert ping(receiver.web("x"), "", timeout_s=0.1) == "it was not reached (TimeoutError)"
    go.set()
    receiver.stop()
    assert "was not reached" in str(ping(receiver.web("x"), ""))


def test_a_query_stays_behind_the_path(receiver: NtfyServer) -> None:
    assert ping(receiver.web("push/abc?token=1"), "late") is None

    assert receiver.received[0].path == "/push/abc/fail?token=1"


def test_no_address_no_heartbeat_and_none_is_ever_said(
    tmp_path: Path,
    receiver: NtfyServer,
    beat: Callable[[], list[Received]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    receiver.stop()
    beat()
    monkeypatch.setenv("heartbeat_url", "")
    beat()

    said = capfd.readouterr()
    assert "ORCHESTRATOR_HEARTBEAT_URL" in said.out
    assert "planted" not in said.out + said.err + (tmp_path / "result.json").read_text()
