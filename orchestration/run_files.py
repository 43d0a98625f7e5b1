"""The directory of one run: what the supervisor, the job and the daemon leave in it for each other.

`started` and `exit` are written by supervise.sh, `result.json` by the job, the rest by the daemon: `launch`
(what an adopting daemon must know), `stop` (why it was asked to stop), `killed` (our own kill), `peak`,
`lock`, `shell`.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat as modes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from orchestration.processes import ProcessStat, process_stat, read_text
from orchestration.runs import StopCause

RESULT_LIMIT_BYTES = 1_000_000
VOID_NEVER, VOID_LOST = "void never", "void lost"
"""What recovery writes into `started`: the job never ran and never will; it may have run in another boot."""


class Started(NamedTuple):
    """The word of a supervisor that it starts its job. start: ticks after boot; uptime_s: since boot."""

    pid: int
    start: int
    boot: str
    uptime_s: float


class Ended(NamedTuple):
    """The word of a supervisor that its job has ended. code: as the shell has it (128 + n for signals)."""

    code: int
    by_signal: bool
    uptime_s: float

    @property
    def exit_code(self) -> int:
        """The exit code, negative for a signal."""
        return 128 - self.code if self.by_signal and self.code > 128 else self.code


def parse_started(text: str) -> Started | None:
    """Return what `started` says; None if it is void, empty or torn."""
    match text.split():
        case [pid, start, boot, uptime, "run"] if pid.isdigit() and start.isdigit():
            return Started(int(pid), int(start), boot, _seconds(uptime))
    return None


def parse_ended(text: str) -> Ended | None:
    """Return what `exit` says; None if it is empty or torn."""
    match text.split():
        case [code, "exit" | "signal" as how, uptime, "end"] if code.isdigit():
            return Ended(int(code), how == "signal", _seconds(uptime))
    return None


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The directory of one run, by its path."""

    path: Path

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def marker(self) -> str:
        """Return the entry of the environment by which the run's processes are known. Not its id: another
        daemon of the same user, with another state directory, may have a run of that name."""
        return f"ORCHESTRATOR_RESULT={self.result}"

    @property
    def log(self) -> Path:
        return self.path / "log"

    def started(self) -> Started | None:
        return parse_started(read_text(f"{self.path}/started") or "")

    def started_text(self) -> str:
        return (read_text(f"{self.path}/started") or "").strip()

    def ended(self) -> Ended | None:
        return parse_ended(read_text(f"{self.path}/exit") or "")

    def supervisor(self, boot: str) -> ProcessStat | None:
        """Return the supervisor while it lives: same pid, start time and boot; else None."""
        said = self.started()
        if said is None or said.boot != boot:
            return None
        found = process_stat(said.pid)
        return found if found and found.is_alive and found.start == said.start else None

    def void(self, verdict: str) -> bool:
        """Create `started` ourselves, so that a supervisor that comes late does not run its job; return
        whether we were first. Survives a power cut."""
        try:
            fd = os.open(self.path / "started", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(fd, verdict.encode())
            os.fsync(fd)
            sync_directory(self.path)
        except OSError:
            # A full disk: the name alone keeps the supervisor out, and without a verdict it counts as lost.
            return True
        finally:
            os.close(fd)
        return True

    def take_lock(self) -> int | None:
        """Return a descriptor that holds the run's lock; None while a supervisor holds it."""
        fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        return fd

    def is_locked(self) -> bool:
        """Return whether a supervisor holds the lock."""
        fd = self.take_lock()
        if fd is None:
            return True
        os.close(fd)
        return False

    def note(self, name: str, content: Mapping[str, object]) -> None:
        """Write one of the daemon's own files whole; a failure is no reason to stop (a full disk)."""
        target = f"{self.path}/{name}"
        try:
            fd = os.open(target + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            try:
                os.write(fd, json.dumps(content).encode())
            finally:
                os.close(fd)
            os.replace(target + ".tmp", target)
        except OSError:
            return

    def noted(self, name: str) -> dict[str, object]:
        """Return what `note` wrote; empty if nothing, or nothing that can be read."""
        try:
            content = json.loads(read_text(f"{self.path}/{name}") or "{}")
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def stop_cause(self) -> StopCause | None:
        """Return why it was asked to stop, by the daemon or the one before; None if it was not."""
        if self.noted("killed").get("memory") is True:
            return StopCause.MEMORY
        cause = self.noted("stop").get("cause")
        return next((known for known in StopCause if known.value == cause), None)

    def report(self, limit_bytes: int = RESULT_LIMIT_BYTES) -> tuple[dict[str, object], str]:
        """Return the job's result, and what is wrong with it ("" if nothing, or if there is none).

        Not-a-number and infinity become None and half a character (a surrogate, as Python has it from a file
        name that is not UTF-8) "?", as what is stored must be JSON and text to everyone.
        """
        try:
            fd = os.open(self.result, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return {}, ""
        except OSError as error:
            return {}, f"result file ignored: {error.strerror}"
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not modes.S_ISREG(status.st_mode):
                return {}, "result file ignored: not a regular file"
            if status.st_size > limit_bytes:
                return {}, f"result file ignored: {status.st_size} bytes, at most {limit_bytes} are read"
            content = file.read(limit_bytes + 1)
        try:
            value = json.loads(content.decode("utf-8-sig"), parse_constant=lambda _: None)
            if b"\\ud" in content.lower():
                value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
        except (ValueError, RecursionError) as error:
            return {}, f"result file ignored: not JSON ({type(error).__name__})"
        if not isinstance(value, dict):
            return {}, f"result file ignored: a JSON {type(value).__name__}, expected an object"
        return value, ""

    def remove(self) -> None:
        """Remove the directory and all in it; harmless if it is gone."""
        for folder, names, files in os.walk(self.path, topdown=False):
            for name in files:
                _quietly(os.unlink, os.path.join(folder, name))
            for name in names:
                entry = os.path.join(folder, name)
                _quietly(os.unlink if os.path.islink(entry) else os.rmdir, entry)
        _quietly(os.rmdir, str(self.path))


def _quietly(remove: Callable[[str], None], path: str) -> None:
    try:
        remove(path)
    except OSError:
        return


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def bound_log(path: str, limit_bytes: int) -> bool:
    """Cut a log that has passed its limit to its head and its tail, half the limit together; return whether
    it was cut.

    It works while a job appends (O_APPEND): what arrives during the cut, a few milliseconds, may be lost.
    The daemon is not between the job and its log, so no pipe can block and nothing is held in memory.
    """
    try:
        size = os.stat(path).st_size
        if size <= limit_bytes:
            return False
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        _cut_middle(fd, os.fstat(fd).st_size, max(1, limit_bytes // 4))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _cut_middle(fd: int, size: int, part: int) -> None:
    """Keep the first and the last `part` bytes, with a line between that says what is missing."""
    mark = f"\n[... at least {size - 2 * part} bytes cut: the log has a limit ...]\n".encode()
    os.pwrite(fd, mark, part)
    end, source = part + len(mark), max(size - part, part + len(mark))
    while chunk := os.pread(fd, min(262_144, size - source), source):
        os.pwrite(fd, chunk, end)
        end += len(chunk)
        source += len(chunk)
    os.ftruncate(fd, end)
