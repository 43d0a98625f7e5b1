"""A process that holds most of the memory: heavy tasks wait with MEMORY and the numbers, light ones run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.acceptance.daemon import Daemon, wait_for

FREE_MB, HELD_MB, HEAVY_MB, LIGHT_MB = 800, 600, 500, 20
HOLD = """
import sys
held = bytearray(int(sys.argv[1]))
held[::4096] = b"x" * len(held[::4096])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def memory_held(megabytes: int) -> Iterator[subprocess.Popen[str]]:
    """A process that really holds so much, until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(megabytes * 1_000_000)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def reserve_all_but(megabytes: int) -> str:
    """Return the reserve that leaves tasks so much of what is available now."""
    available_mb = psutil.virtual_memory().available / 1e6
    if available_mb < 2 * megabytes:
        pytest.skip(f"only {available_mb:.0f} MB are available; {2 * megabytes} MB are needed")
    return str(int(available_mb - megabytes))


@pytest.mark.slow
def test_a_heavy_task_waits_for_memory_with_the_numbers_while_a_light_one_runs(daemon: Daemon) -> None:
    daemon.write_tasks(
        daemon.job("heavy", "true", memory_mb=HEAVY_MB),
        daemon.job("light", "true", memory_mb=LIGHT_MB),
    )
    reserve = reserve_all_but(FREE_MB)

    with memory_held(HELD_MB):
        daemon.start({"ORCHESTRATOR_MEMORY_RESERVE_MB": reserve})
        daemon.wait_outcomes("light", "succeeded")
        [line] = wait_for(lambda: daemon.said("task.blocked", task="heavy"), "heavy is blocked")
        # Foreign memory is looked at again every 30 s: it still waits after that.
        time.sleep(33)
        assert daemon.runs("heavy") == []
    released = time.monotonic()
    daemon.wait_outcomes("heavy", "succeeded")

    assert line["reason"] == "MEMORY"
    assert line["needed"] == HEAVY_MB
    assert 0 <= line["available"] < HEAVY_MB
    assert time.monotonic() - released < 45


def test_once_says_of_a_heavy_task_what_it_needs_and_what_there_is(daemon: Daemon) -> None:
    daemon.write_tasks(
        daemon.job("heavy", "true", memory_mb=HEAVY_MB),
        daemon.job("light", "true", memory_mb=LIGHT_MB),
    )

    with memory_held(HELD_MB):
        reserve = reserve_all_but(HEAVY_MB // 2)
        ended = daemon.run_to_end("--once", environ={"ORCHESTRATOR_MEMORY_RESERVE_MB": reserve})

    assert ended.returncode == 0
    [line] = [line for line in ended.stdout.splitlines() if line.split()[:1] == ["heavy"]]
    assert "MEMORY" in line
    assert str(HEAVY_MB) in line
    assert daemon.outcomes("light") == ["succeeded"]
    assert daemon.runs("heavy") == []
