"""`orchestratorctl top` over a real database, printed and live in a real terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from typer.testing import CliRunner

from orchestration.ctl.main import app
from tests.control_desk import FRIDAY_EVENING
from tests.dashboard_box import DashboardBox, dashboard_box, planned, running

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
BEGUN = planned("daily_report", FRIDAY_EVENING - timedelta(seconds=15), minutes=0.5)


@contextmanager
def live(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """Run `top` in a terminal of its own; give its process and both ends of the terminal."""
    outside, inside = pty.openpty()
    environ = {
        **os.environ,
        "ORCHESTRATOR_STATE_DIR": str(folder),
        "ORCHESTRATOR_LOG_DIR": str(folder / "logs"),
        "TERM": "xterm",
        "COLUMNS": "80",
        "LINES": "24",
    }
    argv = [sys.executable, "-m", "orchestration.ctl.main", "top"]
    process = subprocess.Popen(
        argv, cwd=ROOT, env=environ, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    )
    try:
        yield process, outside, inside
    finally:
        process.kill()
        process.wait()
        os.close(outside)
        os.close(inside)


def read_until(process: subprocess.Popen[bytes], terminal: int, wanted: str) -> str:
    """Return what has come from the terminal once `wanted` is in it."""
    found, end = b"", monotonic() + PATIENCE_S
    while wanted not in found.decode(errors="replace"):
        has_ended = process.poll() is not None
        if select.select([terminal], [], [], 1.0)[0]:
            found += os.read(terminal, 65536)
        elif has_ended or monotonic() > end:
            pytest.fail(f"{wanted!r} did not come: {found.decode(errors='replace')}")
    return found.decode(errors="replace")


def call(box: DashboardBox, *words: str) -> str:
    result = CliRunner().invoke(app, ["top", *words], obj=box.source.desk)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_where_the_output_is_no_terminal_it_is_printed_once(tmp_path: Path) -> None:
    with dashboard_box(tmp_path, *running(BEGUN)) as box:
        shown = call(box)

    assert shown.startswith("RESEARCH weekend  EXTENDED")
    assert "No daemon is running" in shown
    assert "15.0 s of about 30.0 s" in shown
    assert "q ends" not in shown


def test_json_is_one_object(tmp_path: Path) -> None:
    with dashboard_box(tmp_path, *running(BEGUN)) as box:
        found = json.loads(call(box, "--json"))

    assert found["window"] == "2026-11-23/WEEKEND"
    assert [run["task"] for run in found["running"]] == ["daily_report"]


def test_a_box_without_a_state_says_so(tmp_path: Path) -> None:
    with dashboard_box(tmp_path / "a") as box:
        desk = box.source.desk
        (tmp_path / "a" / "performance.db").rename(tmp_path / "gone.db")
        result = CliRunner().invoke(app, ["top", "--once"], obj=desk)

    assert result.exit_code == 1
    assert "no daemon has run" in result.stderr


def test_in_a_terminal_it_stays_follows_the_daemon_and_gives_the_terminal_back(tmp_path: Path) -> None:
    with dashboard_box(tmp_path) as box, live(tmp_path) as (process, terminal, inside):
        before = termios.tcgetattr(inside)
        read_until(process, terminal, "q ends")
        assert termios.tcgetattr(inside) != before

        box.store.commit(running(BEGUN))
        read_until(process, terminal, "daily_report")
        os.write(terminal, b"q")
        read_until(process, terminal, "\x1b[?1049l")

        assert process.wait(PATIENCE_S) == 0
        assert termios.tcgetattr(inside) == before
