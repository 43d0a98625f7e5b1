"""One daemon per state directory."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.clock import SystemClock, VirtualClock
from orchestration.errors import AlreadyRunning, ControlError
from orchestration.instance import InstanceLock, holder, signal_daemon

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import signal, sys
from pathlib import Path
from orchestration.instance import InstanceLock
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
lock = InstanceLock(Path(sys.argv[1]), version="1.2")
lock.acquire()
print("held", flush=True)
signal.sigwait({signal.SIGUSR1})
print("signalled", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_daemon(state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_instance_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with another_daemon(tmp_path) as other:
        with pytest.raises(AlreadyRunning) as refusal:
            InstanceLock(tmp_path).acquire()

        since = str((holder(tmp_path) or {})["since"])
        assert f"process {other.pid} since {since}" in str(refusal.value)
        assert "ORCHESTRATOR_STATE_DIR" in str(refusal.value)


def test_the_holder_is_known_while_it_lives(tmp_path: Path) -> None:
    with another_daemon(tmp_path) as other:
        who = holder(tmp_path)

        assert who is not None
        assert (who["pid"], who["version"]) == (other.pid, "1.2")
        assert who["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_killed_holder_leaves_the_way_free(tmp_path: Path) -> None:
    with another_daemon(tmp_path) as other:
        other.kill()
        other.wait()

        assert holder(tmp_path) is None
        with InstanceLock(tmp_path):
            assert (holder(tmp_path) or {})["pid"] == os.getpid()


def test_a_signal_reaches_the_holder(tmp_path: Path) -> None:
    with another_daemon(tmp_path) as other:
        assert signal_daemon(tmp_path, signal.SIGUSR1) == other.pid

        assert other.stdout is not None
        assert other.stdout.readline() == "signalled\n"


def test_without_a_daemon_there_is_nobody_to_signal(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no daemon is running"):
        signal_daemon(tmp_path, signal.SIGUSR1)


def test_a_signal_that_cannot_be_delivered_is_said(tmp_path: Path) -> None:
    with another_daemon(tmp_path), pytest.raises(ControlError, match="cannot be signalled"):
        signal_daemon(tmp_path, 4096)  # no such signal: the kernel refuses it


def test_the_lock_says_since_when_in_utc(tmp_path: Path) -> None:
    with InstanceLock(tmp_path, clock=VirtualClock(datetime(2026, 11, 20, 18, 5, tzinfo=UTC))):
        assert (holder(tmp_path) or {})["since"] == "2026-11-20T18:05:00+00:00"


def test_a_released_lock_names_nobody(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path)
    lock.acquire()

    lock.release()
    lock.release()

    assert holder(tmp_path) is None
    assert (tmp_path / "orchestrator.lock").read_text() == ""


def test_without_a_file_there_is_no_holder(tmp_path: Path) -> None:
    assert holder(tmp_path / "nowhere") is None


def test_a_child_that_outlives_the_daemon_does_not_hold_the_lock(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path)
    lock.acquire()
    with subprocess.Popen(["sleep", "30"], close_fds=False) as child:
        lock.release()
        try:
            with InstanceLock(tmp_path):
                assert child.poll() is None
        finally:
            child.kill()


def test_somebody_looking_does_not_keep_a_daemon_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks is done after the daemon's third try."""
    path = tmp_path / "orchestrator.lock"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    waits: list[float] = []

    def wait(clock: SystemClock, seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            os.close(fd)

    monkeypatch.setattr(SystemClock, "sleep", wait)

    with InstanceLock(tmp_path):
        assert (holder(tmp_path) or {})["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"pid": 1}'])
def test_a_lock_held_by_something_unknown_is_still_a_lock(tmp_path: Path, text: str) -> None:
    path = tmp_path / "orchestrator.lock"
    path.write_text(text)
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    start = time.monotonic()
    try:
        with pytest.raises(AlreadyRunning, match="is in use by"):
            InstanceLock(tmp_path).acquire()
        assert time.monotonic() - start < 20
        assert holder(tmp_path) is None
    finally:
        os.close(fd)


def test_a_pid_that_came_again_is_not_taken_for_the_holder(tmp_path: Path) -> None:
    with InstanceLock(tmp_path):
        path = tmp_path / "orchestrator.lock"
        who = json.loads(path.read_text())
        path.write_text(json.dumps({**who, "start": who["start"] + 1}))

        assert holder(tmp_path) is None


def test_a_missing_state_directory_is_an_error_of_the_file_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"orchestrator\.lock"):
        InstanceLock(tmp_path / "missing").acquire()
