"""The trading halt: the daemon reads what the kill switch writes; the control command sets and clears it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestration.ctl.desk import Desk
from orchestration.ctl.main import app
from orchestration.halt import FILE_NAME, reason_of
from orchestration.loop import POLL_EVERY
from orchestration.service import longest_sleep
from tests.control_desk import FakeDaemon
from trading.execution import kill_switch
from trading.execution.kill_switch import KillSwitch

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
NO_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def call(folder: Path, *words: str, daemon: FakeDaemon | None = None) -> Result:
    environ = {"ORCHESTRATOR_STATE_DIR": str(folder)}
    return CliRunner().invoke(app, list(words), obj=Desk(environ, daemon=daemon))


# --- what the daemon reads --------------------------------------------------------------------------------


def test_both_sides_mean_the_same_file() -> None:
    assert FILE_NAME == kill_switch.FILE_NAME


def test_without_a_file_trading_is_not_halted(path: Path) -> None:
    assert reason_of(path) is None


def test_a_halt_is_told_with_who_set_it_and_when(path: Path) -> None:
    KillSwitch(path).set("daily loss", "risk", AT)
    KillSwitch(path).set("to be sure", "me", AT)

    assert reason_of(path) == "daily loss (risk, 2026-11-20T15:00:00+00:00)"


SHAPES: dict[str, Callable[[Path], object]] = {
    "empty": Path.touch,
    "a person's words": lambda path: path.write_text("\n  call me first\n"),
    "a number": lambda path: path.write_text("7\n"),
    "torn": lambda path: path.write_text('{"at": "2026-'),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "brackets": lambda path: path.write_text("[" * 9_000),
    "huge": lambda path: path.write_text("x" * 3_000_000),
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES.keys())
def test_whatever_is_there_halts_for_the_daemon_as_for_the_executor(
    path: Path, make: Callable[[Path], object]
) -> None:
    make(path)

    reason, halt = reason_of(path), KillSwitch(path).read()
    assert halt is not None
    assert reason is not None
    assert reason == halt.reason[:500]


def test_half_a_character_in_a_reason_can_be_stored_and_said(path: Path) -> None:
    path.write_text(r'{"at": "today", "by": "me", "reason": "file a\udcff"}')

    assert reason_of(path) == "file a? (me, today)"


@NO_ROOT
def test_a_folder_that_cannot_be_entered_halts(path: Path) -> None:
    path.parent.chmod(0)
    try:
        assert "cannot be looked at" in (reason_of(path) or "")
    finally:
        path.parent.chmod(stat.S_IRWXU)


def test_where_the_kernel_tells_nothing_of_files_the_loop_looks_every_half_minute() -> None:
    class Waiter:
        limits: tuple[str, ...] = ()

    whole, blind = Waiter(), Waiter()
    blind.limits = ("files",)

    assert longest_sleep(None, whole) is None  # type: ignore[arg-type]  # only its limits are asked
    assert longest_sleep(None, blind) == POLL_EVERY  # type: ignore[arg-type]
    assert longest_sleep(POLL_EVERY / 2, blind) == POLL_EVERY / 2  # type: ignore[arg-type]


# --- the control command ----------------------------------------------------------------------------------


def test_halt_and_resume_need_no_daemon_and_leave_a_history(tmp_path: Path, path: Path) -> None:
    halted = call(tmp_path, "halt", "the fills look wrong")
    standing = KillSwitch(path).read()
    resumed = call(tmp_path, "resume", "--trading")

    assert (halted.exit_code, resumed.exit_code) == (0, 0)
    assert standing is not None
    assert (standing.reason, standing.by) == ("the fills look wrong", "orchestratorctl")
    assert reason_of(path) is None
    lines = [json.loads(line) for line in KillSwitch(path).history.read_text().splitlines()]
    assert [line.get("reason", "cleared") for line in lines] == ["the fills look wrong", "cleared"]


def test_a_second_halt_says_the_first_reason_and_keeps_it(tmp_path: Path, path: Path) -> None:
    KillSwitch(path).set("daily loss", "risk", AT)

    said = call(tmp_path, "halt", "to be sure", "--json")

    text = "trading was halted already: daily loss (risk, 2026-11-20T15:00:00+00:00); your reason is added"
    assert json.loads(said.stdout) == {"ok": True, "text": text}


def test_there_is_nothing_to_resume_where_nothing_is_halted(tmp_path: Path) -> None:
    assert call(tmp_path, "resume", "--trading").stdout == "trading was not halted\n"


def test_a_halt_that_cannot_be_made_fails_and_says_so(tmp_path: Path) -> None:
    said = call(tmp_path / "nowhere", "halt", "why")

    assert said.exit_code == 1
    assert "trading could NOT be halted" in said.stderr


def test_resuming_research_does_not_resume_trading_and_says_so(tmp_path: Path, path: Path) -> None:
    KillSwitch(path).set("daily loss", "risk", AT)

    said = call(tmp_path, "resume", daemon=FakeDaemon(who={"pid": 1}))

    assert said.stdout.startswith("resume done; trading is still halted: daily loss (risk")
    assert reason_of(path) is not None


def test_status_says_a_halt_in_its_first_line_without_a_daemon_too(tmp_path: Path, path: Path) -> None:
    KillSwitch(path).set("daily loss", "risk", AT)

    said = call(tmp_path, "status")

    assert said.exit_code == 0, said.stderr
    first = said.stdout.splitlines()[0]
    assert "TRADING IS HALTED: daily loss" in first
    assert json.loads(call(tmp_path, "status", "--json").stdout)["halted"].startswith("daily loss")


def test_neither_side_loads_the_others_code() -> None:
    """The daemon's module knows nothing of `trading`, and the kill switch needs nothing heavy."""
    code = (
        "import sys, orchestration.halt; before = [m for m in sys.modules if m.startswith('trading')];"
        "import trading.execution.kill_switch;"
        "print(before, sorted({'numpy', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[] []\n"
