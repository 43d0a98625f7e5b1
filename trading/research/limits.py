"""Work in a process of its own that may take only so long and so much memory. Linux."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestration.clock import SystemClock
from trading.execution.checking import positive

if TYPE_CHECKING:
    from orchestration.ports import Clock

CLOCK: Final = SystemClock()

LOOK_S: Final = 0.1
"""How long a stop may go unnoticed."""

_PR_SET_PDEATHSIG: Final = 1
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """seconds: from its start to its end. memory_mb: MiB of writable memory beyond what the process began
    with.

    Raises:
        ValueError: if one is not above 0.
    """

    seconds: float = 120.0
    memory_mb: float = 400.0

    def __post_init__(self) -> None:
        positive("seconds", self.seconds)
        positive("memory_mb", self.memory_mb)


class Ending(Enum):
    """DONE: it came to its end. LEFT: its taker wanted no more. TIME, MEMORY: it went beyond a limit. ERROR:
    it raised an exception. DIED: its process was killed, or crashed. STOPPED: we were asked to stop."""

    DONE = "done"
    LEFT = "left"
    TIME = "time"
    MEMORY = "memory"
    ERROR = "error"
    DIED = "died"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Ended:
    """How work ended. detail: in words, empty for DONE and LEFT. seconds: what it took."""

    ending: Ending
    detail: str
    seconds: float


def run_limited(
    work: Callable[[], Iterator[Any]],
    limits: Limits,
    *,
    take: Callable[[Any], bool],
    stopped: Callable[[], bool] = lambda: False,
    clock: Clock = CLOCK,
) -> Ended:
    """Run `work` in a fork of this process; hand each thing that it yields to `take`, here.

    take: False: no more is wanted. stopped: looked at ten times a second; True: the work is to be killed. The
    fork starts at once and shares what is in memory; it inherits no signal meant for this process and does
    not outlive it. What is yielded must be picklable.
    """
    context = get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(work, limits, ours, theirs, os.getpid()))
    begun = clock.monotonic()
    child.start()
    theirs.close()
    try:
        ending, detail = _watched(ours, take, stopped, lambda: clock.monotonic() - begun, limits)
    finally:
        # Also when `take` raises: nothing is left running.
        ours.close()
        child.kill()
        child.join()
    if ending is Ending.DIED:
        detail = _death(child.exitcode)
    child.close()
    return Ended(ending, detail, clock.monotonic() - begun)


def _watched(
    pipe: Connection,
    take: Callable[[Any], bool],
    stopped: Callable[[], bool],
    elapsed: Callable[[], float],
    limits: Limits,
) -> tuple[Ending, str]:
    while True:
        if elapsed() > limits.seconds:
            return Ending.TIME, f"took longer than {limits.seconds:g} s"
        if stopped():
            return Ending.STOPPED, "asked to stop"
        try:
            if not pipe.poll(LOOK_S):
                continue
            ending, told = pipe.recv()
            if ending is not None:
                return ending, told
            if not take(told):
                return Ending.LEFT, ""
            pipe.send(None)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return Ending.DIED, ""


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return f"its process died of {signal.Signals(-code).name}"
    return f"its process ended with code {code}"


def _child(
    work: Callable[[], Iterator[Any]], limits: Limits, ours: Connection, pipe: Connection, parent: int
) -> None:
    ours.close()
    _die_with(parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        # They come to the whole group; what becomes of this work is the parent's to say.
        signal.signal(number, signal.SIG_IGN)
    allowed = _limit_memory(limits.memory_mb)
    try:
        for told in work():
            pipe.send((None, told))
            pipe.recv()
        answer = Ending.DONE, ""
    except MemoryError:
        answer = Ending.MEMORY, f"took more than {limits.memory_mb:g} MB"
    except EOFError:
        # Nobody listens any more.
        return
    except BaseException as error:
        answer = Ending.ERROR, f"{type(error).__name__}: {error}"
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    pipe.send(answer)


def _limit_memory(memory_mb: float) -> int:
    """Bound what this process may write to; return the bound that was there before.

    RLIMIT_DATA and not RLIMIT_AS: libraries reserve addresses by the gigabyte that they never write to.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _data_bytes() + int(memory_mb * _MIB)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
    return hard


def _data_bytes() -> int:
    """Return the writable private memory of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
