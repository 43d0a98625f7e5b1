"""The broker's trading days, from its interface through the job into the box's calendar, and its keys."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from config import Settings
from daily_orchestrator import TradingOrchestrator
from orchestration.assembly import builtins_of, sensors_of
from orchestration.calendar_source import load_shipped
from orchestration.clock import SystemClock
from orchestration.task_specs import BROKER_SECRETS, TASK_SPECS
from tests.alpaca_server import KEY, SECRET, AlpacaServer, Fault, alpaca_server
from tests.calendars import NEW_YORK

ROOT = Path(__file__).resolve().parents[2]
TODAY = "2026-11-20"
RUN_THIS = "refresh_sessions"


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    """A broker whose calendar is New York's."""
    with alpaca_server() as running:
        running.calendar = [
            {
                "date": s.day.isoformat(),
                "open": f"{s.open.astimezone(NEW_YORK):%H:%M}",
                "close": f"{s.close.astimezone(NEW_YORK):%H:%M}",
                "session_open": "0400",
                "session_close": "2000",
            }
            for s in load_shipped()
        ]
        yield running


def refresh(
    server: AlpacaServer, result: Path, keys: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "scripts.refresh_sessions", "--today", TODAY, "--broker", "alpaca"]
    env = {
        "PATH": os.environ["PATH"],
        "ORCHESTRATOR_RESULT": str(result),
        "ORCHESTRATOR_BROKER_URL": server.url,
        **keys,
    }
    return subprocess.run(
        [*argv, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )


KEYS = {"broker_key": KEY, "broker_secret": SECRET}


def change(server: AlpacaServer, day: str, close: str | None) -> None:
    """Let the broker close at another time, or (None) know nothing of the day."""
    if close is None:
        server.calendar = [row for row in server.calendar if row["date"] != day]
    else:
        next(row for row in server.calendar if row["date"] == day)["close"] = close


def test_the_job_puts_the_brokers_days_beside_its_own_and_says_where_they_differ(
    server: AlpacaServer, tmp_path: Path
) -> None:
    change(server, "2026-12-01", "13:00")
    change(server, "2026-12-02", None)

    done = refresh(server, tmp_path / "result.json", KEYS)

    report = json.loads((tmp_path / "result.json").read_text())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "XNYS and alpaca disagree, 2026-12-01: table 14:30-21:00 UTC, broker 14:30-18:00 UTC",
        "XNYS and alpaca disagree, 2026-12-02: table 14:30-21:00 UTC, broker closed",
    ]
    told = report["broker"]["sessions"]["XNYS"]
    assert report["broker"]["name"] == "alpaca"
    assert ["2026-12-01", "2026-12-01T14:30:00Z", "2026-12-01T18:00:00Z", None, None, True] in told
    assert told[0][0] == "2026-11-13"  # a week before
    # The table itself is not touched: it is what the next one is compared with.
    ours = {row[0]: row for row in report["sessions"]["XNYS"]}
    assert ours["2026-12-01"][2] == "2026-12-01T21:00:00Z"
    assert "2026-12-02" in ours


@pytest.mark.parametrize(
    ("keys", "fault", "why"),
    [
        ({}, None, "key is empty"),
        ({"broker_key": "PKWRONG", "broker_secret": "wrong-secret"}, None, "alpaca refuses the keys"),
        (KEYS, Fault(method="GET", path="/v2/calendar", drops=True), "no usable answer"),
        (KEYS, Fault(method="GET", path="/v2/calendar", status=200, body=[]), "calendar is empty"),
        (KEYS, Fault(method="GET", path="/v2/calendar", status=200, body=[{"day": 1}]), "cannot be read"),
    ],
    ids=["no-keys", "bad-keys", "no-answer", "no-days", "nonsense"],
)
def test_a_broker_that_cannot_be_asked_is_said_and_the_table_is_renewed(
    server: AlpacaServer, tmp_path: Path, keys: Mapping[str, str], fault: Fault | None, why: str
) -> None:
    server.faults += [fault] if fault else []

    done = refresh(server, tmp_path / "result.json", keys)

    report = json.loads((tmp_path / "result.json").read_text())
    assert done.returncode == 0
    [line] = done.stderr.splitlines()
    assert line.startswith("refresh_sessions: alpaca's calendar was not compared: ")
    assert why in line
    assert "sessions" not in report["broker"]
    assert len(report["sessions"]["XNYS"]) > 800
    assert not any(secret in done.stderr + done.stdout for secret in (KEY, SECRET, "PKWRONG", "wrong-secret"))


def test_only_new_york_is_compared(server: AlpacaServer, tmp_path: Path) -> None:
    done = refresh(server, tmp_path / "result.json", KEYS, "--exchange", "XTKS")

    assert done.returncode == 0
    assert "broker" not in json.loads((tmp_path / "result.json").read_text())
    assert server.requests == []


