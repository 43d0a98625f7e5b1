"""What the daemon needs of the world: one small Protocol each. Real classes and usable stand-ins live in the
modules named in each docstring. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Flag, StrEnum, auto
from typing import Protocol

from orchestration.changes import Change, Stored
from orchestration.decisions import Resources
from orchestration.runs import StopCause
from orchestration.types import OperatingMode


class Clock(Protocol):
    """Two clocks: aware UTC for windows and deadlines, monotonic seconds for durations.

    Real: `clock.SystemClock`. Stand-in: `clock.VirtualClock`.
    """

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class Wake(Flag):
    """Why a wait ended."""

    TIMER = auto()
    CHILD = auto()  # a run's supervisor has ended
    COMMAND = auto()  # orchestratorctl has written to control.db (SIGUSR1), or trading was halted or resumed
    RELOAD = auto()  # SIGHUP, or a watched file changed
    STOP = auto()  # SIGTERM or SIGINT
    STEPPED = auto()  # the wall clock was set


class Waiter(Protocol):
    """Sleeps until something happens; never polls.

    Real: `clock.SelectorWaiter` (signals, pidfds, inotify, a timer a clock step cancels).
    Stand-in: `simulation.VirtualWaiter`.
    """

    def wait(self, until: datetime, fds: Sequence[int], tick_at: float | None) -> Wake:
        """Return at `until` (wall clock), when one of `fds` is readable (CHILD), or on any other event.

        tick_at: a monotonic instant to return at too (as TIMER), None for none.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything a process needs. argv: complete, never through a shell; env: the whole environment.

    memory_mb: the limit at which it is killed as OUT_OF_MEMORY; cpus: bounds its thread pools.
    low_priority: research (nice and idle I/O). log: where its output goes, bounded to log_limit_bytes.
    duty: works orders: a plain stop lets it wind down first.
    """

    run_id: str
    task: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    memory_mb: float
    cpus: int = 1
    low_priority: bool = False
    log: str = ""
    log_limit_bytes: int = 10_000_000
    duty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunExit:
    """How a process ended, as the runner saw it.

    exit_code: waited for (negative: the signal number); None: it was lost (crash, power cut).
    duration_s: monotonic; None if unknown. peak_memory_mb: of the whole tree; None if never measured.
    out_of_memory: our limit or the kernel's killer ended it. stop_cause: why it had been asked to stop.
    report: the JSON object of its result file; empty if none, or if it was not valid (then detail says so).
    """

    run_id: str
    exit_code: int | None
    ended_at: datetime
    duration_s: float | None = None
    peak_memory_mb: float | None = None
    out_of_memory: bool = False
    stop_cause: StopCause | None = None
    report: Mapping[str, object] = field(default_factory=dict)
    detail: str = ""


class Fate(StrEnum):
    """What became of a run that the last daemon left behind."""

    ADOPTED = "adopted"  # still running; watched again from now on
    ENDED = "ended"  # ended while we were away; its true exit code is known
    LOST = "lost"  # died without a trace (power cut, SIGKILL of its supervisor)
    NEVER_STARTED = "never_started"  # the row was committed, the job was not; it can no longer start


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """exit: for ENDED and LOST (exit_code None). pid: for ADOPTED."""

    run_id: str
    fate: Fate
    exit: RunExit | None = None
    pid: int | None = None
    started_at: datetime | None = None


class Runner(Protocol):
    """Starts, watches and stops processes.

    Real: `runner.ProcessRunner`. Stand-in: `simulation.SimulatedRunner`.
    """

    @property
    def rung(self) -> str:
        """Which way memory is limited: "cgroup", "watch" or "none"."""
        ...

    def start(self, launch: Launch) -> int:
        """Start it and return the supervisor's pid. Raises SpawnError."""
        ...

    def stop(self, run_id: str, cause: StopCause, grace: timedelta) -> None:
        """SIGTERM its group now, SIGKILL after `grace`; does not block; harmless if it has ended."""
        ...

    def tick(self) -> float | None:
        """Do what is due (memory watch, SIGKILL after grace); return the monotonic instant of the next
        time, None when nothing runs."""
        ...

    def reap(self) -> list[RunExit]:
        """Return the runs that have ended since the last call; does not block."""
        ...

    def usage(self) -> Mapping[str, float]:
        """Resident MB of each running run, by run id, as last sampled."""
        ...

    def fds(self) -> Sequence[int]:
        """File descriptors that become readable when a run ends."""
        ...

    def recover(self, run_ids: Sequence[str]) -> list[Recovered]:
        """Say what became of runs that an earlier daemon planned or started."""
        ...

    def forget(self, run_id: str) -> None:
        """Remove its run directory; its result has been committed."""
        ...


class Store(Protocol):
    """Keeps what must not be lost. Real: `state.store.SqlStore`. Stand-in: `state.memory.MemoryStore`."""

    def load(self) -> Stored:
        """Read everything back. Raises StoreCorrupt."""
        ...

    def commit(self, changes: Sequence[Change]) -> None:
        """Write all or nothing; on return it survives a power cut. Raises StoreError."""
        ...

    def prune(self, now: datetime) -> int:
        """Drop what is older than each table's retention; return how many rows went."""
        ...

    def close(self) -> None: ...


class Panel(Protocol):
    """Shows the state of the box. Real: `hardware.panel.GpioPanel`; also RecordingPanel and NullPanel."""

    def set_operating_mode(self, mode: OperatingMode, *, extended: bool = False) -> None: ...

    def set_error(self, error: str | None) -> None:
        """Show a fault by its name in `hardware.patterns.ERRORS`; None: no fault."""
        ...

    def close(self) -> None: ...


class Sensors(Protocol):
    """Reads memory, cores, clock, network, heat. Real: `orchestration.sensors.BoxSensors`.
    Stand-in: `simulation.SteadySensors`."""

    def read(self, used_mb: Mapping[str, float]) -> Resources: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An order from orchestratorctl. id: unique; consumed once. name: a key of `commands.COMMANDS`."""

    id: str
    name: str
    args: Mapping[str, str] = field(default_factory=dict)


class Inbox(Protocol):
    """Commands from outside. Real: `orchestration.control.ControlDb`. Stand-in: `control.NoCommands`."""

    def pending(self) -> list[Command]: ...

    def answer(self, command_id: str, *, ok: bool, text: str, payload: str = "") -> None:
        """Acknowledge; payload: JSON for commands that ask for something."""
        ...


class Notifier(Protocol):
    """Tells the service manager. Real: `orchestration.notify.SystemdNotifier`; silent where there is none."""

    def ready(self, status: str) -> None: ...

    def alive(self, status: str) -> None: ...

    def reloading(self) -> None: ...

    def stopping(self, status: str) -> None: ...
