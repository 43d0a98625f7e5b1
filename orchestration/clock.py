"""Time: the only module that reads a clock or waits. Two clocks everywhere: aware UTC for windows and
deadlines, monotonic seconds for durations. Standard library only; light enough for jobs to import."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestration.ports import Clock, Wake

STEP_S = 2.0  # the wall clock moved this much against the monotonic one: it was set, or the box slept
QUIET_S = 0.2  # a watched file must have been left alone this long: editors write in several steps
QUIET_AT_MOST_S = 1.0  # but one that is written all the time is reported this soon
BLIND_S = 30.0  # without a wall timer a step of the clock is noticed this late
FAR_S = 86_400.0  # the timer is set a day ahead at most, and again then


class SystemClock:
    """The box's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class VirtualClock:
    """A clock that moves only when told; `start` is aware UTC, and the monotonic clock starts at 0."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start is {start}: expected an aware datetime (UTC)")
        self._start = start.astimezone(UTC)
        self._elapsed = timedelta()
        self._stepped = timedelta()

    def now(self) -> datetime:
        return self._start + self._elapsed + self._stepped

    def monotonic(self) -> float:
        return self._elapsed.total_seconds()

    def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=max(0.0, seconds)))

    def advance(self, duration: timedelta) -> None:
        """Let `duration` pass on both clocks. Raises ValueError if it is negative."""
        if duration < timedelta():
            raise ValueError(f"duration is {duration}: time does not go back; step_wall sets the wall clock")
        self._elapsed += duration

    def step_wall(self, by: timedelta) -> None:
        """Set the wall clock `by` ahead (or back); the monotonic clock knows nothing of it."""
        self._stepped += by


class Timer(Protocol):
    """A wall-clock timer; see `kernel_events.WallTimer`."""

    def fileno(self) -> int: ...

    def arm(self, at: float) -> bool: ...

    def take(self) -> bool: ...

    def close(self) -> None: ...


class Files(Protocol):
    """Changes of files; see `kernel_events.FileWatch`."""

    def fileno(self) -> int: ...

    def watch(self, paths: Iterable[Path]) -> None: ...

    def changed(self) -> bool: ...

    def close(self) -> None: ...


class SelectorWaiter:
    """Sleeps in one poll(2) until something happens. No threads; no polling.

    Signals: SIGTERM and SIGINT are STOP, SIGHUP is RELOAD, SIGUSR1 is COMMAND; from construction to `close`
    they are kept for the next wait, whenever they come. Construct it in the main thread.

    limits: what this kernel or its system call filter refuses. "timer": a step of the wall clock is noticed
    up to 30 s late (it wakes that often to look). "files": files are re-read on SIGHUP only, signs not seen.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        make_timer: Callable[[], Timer] | None = None,
        make_files: Callable[[], Files] | None = None,
    ) -> None:
        from orchestration import kernel_events  # ctypes, which jobs that only tell the time need not load
        from orchestration.ports import Wake

        self._clock: Clock = clock or SystemClock()
        limits = []
        self._timer: Timer | None = None
        try:
            self._timer = (make_timer or kernel_events.WallTimer)()
        except OSError:
            limits.append("timer")
        self._make_files = make_files or kernel_events.FileWatch
        self._signs: Files | None = None
        self._files: Files | None = None
        try:
            self._files = self._make_files()
        except OSError:
            limits.append("files")
        self.limits = tuple(limits)
        self._flags = Wake
        self._wakes: dict[int, Wake] = {
            signal.SIGTERM: Wake.STOP,
            signal.SIGINT: Wake.STOP,
            signal.SIGHUP: Wake.RELOAD,
            signal.SIGUSR1: Wake.COMMAND,
        }
        self._catch_signals()
        self._armed: float | None = None
        self._files_first: float | None = None
        self._files_due: float | None = None
        self._offset = self._wall_minus_monotonic()

    def _catch_signals(self) -> None:
        self._signals, self._signals_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._signals_in, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, _noted) for number in self._wakes}

    def watch_files(self, paths: Iterable[Path]) -> None:
        """Report RELOAD when one of `paths` is written, replaced, removed or appears, and no others."""
        if self._files is not None:
            self._files.watch(paths)

    def watch_signs(self, paths: Iterable[Path]) -> None:
        """Report COMMAND at once when one of `paths` comes, changes or goes: files that are orders."""
        if self._files is not None:
            self._signs = self._signs or self._make_files()
            self._signs.watch(paths)

    def wait(self, until: datetime, fds: Sequence[int], tick_at: float | None) -> Wake:
        """Return why it ended: at `until` or the monotonic `tick_at` (TIMER), when one of `fds` is readable
        (CHILD), or on any other event; several causes at once are OR-ed. A past `until` returns at once."""
        flags = self._flags
        poll = self._poll_object(fds)
        wake = flags(0)
        while True:
            if self._was_stepped():
                wake |= flags.STEPPED
            now, monotonic = self._clock.now(), self._clock.monotonic()
            if now >= until or (tick_at is not None and monotonic >= tick_at):
                wake |= flags.TIMER
            if self._files_due is not None and monotonic >= self._files_due:
                self._files_due = self._files_first = None
                wake |= flags.RELOAD
            if self._timer is not None and not wake and not self._arm(until, now):
                wake |= flags.STEPPED
            timeout = 0.0 if wake else self._timeout(until, tick_at, now, monotonic)
            ready = poll.poll(None if timeout is None else timeout * 1000)
            found = self._taken([fd for fd, _ in ready])
            if wake or found:
                if not wake and self._was_stepped():
                    found |= flags.STEPPED
                return wake | found

    def close(self) -> None:
        """Give the signals back to those who had them before; close all descriptors."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._signals)
        os.close(self._signals_in)
        for resource in (self._timer, self._files, self._signs):
            if resource is not None:
                resource.close()

    def _poll_object(self, fds: Sequence[int]) -> select.poll:
        # Built anew each time: a descriptor that was closed and opened again needs no registration in the
        # kernel, and poll(2) over a dozen descriptors costs no more than epoll_wait(2).
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        for resource in (self._timer, self._files, self._signs):
            if resource is not None:
                poll.register(resource.fileno(), select.POLLIN)
        for fd in fds:
            poll.register(fd, select.POLLIN)
        return poll

    def _arm(self, until: datetime, now: datetime) -> bool:
        """Set the timer if it is not set to this instant already. Return False if the clock was stepped."""
        assert self._timer is not None
        at = until.timestamp()
        if at - now.timestamp() > FAR_S:
            at = now.timestamp() + FAR_S
        if at == self._armed:
            return True
        self._armed = at
        armed = self._timer.arm(at)
        if not armed:
            self._offset = self._wall_minus_monotonic()
        return armed

    def _timeout(
        self, until: datetime, tick_at: float | None, now: datetime, monotonic: float
    ) -> float | None:
        """Return the seconds to sleep at most; None: the descriptors say when."""
        timeouts = [at - monotonic for at in (tick_at, self._files_due) if at is not None]
        if self._timer is None:
            timeouts.append(min(BLIND_S, (until - now).total_seconds()))
        return max(0.0, min(timeouts)) if timeouts else None

    def _taken(self, ready: Sequence[int]) -> Wake:
        """Take what made the descriptors readable, and say what it means."""
        wake = self._flags(0)
        for fd in ready:
            if fd == self._signals:
                wake |= self._signals_taken()
            elif self._timer is not None and fd == self._timer.fileno():
                self._armed = None
                if not self._timer.take():
                    wake |= self._flags.STEPPED
                    self._offset = self._wall_minus_monotonic()
            elif self._files is not None and fd == self._files.fileno():
                if self._files.changed():
                    self._note_change()
            elif self._signs is not None and fd == self._signs.fileno():
                if self._signs.changed():
                    wake |= self._flags.COMMAND
            else:
                wake |= self._flags.CHILD
        return wake

    def _note_change(self) -> None:
        monotonic = self._clock.monotonic()
        if self._files_first is None:
            self._files_first = monotonic
        self._files_due = min(monotonic + QUIET_S, self._files_first + QUIET_AT_MOST_S)

    def _signals_taken(self) -> Wake:
        wake = self._flags(0)
        with suppress(BlockingIOError):
            while numbers := os.read(self._signals, 4096):
                for number in numbers:
                    wake |= self._wakes.get(number, self._flags(0))
        return wake

    def _wall_minus_monotonic(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def _was_stepped(self) -> bool:
        """Whether the wall clock has moved against the monotonic one since the last look."""
        offset = self._wall_minus_monotonic()
        stepped = abs(offset - self._offset) > STEP_S
        self._offset = offset
        return stepped


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing: the wakeup descriptor has the number, and without a handler the signal would kill."""