# --- through the daemon -----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: AlpacaServer) -> Path:
    """A box that trades at the local broker; of the built-in tasks only the refresh is on."""
    others = [spec.name for spec in TASK_SPECS if spec.enabled and spec.name != RUN_THIS]
    off = "".join(f'[[task]]\nname = "{name}"\nenabled = false\n' for name in others)
    (tmp_path / "tasks.toml").write_text(off)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "broker_key").write_text(KEY + "\n")
    (credentials / "broker_secret").write_text(SECRET + "\n")
    settings = {
        "STATE_DIR": str(tmp_path / "state"),
        "LOG_DIR": str(tmp_path / "logs"),
        "TASKS": str(tmp_path / "tasks.toml"),
        "CREDENTIALS_DIR": str(credentials),
        "PANEL": "null",
        "ASSUME_CLOCK_SYNCED": "true",
        "BROKER": "alpaca",
        "BROKER_URL": server.url,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"ORCHESTRATOR_{name}", value)
    monkeypatch.setenv("USE_UNIFIED_SCHEDULER", "true")
    return tmp_path


def a_coming_day() -> date:
    """A full trading day some weeks from now."""
    from_here = datetime.now(UTC).date() + timedelta(days=30)
    return next(s.day for s in load_shipped() if s.day > from_here and not s.is_early_close)


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(home / "state" / "performance.db")) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.timeout(300)  # a whole first turn, on a small and busy box
def test_a_disagreement_reaches_calendar_panel_and_alerts_and_outlives_a_restart(
    home: Path, server: AlpacaServer
) -> None:
    day = a_coming_day()
    change(server, day.isoformat(), "13:00")
    box = TradingOrchestrator()

    assert box.run(once=True) == 0

    assert box.tables.calendars(datetime.now(UTC).date()).is_early_close(day)
    assert rows(home, "SELECT key FROM alerts WHERE cleared_at IS NULL") == [(f"calendar:{day}",)]
    assert rows(home, "SELECT DISTINCT exchange, source LIKE 'pandas%' FROM sessions ORDER BY 1") == [
        ("XNYS", 1),
        ("XNYS@alpaca", 0),
    ]
    again = TradingOrchestrator()
    assert again.calendars.is_early_close(day)
    assert [line[:10] for line in again.tables.disagreements(date.min)] == [day.isoformat()]
    assert KEY not in "".join(path.read_text() for path in (home / "logs").rglob("*") if path.is_file())

    # The operator has looked, and says that the exchange is right.
    (home / "state" / "overrides.csv").write_text(f"{day}, close=16:00, the exchange's own page\n")
    settled = TradingOrchestrator()
    assert not settled.calendars.is_early_close(day)
    assert settled.tables.disagreements(date.min) == ()


@pytest.mark.timeout(300)  # a whole first turn, on a small and busy box
def test_without_keys_the_box_renews_its_table_all_the_same(home: Path, server: AlpacaServer) -> None:
    (home / "credentials" / "broker_secret").unlink()

    assert TradingOrchestrator().run(once=True) == 0

    assert rows(home, "SELECT DISTINCT exchange FROM sessions") == [("XNYS",)]
    [log] = (home / "logs" / "runs" / RUN_THIS).iterdir()
    assert "alpaca's calendar was not compared: key is empty" in log.read_text()
    assert server.requests == []


# --- keys -------------------------------------------------------------------------------------------------


def granted(**settings: str) -> dict[str, frozenset[str]]:
    """Which built-in tasks see secrets of a broker, under these settings."""
    given = Settings.from_env({f"ORCHESTRATOR_{name}": value for name, value in settings.items()})
    seen = {spec.name: frozenset(spec.secrets & BROKER_SECRETS) for spec in builtins_of(given)}
    return {name: secrets for name, secrets in seen.items() if secrets}


@pytest.mark.parametrize("broker", ["paper", "ibkr"])
def test_a_broker_without_keys_asks_for_none(broker: str, home: Path) -> None:
    assert granted(BROKER=broker, CREDENTIALS_DIR=str(home / "credentials")) == {}


def test_alpacas_keys_go_to_the_tasks_that_trade(home: Path) -> None:
    with_files = granted(BROKER="alpaca", CREDENTIALS_DIR=str(home / "credentials"))
    without = granted(BROKER="alpaca")

    assert set(without) == {"execute_orders", "monitor_positions", "reconcile_orders", "reconcile_positions"}
    assert set(with_files) == {*without, RUN_THIS}
    assert set(with_files.values()) == {BROKER_SECRETS}


def test_other_secrets_are_no_concern_of_the_broker() -> None:
    specs = {spec.name: spec for spec in builtins_of(Settings.from_env({}))}

    assert specs["send_alerts"].secrets == {"alert_urls"}


def test_a_box_has_a_broker_whichever_it_is() -> None:
    sensors = sensors_of(Settings.from_env({"ORCHESTRATOR_BROKER": "paper"}), SystemClock())

    assert sensors.read({}).broker
