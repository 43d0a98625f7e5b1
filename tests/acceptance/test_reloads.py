"""The task file and the overrides are read again without a restart; an invalid one keeps the old in force."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tests.acceptance.daemon import Daemon, task, wait_for


def test_an_edited_task_file_is_taken_in_without_a_restart(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("one", "true"))

    daemon.start()
    daemon.wait_outcomes("one", "succeeded")
    daemon.write_tasks(daemon.job("one", "true"), daemon.job("two", "true"))
    daemon.wait_outcomes("two", "succeeded")

    assert len(daemon.said("settings.reloaded")) == 1
    assert daemon.outcomes("one") == ["succeeded"]


def test_an_invalid_task_file_keeps_the_old_and_says_why(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("tick", "true", every="1s", estimated_minutes=0.005, timeout_minutes=0.5))

    daemon.start()
    daemon.wait_seen("start", "tick")
    daemon.write_tasks(task("tick", ["true"], dependencies=["nobody"]))
    wait_for(lambda: daemon.said("settings.refused"), "settings.refused")
    count = len(daemon.seen("start", "tick"))
    daemon.wait_seen("start", "tick", count=count + 2)

    assert "'nobody'" in daemon.said("settings.refused")[0]["detail"]
    assert daemon.said("settings.reloaded") == []


def test_sighup_reads_a_task_file_again(daemon: Daemon) -> None:
    """Also where nothing is noticed by itself: the settings name a file that a symbolic link hides."""
    real = daemon.folder / "elsewhere"
    real.mkdir()
    daemon.write_tasks(daemon.job("one", "true"))
    daemon.tasks.rename(real / "tasks.toml")
    daemon.tasks.symlink_to(real / "tasks.toml")

    daemon.start()
    daemon.wait_outcomes("one", "succeeded")
    link, daemon.tasks = daemon.tasks, real / "tasks.toml"
    daemon.write_tasks(daemon.job("one", "true"), daemon.job("two", "true"))
    daemon.tasks = link
    daemon.signal(signal.SIGHUP)

    daemon.wait_outcomes("two", "succeeded")


def test_a_day_closed_by_the_override_file_takes_its_trading_tasks_away(daemon: Daemon) -> None:
    today = datetime.now(UTC).astimezone(ZoneInfo("America/New_York")).date()
    overrides = daemon.state / "overrides.csv"
    # Due at any hour of a trading day, and on no other.
    trade = daemon.job("trade", "true", category="trading", on="trading", window="00:00..23:59", every="1s",
                       estimated_minutes=0.005, timeout_minutes=0.5)  # fmt: skip
    daemon.write_tasks(trade)
    daemon.state.mkdir()
    overrides.write_text(f"{today}, open=09:30 close=16:00, the test's own session\n")

    daemon.start()
    daemon.wait_seen("start", "trade")
    overrides.write_text(f"{today}, closed, the exchange said so\n")
    wait_for(lambda: daemon.said("settings.reloaded"), "settings.reloaded")
    wait_for(
        lambda: daemon.rows("SELECT 1 FROM decisions WHERE task = 'trade' AND reason = 'OUTSIDE_WINDOW'"),
        "trade is outside its window",
    )
    count = len(daemon.seen("start", "trade"))
    wait_for(lambda: not daemon.left_behind(), "no run of trade")

    daemon.signal(signal.SIGHUP)
    wait_for(lambda: len(daemon.said("settings.reloaded")) == 2, "a second reading")
    assert len(daemon.seen("start", "trade")) == count


def test_an_override_that_cannot_be_read_keeps_the_calendar_that_was(daemon: Daemon) -> None:
    daemon.state.mkdir()
    overrides = daemon.state / "overrides.csv"
    overrides.write_text("")

    daemon.start()
    overrides.write_text("2026-11-31, closed, no such day\n")
    wait_for(lambda: daemon.said("settings.refused"), "settings.refused")

    assert "2026-11-31" in daemon.said("settings.refused")[0]["detail"]
    assert daemon.stop() == 0


def test_edited_rules_for_alerts_hold_without_a_restart(daemon: Daemon) -> None:
    rules = daemon.folder / "alerts.toml"
    rules.write_text("")
    daemon.environ["ORCHESTRATOR_ALERTS"] = str(rules)
    daemon.write_tasks(daemon.job("one", "exit 1"))

    daemon.start()
    wait_for(lambda: daemon.rows("SELECT 1 FROM alerts WHERE key = 'failed:one'"), "the alert")
    rules.write_text('[[rule]]\nwhen = "task_failed"\nenabled = false\n')

    wait_for(
        lambda: daemon.rows("SELECT 1 FROM alerts WHERE key = 'failed:one' AND cleared_at IS NOT NULL"),
        "the alert is none any more",
    )
