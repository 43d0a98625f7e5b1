"""One run while it is watched: its supervisor, its processes, and what its end says."""

from __future__ import annotations

import errno
import os
import select
import signal
from dataclasses import dataclass

from orchestration.memory_ladder import MemoryWatch
from orchestration.processes import ProcessStat, all_processes, run_members, send_signal
from orchestration.run_files import Ended, RunFiles
from orchestration.runs import StopCause

NICE = 15
"""Of research: a scheduler weight of 36 against a duty's 1024."""


@dataclass(slots=True, kw_only=True)
class Supervised:
    """A run being watched. All instants are monotonic seconds.

    pid: of the supervisor, which leads the run's session and group. start: of the supervisor,
    in ticks, 0 until its `started` has been read.
    began: None if it was adopted.
    kill_at: when SIGKILL is due; kill_tries: how often it was sent. over_memory: we killed it for its limit.
    record: what its `exit` says; status: what wait4 says of the supervisor; waited_mb: the job's, by wait4.
    sweep_since: since when we have been ending what it left behind.
    """

    id: str
    files: RunFiles
    pid: int
    pidfd: int
    start: int
    watch: MemoryWatch
    log: str
    log_limit_bytes: int
    needs_calming: bool = False
    began: float | None = None
    sample_at: float = 0.0
    search_at: float = 0.0
    stop_cause: StopCause | None = None
    kill_at: float | None = None
    kill_tries: int = 0
    over_memory: bool = False
    detail: str = ""
    ended: bool = False
    record: Ended | None = None
    status: int | None = None
    duration_s: float | None = None
    waited_mb: float = 0.0
    sweep_since: float | None = None

    def members(self) -> dict[int, ProcessStat]:
        """Return its processes but the supervisor; reads all of /proc (a millisecond or two)."""
        if self.start == 0:
            said = self.files.started()
            self.start = said.start if said is not None and said.pid == self.pid else 0
        return run_members(self.pid, self.start, self.files.marker, all_processes())

    def has_exited(self) -> bool:
        """Return whether the supervisor has ended."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def terminate(self) -> None:
        """SIGTERM the group and what left it. The supervisor has a handler and stays to record the end."""
        members = self.members()
        if not self.has_exited():
            try:
                os.killpg(self.pid, signal.SIGTERM)
            except OSError as error:
                self.note(f"SIGTERM failed: {error.strerror}")
        for stat in members.values():
            if stat.pgrp != self.pid:
                send_signal(stat, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL everything but the supervisor."""
        if self.watch.cgroup is not None:
            self.watch.cgroup.kill()
        for stat in self.members().values():
            send_signal(stat, signal.SIGKILL)

    def note(self, text: str) -> None:
        """Add to the line for people."""
        self.detail = f"{self.detail}; {text}" if self.detail and text else self.detail or text

    def peak_mb(self) -> float | None:
        """Return the highest sample of the whole tree, or what wait4 says if that is more; for a run too
        short to be sampled in its cgroup the cgroup's own; None if nothing is known."""
        peak = max(self.watch.peak_mb, self.waited_mb)
        if self.watch.cgroup is not None and self.watch.samples < 2:
            peak = max(peak, self.watch.cgroup.peak_mb())
        return peak or None

    def exit_code(self) -> int | None:
        """Return how the job ended: its code, negative for a signal; None if it was lost.

        The record is the supervisor's; without one (a full disk) the supervisor's own exit code, which is the
        job's in the shell's words. A supervisor that died of a signal we sent says what became of its job.
        """
        if self.record is not None:
            return self.record.exit_code
        if self.status is None:
            self.note("lost: its supervisor left no record")
            return None
        if os.WIFEXITED(self.status):
            code = os.WEXITSTATUS(self.status)
            self.note("its end could not be written down (is the disk full?)")
            return 128 - code if code > 128 else code
        number = os.WTERMSIG(self.status)
        if self.stop_cause is not None or self.kill_tries:
            return -number
        self.note(f"lost: its supervisor was ended by signal {number}")
        return None


def calm_autogroup(pid: int) -> bool:
    """Lower the weight of a session as a whole; return False if it must be tried again.

    Where the kernel groups processes by session (sched_autogroup, the default of Debian and the Pi), a nice
    value counts only inside its session, so research would take its full share. One change in 100 ms is
    allowed on the whole box.
    """
    try:
        fd = os.open(f"/proc/{pid}/autogroup", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        os.write(fd, str(NICE).encode())
    except OSError as error:
        return error.errno != errno.EAGAIN
    finally:
        os.close(fd)
    return True


def gentle_prefix() -> tuple[str, ...]:
    """Return the command that lowers a job's CPU and I/O priority before it is executed; both go on where
    they are not permitted to. Empty where the box has neither."""
    nice, ionice = _find("nice"), _find("ionice")
    return (*((nice, "-n", str(NICE)) if nice else ()), *((ionice, "-c", "3", "-t") if ionice else ()))


def _find(name: str) -> str:
    paths = (f"{folder}/{name}" for folder in ("/usr/bin", "/bin", "/usr/local/bin"))
    return next((path for path in paths if os.access(path, os.X_OK)), "")
