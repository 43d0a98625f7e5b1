"""The executor as a process that SIGKILL ends at a step, started again until the orders are done."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.test_executor_kills import (
    check_door,
    filled,
    kill,
    plentiful,
    sample,
    steps_of,
    totals,
)
from tests.trading_floor import Floor
from trading.execution.orders import Side

ROOT = Path(__file__).resolve().parents[2]


def work(folder: Path, kill_at: int, faults: str) -> int:
    """Run one process to its end; return its exit code, negative for a signal."""
    argv = [sys.executable, "-m", "tests.integration.killed_worker", str(folder), str(kill_at), faults]
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=60, start_new_session=True, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def work_until_done(folder: Path, kills: list[int], faults: str = "none") -> Floor:
    """Start a process again and again, each killed at its step; the last one ends by itself."""
    for kill_at in kills:
        assert work(folder, kill_at, faults) == -signal.SIGKILL
    assert work(folder, 0, faults) == 0
    floor = plentiful(folder)
    check_door(floor, (folder / "door").read_text().split())
    return floor


def test_a_process_killed_once_leaves_the_same_fills(tmp_path: Path) -> None:
    """The same steps, killed by an exception in this process, say which kills lose an intent on its way."""
    whole = plentiful(tmp_path / "whole")
    names = steps_of(whole)
    numbers = sample(len(names), 9)
    with ThreadPoolExecutor(2) as pool:
        floors = list(pool.map(lambda number: work_until_done(tmp_path / f"{number}", [number]), numbers))

    for number, floor in zip(numbers, floors, strict=True):
        assert totals(floor) == {Side.BUY: 150}
        is_lost = kill(plentiful(tmp_path / f"twin-{number}"), number)
        assert is_lost or filled(floor) == filled(whole), f"killed at {number} ({names[number - 1]})"


def test_a_process_killed_again_and_again_among_faults_loses_and_doubles_nothing(tmp_path: Path) -> None:
    floor = work_until_done(tmp_path / "floor", [9, 14, 6, 11], faults="faults")

    assert totals(floor)[Side.BUY] <= 150
