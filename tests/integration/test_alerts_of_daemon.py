"""Alerts of the daemon with real files: its rules, its last sign of life, and the two commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import daily_orchestrator
from config import Settings
from daily_orchestrator import TradingOrchestrator
from orchestration import checks
from orchestration.changes import (
    AlertAcknowledged,
    AlertSaved,
    BlockedSaved,
    Change,
    EventLogged,
    RunEnded,
    RunPlanned,
)
from orchestration.clock import VirtualClock
from orchestration.control import ControlDb
from orchestration.ctl.box import Box
from orchestration.ctl.desk import Desk
from orchestration.ctl.main import app
from orchestration.decisions import RaiseAlert
from orchestration.errors import SpecError
from orchestration.narration import Narrator
from orchestration.pulse import EVERY, Pulse
from orchestration.runs import ActiveRun, RunKey, TaskResult
from orchestration.service import last_sign, reread
from orchestration.simulation.stand_ins import QuietLog, SteadySensors
from orchestration.state.reader import STOPPED, Trace
from orchestration.state.store import SqlStore
from tests.control_desk import FakeDaemon
from tests.integration.test_service import home, open_alerts

__all__ = ["home"]

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUN = ActiveRun(
    key=RunKey("nightly", "2026-11-20", "once", 1),
    started_at=NOW - HOUR,
    predicted_end=NOW,
    reserved_mb=100.0,
)
FAILED = AlertSaved(at=NOW, key="failed:nightly", severity="error", text="nightly failed", task="nightly")


# --- the last sign of life ----------------------------------------------------------------------------------


SIGNS: dict[str, tuple[list[Change], Trace | None]] = {
    "none": ([], None),
    "a run planned": ([RunPlanned(run=RUN)], Trace(NOW - HOUR, orderly=False)),
    "a run ended": (
        [RunPlanned(run=RUN), RunEnded(result=TaskResult(key=RUN.key, ended_at=NOW))],
        Trace(NOW, orderly=False),
    ),
    "a reason": ([BlockedSaved(task="nightly", at=NOW, blocked=None)], Trace(NOW, orderly=False)),
    "a stop": (
        [RunPlanned(run=RUN), EventLogged(at=NOW, name=STOPPED)],
        Trace(NOW, orderly=True),
    ),
    "a start after a stop": (
        [EventLogged(at=NOW - HOUR, name=STOPPED), EventLogged(at=NOW, name="window.started")],
        Trace(NOW, orderly=False),
    ),
}


@pytest.mark.parametrize("name", SIGNS)
def test_the_last_sign_of_life_is_the_newest_in_the_database(tmp_path: Path, name: str) -> None:
    changes, expected = SIGNS[name]
    store = SqlStore(tmp_path / "performance.db")
    store.commit(changes)

    assert store.last_trace() == expected
    store.close()


@pytest.mark.parametrize(
    ("event", "found"), [("window.started", NOW + HOUR), (STOPPED, NOW)], ids=["lived on", "was stopped"]
)
def test_the_file_that_is_touched_is_a_later_sign_unless_it_was_stopped(
    home: Path, event: str, found: datetime
) -> None:
    orch = TradingOrchestrator()
    assert isinstance(orch.store, SqlStore)
    orch.store.commit([EventLogged(at=NOW, name=event)])
    Pulse(home / "state" / "alive").beat(NOW + HOUR)

    assert last_sign(orch) == Trace(found, orderly=event == STOPPED)
    orch.store.close()


def test_a_first_start_has_no_sign_though_the_file_is_there(home: Path) -> None:
    orch = TradingOrchestrator()
    assert orch.store is not None
    Pulse(home / "state" / "alive").beat(NOW)

    assert last_sign(orch) is None
    orch.store.close()


def test_the_file_is_touched_every_two_minutes_and_when_the_clock_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "alive"
    pulse = Pulse(path)
    assert pulse.last() is None

    shown = []
    for at in (NOW, NOW + EVERY / 2, NOW + EVERY, NOW - HOUR):
        pulse.beat(at)
        shown.append(pulse.last())

    assert shown == [NOW, NOW, NOW + EVERY, NOW - HOUR]


def test_a_file_that_cannot_be_touched_is_no_failure(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path / "nowhere" / "alive")

    pulse.beat(NOW)

    assert pulse.last() is None


# --- the rules ----------------------------------------------------------------------------------------------


@pytest.fixture
def rules(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write the rules for alerts of `home`."""
    path = home / "alerts.toml"
    monkeypatch.setenv("ORCHESTRATOR_ALERTS", str(path))

    def write(content: str) -> None:
        path.write_text(content)

    write("")
    return write


