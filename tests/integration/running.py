"""Shared by the tests of the runner: launches, waits with a limit, and who is still there."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestration.ports import Launch, RunExit
from orchestration.processes import all_processes, has_marker
from orchestration.run_files import RunFiles
from orchestration.runner import ProcessRunner

ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
LIMIT_S = 60.0
"""What takes longer has failed: a start of Python alone takes many seconds on a small and busy box."""


class RealClock:
    """The two real clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def make_runner(folder: Path, *, rung: str = "watch", leftover_grace_s: float = 0.3) -> ProcessRunner:
    return ProcessRunner(
        folder / "runs", RealClock(), root=folder, rung=rung, leftover_grace_s=leftover_grace_s
    )


def make_launch(
    run_id: str,
    argv: Sequence[str],
    *,
    memory_mb: float = 500.0,
    log_limit_bytes: int = 1_000_000,
    low_priority: bool = False,
    cpus: int = 1,
) -> Launch:
    return Launch(
        run_id=run_id,
        task=run_id,
        argv=tuple(argv),
        env=ENV,
        cwd="/",
        memory_mb=memory_mb,
        log_limit_bytes=log_limit_bytes,
        low_priority=low_priority,
        cpus=cpus,
    )


def shell_job(run_id: str, script: str, *, memory_mb: float = 500.0, low_priority: bool = False) -> Launch:
    return make_launch(run_id, ("/bin/sh", "-c", script), memory_mb=memory_mb, low_priority=low_priority)


def finish(runner: ProcessRunner, count: int = 1, *, limit_s: float = LIMIT_S) -> dict[str, RunExit]:
    """Turn the runner as the loop does until `count` runs have ended."""
    found: dict[str, RunExit] = {}
    end = time.monotonic() + limit_s
    while len(found) < count:
        assert time.monotonic() < end, f"only {sorted(found)} have ended after {limit_s} s"
        tick_at = runner.tick()
        wait_s = 0.1 if tick_at is None else max(0.0, min(0.1, tick_at - time.monotonic()))
        select.select(runner.fds(), [], [], wait_s)
        found.update({left.run_id: left for left in runner.reap()})
    return found


def run_one(runner: ProcessRunner, launch: Launch, *, limit_s: float = LIMIT_S) -> RunExit:
    runner.start(launch)
    return finish(runner, limit_s=limit_s)[launch.run_id]


def wait_for(claim: Callable[[], object], what: str, *, limit_s: float = LIMIT_S) -> None:
    end = time.monotonic() + limit_s
    while not claim():
        assert time.monotonic() < end, f"{what}: not within {limit_s} s"
        time.sleep(0.005)


def alive_with(folder: Path, run_ids: Iterable[str]) -> list[int]:
    """Return the pids that carry one of these runs of the runner in `folder` in their environment."""
    markers = [RunFiles(folder / "runs" / run_id).marker for run_id in run_ids]
    processes = [stat.pid for stat in all_processes().values() if stat.is_alive]
    return [pid for pid in processes if any(has_marker(pid, marker) for marker in markers)]
