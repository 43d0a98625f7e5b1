"""A full disk: the daemon says so, starts nothing, keeps what runs, and goes on when there is room again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Daemon, wait_for


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take up all the room there is; return the file that holds it."""
    ballast = place / "ballast"
    with open(ballast, "ab", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return ballast


@pytest.fixture
def cramped(tmp_path: Path, small_disk: Path) -> Iterator[Daemon]:
    """A daemon whose state lies on the small disk, and its logs and witness elsewhere."""
    box = Daemon(tmp_path, state=small_disk / "state")
    try:
        yield box
    finally:
        box.clean_up()


def tick(daemon: Daemon) -> str:
    return daemon.job("tick", "true", every="1s", estimated_minutes=0.005, timeout_minutes=0.5)


@pytest.mark.slow
def test_on_a_full_state_disk_nothing_starts_what_runs_goes_on_and_nothing_is_lost(
    cramped: Daemon, small_disk: Path
) -> None:
    go = cramped.folder / "go"
    cramped.write_tasks(
        tick(cramped),
        cramped.job("long", f'while [ ! -e "{go}" ]; do sleep 0.05; done; exit 6', max_attempts=1),
    )
    cramped.start()
    cramped.wait_seen("start", "long")
    cramped.wait_seen("stop", "tick", count=2)
    before = cramped.outcomes("tick").count("succeeded")

    ballast = fill(small_disk)
    wait_for(lambda: cramped.said("store.failing"), "store.failing")
    # Whatever was committed before the disk was full is done with; after that nothing starts.
    wait_for(lambda: len(cramped.left_behind()) == 3, "only the long run")
    count = len(cramped.seen("start", "tick"))
    time.sleep(6)
    assert len(cramped.seen("start", "tick")) == count
    assert "full" in cramped.said("store.failing")[0]["detail"]
    assert len(cramped.said("store.failing")) == 1
    assert len(cramped.left_behind()) == 3
    go.touch()
    wait_for(lambda: not cramped.left_behind(), "the end of the long run")
    time.sleep(1)
    ballast.unlink()

    wait_for(lambda: cramped.said("store.recovered"), "store.recovered")
    cramped.wait_outcomes("long", "failed")
    cramped.wait_seen("start", "tick", count=count + 2)
    assert [run["exit_code"] for run in cramped.runs("long")] == [6]
    assert cramped.stop() == 0
    outcomes = cramped.outcomes("tick")
    assert outcomes.count("succeeded") > before
    assert set(outcomes) <= {"succeeded", "killed", "failed"}
    assert cramped.seen("overlap") == []


@pytest.mark.slow
def test_a_daemon_killed_on_a_full_disk_comes_back_with_all_it_had_recorded(
    cramped: Daemon, small_disk: Path
) -> None:
    cramped.write_tasks(cramped.job("before", "true"), tick(cramped))
    cramped.start()
    cramped.wait_outcomes("before", "succeeded")

    ballast = fill(small_disk)
    wait_for(lambda: cramped.said("store.failing"), "store.failing")
    cramped.kill()
    refused = cramped.run_to_end("--once")
    ballast.unlink()
    cramped.start()
    count = len(cramped.seen("start", "tick"))
    cramped.wait_seen("start", "tick", count=count + 1)

    assert refused.returncode == 73
    assert "full" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert cramped.outcomes("before") == ["succeeded"]
    assert len(cramped.seen("start", "before")) == 1
    assert cramped.stop() == 0


def test_a_stop_on_a_full_disk_ends_in_time_and_the_next_start_makes_up_for_it(
    cramped: Daemon, small_disk: Path
) -> None:
    cramped.write_tasks(
        cramped.job("long", "trap 'exit 0' TERM; while :; do sleep 0.05; done"), tick(cramped)
    )
    cramped.start({"ORCHESTRATOR_STOP_TIMEOUT": "50s"})
    cramped.wait_seen("start", "long")
    cramped.wait_seen("stop", "tick")

    ballast = fill(small_disk)
    wait_for(lambda: cramped.said("store.failing"), "store.failing")
    began = time.monotonic()
    cramped.signal(signal.SIGTERM)
    assert cramped.wait() == 0
    took_s = time.monotonic() - began
    ballast.unlink()
    cramped.write_tasks(cramped.job("long", "true"))
    cramped.start()

    # Its end could be written nowhere, so it counts as lost and runs again, as idempotent tasks do.
    cramped.wait_outcomes("long", "interrupted", "succeeded")
    assert took_s < 40
    assert cramped.seen("overlap") == []


@pytest.mark.parametrize("arguments", [(), ("--once",)])
def test_a_first_start_on_a_full_disk_is_refused_and_the_next_one_finds_nothing_broken(
    cramped: Daemon, small_disk: Path, arguments: tuple[str, ...]
) -> None:
    cramped.write_tasks(cramped.job("job", "true"))
    ballast = fill(small_disk)

    refused = cramped.run_to_end(*arguments)
    ballast.unlink()
    cramped.start()
    cramped.wait_outcomes("job", "succeeded")

    assert refused.returncode == 73
    assert "Traceback" not in refused.stderr
    assert "No space left" in refused.stderr or "full" in refused.stderr


def test_a_full_log_disk_keeps_nothing_from_running(tmp_path: Path, small_disk: Path) -> None:
    daemon = Daemon(tmp_path, logs=small_disk / "logs")
    try:
        daemon.write_tasks(tick(daemon), daemon.job("noisy", "head -c 8000000 /dev/zero; true"))
        daemon.start()
        daemon.wait_outcomes("noisy", "succeeded")
        fill(small_disk)
        count = len(daemon.seen("stop", "tick"))
        daemon.wait_seen("stop", "tick", count=count + 3)

        wait_for(lambda: daemon.outcomes("tick").count("succeeded") >= count + 3, "the runs are recorded")
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.stderr()
    finally:
        daemon.clean_up()
