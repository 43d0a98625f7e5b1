"""A halt of trading reaches the real daemon at once, however it was made, and leaves it as fast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration.ctl.desk import Desk
from orchestration.ctl.main import app
from tests.acceptance.daemon import LIMIT_S, Daemon, wait_for
from trading.execution.kill_switch import KillSwitch

AT_ONCE_S = 15
"""Enough for a busy box, and half of what passes until the daemon looks by itself."""


def by_command(daemon: Daemon, path: Path) -> None:
    desk = Desk(daemon.environment(), timeout_s=LIMIT_S)
    result = CliRunner().invoke(app, ["halt", "looks wrong"], obj=desk)
    assert result.exit_code == 0


def by_hand(daemon: Daemon, path: Path) -> None:
    path.touch()


def raised(daemon: Daemon) -> list[dict[str, object]]:
    return daemon.rows("SELECT severity, cleared_at FROM alerts WHERE key = 'trading_halted'")


@pytest.mark.parametrize("halt", [by_command, by_hand])
def test_a_halt_is_noticed_at_once_and_gone_when_it_is_taken_back(
    daemon: Daemon, halt: Callable[[Daemon, Path], None]
) -> None:
    path = daemon.state / "trading.halt"
    daemon.start()

    halt(daemon, path)
    wait_for(lambda: daemon.said("alert.raised", alert="trading_halted"), "the alert", limit_s=AT_ONCE_S)
    assert daemon.command_daemon("snapshot").payload.count('"fault": "act_now"') == 1
    path.unlink()
    wait_for(lambda: daemon.said("alert.cleared", alert="trading_halted"), "its end", limit_s=AT_ONCE_S)

    assert '"fault": "act_now"' not in daemon.command_daemon("snapshot").payload
    wait_for(lambda: raised(daemon)[0]["cleared_at"], "the cleared row")
    assert [row["severity"] for row in raised(daemon)] == ["critical"]
    assert daemon.said("settings.reloaded") == []


def test_a_halt_that_changed_while_no_daemon_ran_is_right_after_a_start(
    daemon: Daemon,
) -> None:
    switch = KillSwitch(daemon.state / "trading.halt")
    daemon.state.mkdir()
    switch.path.write_text("before the first start\n")

    daemon.start()
    wait_for(lambda: len(raised(daemon)) == 1, "the alert")
    assert daemon.stop() == 0
    daemon.start()
    assert len(daemon.said("alert.raised", alert="trading_halted")) == 1
    assert daemon.stop() == 0
    switch.path.unlink()
    daemon.start()

    wait_for(lambda: daemon.said("alert.cleared", alert="trading_halted"), "its end")
