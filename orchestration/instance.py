"""One daemon per state directory: a lock that says who holds it, and a way to signal the holder."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from orchestration.clock import SystemClock
from orchestration.errors import AlreadyRunning, ControlError
from orchestration.ports import Clock
from orchestration.processes import boot_id, process_stat, send_signal

LOCK_NAME = "orchestrator.lock"
PROBES, PROBE_S = 20, 0.01  # how often and how far apart `acquire` tries while no living daemon is named
Holder = dict[str, object]
"""pid, start (ticks after boot), boot_id, since (ISO, UTC), version."""


class InstanceLock:
    """Held from `acquire` to `release`, or to the end of the process however it ends.

    The kernel's lock on the file decides (flock(2)), never the file's presence; its text only says who holds
    it and may be that of a dead holder. The descriptor is not inherited by children.
    """

    def __init__(self, state_dir: Path, *, clock: Clock | None = None, version: str = "") -> None:
        self._path = Path(state_dir) / LOCK_NAME
        self._clock: Clock = clock or SystemClock()
        self._version = version
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock and write who we are.

        Raises:
            AlreadyRunning: if another daemon holds it; the message names it.
            OSError: if the state directory cannot be written.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        patience = PROBES
        while not _locked(fd):
            # It may be only somebody looking (`holder` locks for a moment).
            if patience == 0 or _is_alive(_text(self._path)):
                os.close(fd)
                raise AlreadyRunning(self._refusal())
            patience -= 1
            SystemClock().sleep(PROBE_S)
        self._fd = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(self._self()).encode() + b"\n", 0)

    def release(self) -> None:
        """Give it up; harmless if it is not held. The file stays: to remove it would let two hold it."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> InstanceLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _self(self) -> Holder:
        stat = process_stat(os.getpid())
        return {
            "pid": os.getpid(),
            "start": stat.start if stat else None,
            "boot_id": boot_id(),
            "since": self._clock.now().isoformat(timespec="seconds"),
            "version": self._version,
        }

    def _refusal(self) -> str:
        who = _text(self._path)
        by = f"process {who['pid']} since {who.get('since')}" if who.get("pid") else "another process"
        return (
            f"state directory {self._path.parent} is in use by {by}: one daemon per state directory. "
            "Stop it first (systemctl stop daily-orchestrator), or set ORCHESTRATOR_STATE_DIR to another one."
        )


def holder(state_dir: Path) -> Holder | None:
    """Return who holds the lock of `state_dir` (see `Holder`); None if no living daemon does.

    Takes nothing away: the lock is probed shared, and let go at once.
    """
    path = Path(state_dir) / LOCK_NAME
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        who = _text(path)
        return who if _is_alive(who) else None
    finally:
        os.close(fd)
    return None


def signal_daemon(state_dir: Path, signum: int) -> int:
    """Send `signum` to the daemon that holds `state_dir`; return its pid.

    Raises:
        ControlError: if none is running, or if it belongs to another user.
    """
    who = holder(state_dir)
    stat = process_stat(_number(who, "pid")) if who is not None else None
    if stat is None:
        raise ControlError(f"no daemon is running on {state_dir}: start it, or name its state directory")
    if not send_signal(stat, signum):
        raise ControlError(
            f"process {stat.pid}, the daemon on {state_dir}, cannot be signalled: it has just ended, or it "
            "belongs to another user; then run this as the daemon's user"
        )
    return stat.pid


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _text(path: Path) -> Holder:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _number(who: Holder | None, key: str) -> int:
    value = (who or {}).get(key)
    return value if isinstance(value, int) else -1


def _is_alive(who: Holder) -> bool:
    """Whether the process that the text names is still that process."""
    if who.get("boot_id") != boot_id():
        return False
    stat = process_stat(_number(who, "pid"))
    return stat is not None and stat.is_alive and stat.start == _number(who, "start")
