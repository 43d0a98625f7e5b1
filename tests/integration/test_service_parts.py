"""The parts that the service opens: a full disk, a state that was lost, secrets, panel, alerts."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from config import Settings
from daily_orchestrator import TradingOrchestrator
from hardware.panel import NullPanel
from observability.alerts import CommandSink
from observability.redact import HIDDEN
from observability.secret_values import known_secrets
from orchestration.errors import StoreError
from orchestration.service import alert_sink, open_panel, open_store
from orchestration.state.ballast import Ballast
from orchestration.state.memory import MemoryStore
from orchestration.state.store import SqlStore
from scripts import backup_databases
from tests.integration.test_service import add, home

__all__ = ["home"]


class FullOnce:
    """An orchestrator whose state cannot be opened while the ballast takes up the room."""

    def __init__(self, ballast: Path) -> None:
        self._ballast = ballast

    @property
    def store(self) -> MemoryStore:
        if self._ballast.exists():
            raise StoreError(errno.ENOSPC, "the disk is full")
        return MemoryStore()


def test_on_a_full_disk_the_ballast_lets_the_state_be_opened(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 1000)
    ballast.restore()

    store = open_store(cast(TradingOrchestrator, FullOnce(tmp_path / "ballast")), ballast)

    assert isinstance(store, MemoryStore)


def test_any_other_fault_of_the_state_is_not_hidden(tmp_path: Path) -> None:
    class Broken:
        @property
        def store(self) -> MemoryStore:
            raise StoreError(errno.EIO, "the disk is broken")

    ballast = Ballast(tmp_path / "ballast", 1000)
    ballast.restore()

    with pytest.raises(StoreError, match="broken"):
        open_store(cast(TradingOrchestrator, Broken()), ballast)

    assert (tmp_path / "ballast").exists()


def test_a_new_state_beside_a_backup_of_an_older_one_raises_an_alert(home: Path) -> None:
    TradingOrchestrator().run(once=True)
    state = home / "state"
    backup_databases.main(["--state-dir", str(state), "--backup-dir", str(state / "backups")])
    for name in ("performance.db", "performance.db-wal", "performance.db-shm"):
        (state / name).unlink(missing_ok=True)

    TradingOrchestrator().run(once=True)

    with closing(sqlite3.connect(state / "performance.db")) as connection:
        keys = [row[0] for row in connection.execute("SELECT key FROM alerts")]
    assert keys == ["state:new"]


def test_the_values_of_secrets_are_known_to_the_log(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("hunter2\n")

    def known(**settings: str) -> list[str]:
        return known_secrets(Settings.from_env(_environ(tmp_path, **settings)))

    assert known(ORCHESTRATOR_CREDENTIALS_DIR=str(tmp_path / "secrets")) == ["hunter2"]
    assert known() == []
    assert known(ORCHESTRATOR_CREDENTIALS_DIR=str(tmp_path / "absent")) == []


def test_a_credential_that_cannot_be_read_stops_nobody_and_hides_the_others(tmp_path: Path) -> None:
    (tmp_path / "secrets" / "folder").mkdir(parents=True)
    (tmp_path / "secrets" / "loop").symlink_to("loop")
    (tmp_path / "secrets" / "token").write_text("hunter2\n")
    (tmp_path / "secrets" / "unreadable").symlink_to("/proc/self/mem")  # whose first page is nobody's

    settings = Settings.from_env(_environ(tmp_path, ORCHESTRATOR_CREDENTIALS_DIR=str(tmp_path / "secrets")))

    assert known_secrets(settings) == ["hunter2"]


def test_the_daemon_s_log_shows_nothing_of_an_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a task is called like the topic, the log would."""
    (home / "secrets").mkdir()
    (home / "secrets" / "more_urls").write_text(
        "mail=mailto://a@b.org phone=ntfys://ntfy.sh/quiet_topic_of_mine"
    )
    monkeypatch.setenv("ORCHESTRATOR_CREDENTIALS_DIR", str(home / "secrets"))
    add(home, '[[task]]\nname = "quiet_topic_of_mine"\nargv = ["/bin/true"]\nevery = "1m"\n')

    TradingOrchestrator().run(once=True)

    logs = "".join(path.read_text() for path in (home / "logs").glob("*.log"))
    assert f'"task": "{HIDDEN}"' in logs
    assert "quiet_topic" not in logs


@pytest.mark.parametrize(("kind", "is_null"), [("auto", True), ("recording", False)])
def test_a_panel_is_opened_as_the_settings_say(tmp_path: Path, kind: str, is_null: bool) -> None:
    if any(Path("/dev").glob("gpiochip*")):
        pytest.skip("this box has a GPIO header, which auto would use")
    orch = TradingOrchestrator(Settings.from_env(_environ(tmp_path, ORCHESTRATOR_PANEL=kind)))

    assert isinstance(open_panel(orch), NullPanel) is is_null


def test_alerts_go_to_the_operators_command_if_there_is_one(tmp_path: Path) -> None:
    told = TradingOrchestrator(Settings.from_env(_environ(tmp_path, ORCHESTRATOR_ALERT_COMMAND="/bin/cat -")))
    silent = TradingOrchestrator(Settings.from_env(_environ(tmp_path)))

    assert isinstance(alert_sink(told), CommandSink)
    assert alert_sink(silent) is None


def _environ(folder: Path, **more: str) -> dict[str, str]:
    places = {"ORCHESTRATOR_STATE_DIR": str(folder / "s"), "ORCHESTRATOR_LOG_DIR": str(folder / "l")}
    return {**places, **more}


def test_the_state_is_kept_in_sqlite_unless_told_otherwise(home: Path) -> None:
    orch = TradingOrchestrator()

    try:
        assert isinstance(orch.store, SqlStore)
    finally:
        orch.store.close()