def test_changed_rules_hold_without_a_restart_and_clear_what_is_none_by_them(
    home: Path, rules: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    orch = TradingOrchestrator()
    narrator = Narrator(QuietLog(), QuietLog(), rules=orch.alert_rules)
    kept: list[Change] = []
    monkeypatch.setattr(orch, "note", kept.append)  # what would go to a running loop
    narrator.alert(RaiseAlert(key="disk", text="full"), NOW)

    rules('[[rule]]\nwhen = "disk"\nenabled = false')
    reread(orch, narrator)

    assert [(row.key, row.cleared) for row in kept if isinstance(row, AlertSaved)] == [("disk", True)]
    assert narrator.alert(RaiseAlert(key="disk", text="full"), NOW) == []


def test_invalid_rules_keep_the_old_and_are_an_alert_until_they_are_mended(
    home: Path, rules: Callable[[str], None]
) -> None:
    rules('[[rule]]\nwhen = "disk"\nfree_percent = 9')
    (home / "state").mkdir()
    orch = TradingOrchestrator()
    rules('[[rule]]\nwhen = "dsik"')
    ControlDb(home / "state" / "control.db").post("reload")
    orch.run(once=True)

    rule = orch.alert_rules.rule_for("disk")
    assert rule is not None
    assert rule.number("free_percent") == 9
    assert open_alerts(home) == ["settings:refused"]
    assert "Did you mean 'disk'?" in (home / "logs" / "orchestrator.log").read_text()
    rules("")
    TradingOrchestrator().run(once=True)
    assert open_alerts(home) == []


def test_a_start_with_invalid_rules_is_refused_as_with_invalid_tasks(
    home: Path, rules: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    rules('[[rule]]\nwhen = "disk"\nfree_mb = "all"')

    assert daily_orchestrator.main(["--check"]) == 78
    assert "rule 'disk', free_mb = 'all': expected a number" in capsys.readouterr().err
    with pytest.raises(SpecError):
        TradingOrchestrator()


def test_a_check_tells_of_rules_that_are_hardly_meant(
    home: Path, rules: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    rules('[[rule]]\nwhen = "task_failed"\ntasks = ["quik"]')

    assert daily_orchestrator.main(["--check"]) == 0
    assert "alerts      WARNING:" in (out := capsys.readouterr().out)
    assert "there is no task 'quik'. Did you mean 'quick'?" in out


def test_a_box_without_rules_of_its_own_is_checked_against_the_shipped_ones(home: Path) -> None:
    found = [finding for finding in checks.check(TradingOrchestrator()) if finding.topic == "alerts"]

    assert [(finding.level, finding.text) for finding in found] == [("ok", "the shipped rules")]


# --- the commands -------------------------------------------------------------------------------------------


def call(folder: Path, *words: str, daemon: FakeDaemon | None = None) -> Result:
    environ = {"ORCHESTRATOR_STATE_DIR": str(folder), "USE_UNIFIED_SCHEDULER": "true"}
    clock = VirtualClock(NOW + HOUR)
    box = Box(Settings.from_env(environ), clock, SteadySensors())
    desk = Desk(environ, clock=clock, daemon=daemon or FakeDaemon(), box=box)
    return CliRunner().invoke(app, list(words), obj=desk)


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A state with an alert that stands, one that was seen, and one that is over."""
    store = SqlStore(tmp_path / "performance.db")
    seen = AlertSaved(at=NOW - HOUR, key="disk", severity="warning", text="the disk is full")
    over = AlertSaved(at=NOW - 2 * HOUR, key="clock", severity="error", text="the clock is wrong")
    changes = [over, AlertSaved(at=NOW, key="clock", severity="info", text="cleared", cleared=True)]
    store.commit([*changes, seen, AlertAcknowledged(at=NOW, key="disk"), FAILED])
    store.close()
    return tmp_path


def test_alerts_lists_what_stands_with_its_state(told: Path) -> None:
    shown = call(told, "alerts").stdout.splitlines()

    assert [line.split()[:7] for line in shown[1:]] == [
        ["Fri", "09:00", "EST", "warning", "seen", "disk", "the"],
        ["Fri", "10:00", "EST", "error", "open", "failed:nightly", "nightly"],
    ]


def test_alerts_all_lists_what_is_over_too_and_as_json(told: Path) -> None:
    found = json.loads(call(told, "alerts", "--all", "--json").stdout)

    assert [(row["key"], row["cleared_at"] is None) for row in found] == [
        ("failed:nightly", True),
        ("disk", True),
        ("clock", False),
    ]
    assert found[0]["raised_at"] == "2026-11-20T15:00:00Z"


def test_alerts_says_when_none_stands_and_where_nothing_ever_ran(tmp_path: Path) -> None:
    assert call(tmp_path, "alerts").stdout == "no alert stands\n"


@pytest.mark.parametrize(
    ("words", "args"), [(("disk",), {"alert": "disk"}), (("--all",), {"all": "true"})], ids=["one", "all"]
)
def test_acknowledge_tells_the_daemon(told: Path, words: tuple[str, ...], args: dict[str, str]) -> None:
    daemon = FakeDaemon(who={"pid": 4242})

    result = call(told, "acknowledge", *words, daemon=daemon)

    assert (result.exit_code, daemon.asked) == (0, [("acknowledge", args)])
    assert result.stdout == "acknowledge done\n"


@pytest.mark.parametrize("words", [(), ("disk", "--all")], ids=["neither", "both"])
def test_acknowledge_needs_an_alert_or_all(told: Path, words: tuple[str, ...]) -> None:
    result = call(told, "acknowledge", *words, daemon=FakeDaemon(who={"pid": 4242}))

    assert result.exit_code == 2
    assert "give an ALERT" in result.stderr
