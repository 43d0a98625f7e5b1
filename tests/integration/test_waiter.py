"""The waiter against the real kernel: signals, children, files, the timer, steps of the clock."""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.clock import SelectorWaiter, SystemClock
from orchestration.kernel_events import FileWatch, WallTimer
from orchestration.ports import Wake

FAR = timedelta(seconds=20)


class SteppableClock(SystemClock):
    """The real clock with a wall clock that can be set."""

    def __init__(self) -> None:
        self.stepped = timedelta()

    def now(self) -> datetime:
        return super().now() + self.stepped


class PipeTimer:
    """A timer whose descriptor a test makes readable; `cancelled` says what it then reports."""

    def __init__(self, *, armed: bool = True) -> None:
        self.read_end, self.write_end = os.pipe()
        self.armed = armed
        self.cancelled = False
        self.set_to: list[float] = []

    def fileno(self) -> int:
        return self.read_end

    def arm(self, at: float) -> bool:
        self.set_to.append(at)
        return self.armed

    def take(self) -> bool:
        os.read(self.read_end, 8)
        return not self.cancelled

    def fire(self) -> None:
        os.write(self.write_end, b"x")

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self.write_end)


def refused() -> WallTimer:
    raise OSError(errno.ENOSYS, "not here")


def no_files() -> FileWatch:
    raise OSError(errno.EMFILE, "no more instances")


@pytest.fixture
def waiter() -> Iterator[SelectorWaiter]:
    waiter = SelectorWaiter()
    yield waiter
    waiter.close()


def later(seconds: float, action: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def signal_ourselves(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def wait(waiter: SelectorWaiter, within: timedelta = FAR, *fds: int) -> Wake:
    return waiter.wait(datetime.now(UTC) + within, fds, None)


def test_an_instant_in_the_past_returns_at_once(waiter: SelectorWaiter) -> None:
    took_s = []
    for _ in range(5):  # the best of several, so that a busy neighbour does not count
        start = time.monotonic()
        assert waiter.wait(datetime(1970, 1, 1, tzinfo=UTC), [], None) == Wake.TIMER
        took_s.append(time.monotonic() - start)

    assert min(took_s) < 0.1


def test_it_returns_at_the_instant_and_not_before(waiter: SelectorWaiter) -> None:
    late = []
    for _ in range(3):
        until = datetime.now(UTC) + timedelta(milliseconds=50)
        assert waiter.wait(until, [], None) == Wake.TIMER
        late.append(datetime.now(UTC) - until)

    assert all(each >= timedelta() for each in late)
    assert min(late) < timedelta(milliseconds=200)


def test_it_returns_at_the_monotonic_tick(waiter: SelectorWaiter) -> None:
    took_s = []
    for _ in range(3):
        start = time.monotonic()
        assert waiter.wait(datetime.now(UTC) + FAR, [], start + 0.05) == Wake.TIMER
        took_s.append(time.monotonic() - start)

    assert all(each >= 0.05 for each in took_s)
    assert min(took_s) < 0.45


def test_an_instant_beyond_all_calendars_is_waited_for(waiter: SelectorWaiter) -> None:
    later(0.05, signal_ourselves(signal.SIGUSR1))

    assert waiter.wait(datetime.max.replace(tzinfo=UTC), [], None) == Wake.COMMAND


@pytest.mark.parametrize(
    ("number", "wake"),
    [
        (signal.SIGTERM, Wake.STOP),
        (signal.SIGINT, Wake.STOP),
        (signal.SIGHUP, Wake.RELOAD),
        (signal.SIGUSR1, Wake.COMMAND),
    ],
)
def test_a_signal_ends_the_wait(waiter: SelectorWaiter, number: signal.Signals, wake: Wake) -> None:
    later(0.05, signal_ourselves(number))

    assert wait(waiter) == wake


def test_a_signal_that_came_between_two_waits_is_not_lost(waiter: SelectorWaiter) -> None:
    os.kill(os.getpid(), signal.SIGTERM)

    assert wait(waiter) == Wake.STOP


def test_causes_that_are_pending_together_are_told_together(waiter: SelectorWaiter) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGUSR1)

    wake = waiter.wait(datetime.now(UTC) - FAR, [], None)

    assert wake == Wake.RELOAD | Wake.COMMAND | Wake.TIMER


def test_a_child_s_end_ends_the_wait_through_its_pidfd(waiter: SelectorWaiter) -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "0.1"], {})
    fd = os.pidfd_open(pid)
    try:
        assert wait(waiter, FAR, fd) == Wake.CHILD
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


def test_a_descriptor_number_that_is_used_again_is_watched_again(waiter: SelectorWaiter) -> None:
    for _ in range(2):
        read_end, write_end = os.pipe()
        os.write(write_end, b"x")
        assert wait(waiter, FAR, read_end) == Wake.CHILD
        os.close(read_end)
        os.close(write_end)


def test_a_child_s_end_without_a_pidfd_is_harmless(waiter: SelectorWaiter) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})

    assert wait(waiter, timedelta(milliseconds=150)) == Wake.TIMER
    os.waitpid(pid, 0)


def test_a_signal_that_is_not_ours_does_not_end_the_wait(waiter: SelectorWaiter) -> None:
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    sending = later(0.02, signal_ourselves(signal.SIGUSR2))
    try:
        assert wait(waiter, timedelta(milliseconds=150)) == Wake.TIMER
    finally:
        sending.join()  # by default the signal would end the tests
        signal.signal(signal.SIGUSR2, before)


def test_closing_gives_the_signals_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    waiter = SelectorWaiter()
    between = signal.getsignal(signal.SIGTERM)
    waiter.close()

    assert between != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


# --- files ------------------------------------------------------------------------------------------------


def write(path: Path) -> None:
    path.write_text("x")


def replace(path: Path) -> None:
    new = path.with_name(".tasks.toml.swp")
    new.write_text("y")
    new.rename(path)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [write, replace, remove])
def test_a_watched_file_that_changes_is_a_reload(
    waiter: SelectorWaiter, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "tasks.toml"
    path.write_text("")
    waiter.watch_files([path])

    change(path)

    assert wait(waiter) == Wake.RELOAD
    assert wait(waiter, timedelta(milliseconds=300)) == Wake.TIMER


@pytest.mark.parametrize("change", [write, replace, Path.mkdir])
def test_a_sign_that_appears_is_a_command_at_once(
    waiter: SelectorWaiter, tmp_path: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QUIET_S", "QUIET_AT_MOST_S"):  # a file that is no sign would be told only after the test
        monkeypatch.setattr(f"orchestration.clock.{name}", FAR.total_seconds() + 1)
    waiter.watch_files([tmp_path / "tasks.toml"])
    waiter.watch_signs([tmp_path / "trading.halt"])

    change(tmp_path / "trading.halt")

    assert wait(waiter) == Wake.COMMAND


def test_a_sign_that_goes_is_a_command_too(waiter: SelectorWaiter, tmp_path: Path) -> None:
    write(tmp_path / "trading.halt")
    waiter.watch_signs([tmp_path / "trading.halt"])

    remove(tmp_path / "trading.halt")

    assert wait(waiter) == Wake.COMMAND


def test_a_missing_file_that_appears_is_a_reload(waiter: SelectorWaiter, tmp_path: Path) -> None:
    waiter.watch_files([tmp_path / "tasks.toml"])

    write(tmp_path / "tasks.toml")

    assert wait(waiter) == Wake.RELOAD


def test_a_file_in_a_directory_that_appears_is_a_reload(waiter: SelectorWaiter, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "box" / "tasks.toml"
    waiter.watch_files([path])

    path.parent.mkdir(parents=True)
    assert wait(waiter) == Wake.RELOAD
    write(path)
    assert wait(waiter) == Wake.RELOAD


def test_a_directory_that_is_replaced_is_watched_again(waiter: SelectorWaiter, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "tasks.toml"
    path.parent.mkdir()
    waiter.watch_files([path])

    path.parent.rename(tmp_path / "old")
    path.parent.mkdir()
    assert wait(waiter) == Wake.RELOAD
    write(path)
    assert wait(waiter) == Wake.RELOAD


def test_a_directory_that_is_removed_is_watched_again(waiter: SelectorWaiter, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "tasks.toml"
    path.parent.mkdir()
    waiter.watch_files([path])

    path.parent.rmdir()
    assert wait(waiter) == Wake.RELOAD
    path.parent.mkdir()
    write(path)
    assert wait(waiter) == Wake.RELOAD


def test_a_link_s_target_is_watched_too(waiter: SelectorWaiter, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "tasks.toml"
    target.write_text("")
    (tmp_path / "tasks.toml").symlink_to(target)
    waiter.watch_files([tmp_path / "tasks.toml"])

    write(target)

    assert wait(waiter) == Wake.RELOAD


def test_other_files_of_the_directory_do_not_end_the_wait(waiter: SelectorWaiter, tmp_path: Path) -> None:
    waiter.watch_files([tmp_path / "tasks.toml"])

    write(tmp_path / "performance.db")

    assert wait(waiter, timedelta(milliseconds=400)) == Wake.TIMER


def test_a_burst_of_writes_is_one_reload(
    waiter: SelectorWaiter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.clock.QUIET_S", 0.5)  # on a busy box the writes come late
    monkeypatch.setattr("orchestration.clock.QUIET_AT_MOST_S", FAR.total_seconds())
    path = tmp_path / "tasks.toml"
    waiter.watch_files([path])
    for delay in (0.0, 0.05, 0.1):
        later(delay, lambda: write(path))

    assert wait(waiter) == Wake.RELOAD
    assert wait(waiter, timedelta(milliseconds=800)) == Wake.TIMER


def test_another_cause_does_not_wait_for_the_file_to_settle(waiter: SelectorWaiter, tmp_path: Path) -> None:
    waiter.watch_files([tmp_path / "tasks.toml"])
    write(tmp_path / "tasks.toml")
    os.kill(os.getpid(), signal.SIGUSR1)

    assert wait(waiter) == Wake.COMMAND
    assert wait(waiter) == Wake.RELOAD


def test_files_no_longer_watched_are_left_alone(waiter: SelectorWaiter, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    waiter.watch_files([tmp_path / "old" / "tasks.toml"])
    waiter.watch_files([tmp_path / "new" / "tasks.toml"])

    write(tmp_path / "old" / "tasks.toml")

    assert wait(waiter, timedelta(milliseconds=400)) == Wake.TIMER


# --- steps of the clock -----------------------------------------------------------------------------------


def test_a_cancelled_timer_is_a_step() -> None:
    timer = PipeTimer()
    timer.cancelled = True
    waiter = SelectorWaiter(make_timer=lambda: timer)
    later(0.05, timer.fire)
    try:
        assert wait(waiter) == Wake.STEPPED
    finally:
        waiter.close()


def test_a_step_between_two_waits_is_told_when_the_timer_is_set() -> None:
    waiter = SelectorWaiter(make_timer=lambda: PipeTimer(armed=False))
    try:
        assert wait(waiter) == Wake.STEPPED
    finally:
        waiter.close()


@pytest.mark.parametrize("hours", [1, -2, 24 * 365 * 50])
def test_a_wall_clock_that_moved_against_the_monotonic_one_was_stepped(hours: int) -> None:
    clock = SteppableClock()
    waiter = SelectorWaiter(clock, make_timer=PipeTimer)
    try:
        clock.stepped = timedelta(hours=hours)
        stepped = waiter.wait(clock.now() + FAR, [], None)
        after = waiter.wait(clock.now() + FAR, [], clock.monotonic() + 0.05)
    finally:
        waiter.close()

    assert stepped == Wake.STEPPED
    assert after == Wake.TIMER


def test_a_step_is_noticed_when_something_else_ends_the_wait() -> None:
    clock = SteppableClock()
    waiter = SelectorWaiter(clock, make_timer=PipeTimer)

    def step_and_signal() -> None:
        clock.stepped = timedelta(days=1)
        os.kill(os.getpid(), signal.SIGUSR1)

    later(0.05, step_and_signal)
    try:
        assert waiter.wait(clock.now() + FAR, [], None) == Wake.COMMAND | Wake.STEPPED
    finally:
        waiter.close()


def test_a_drift_of_a_second_is_no_step() -> None:
    clock = SteppableClock()
    waiter = SelectorWaiter(clock, make_timer=PipeTimer)
    try:
        clock.stepped = timedelta(seconds=1)
        assert waiter.wait(clock.now() + FAR, [], clock.monotonic() + 0.05) == Wake.TIMER
    finally:
        waiter.close()


def test_the_timer_is_not_set_again_to_the_same_instant() -> None:
    timer = PipeTimer()
    waiter = SelectorWaiter(make_timer=lambda: timer)
    until = datetime.now(UTC) + FAR
    try:
        for _ in range(3):
            waiter.wait(until, [], time.monotonic() + 0.01)
    finally:
        waiter.close()

    assert timer.set_to == [until.timestamp()]


def test_the_kernel_s_timer_reports_its_instant() -> None:
    timer = WallTimer()
    try:
        assert timer.arm(time.time() + FAR.total_seconds())
        assert timer.take()  # nothing to take yet, and that is no step
        assert select.select([timer.fileno()], [], [], 0)[0] == []
        assert timer.arm(time.time() + 0.1)
        assert select.select([timer.fileno()], [], [], 20)[0] == [timer.fileno()]
        assert timer.take()
    finally:
        timer.close()


# --- what is left without them ----------------------------------------------------------------------------


def test_without_a_timer_it_still_returns_at_the_instant() -> None:
    waiter = SelectorWaiter(make_timer=refused)
    until = datetime.now(UTC) + timedelta(milliseconds=80)
    try:
        assert waiter.limits == ("timer",)
        assert waiter.wait(until, [], None) == Wake.TIMER
        assert datetime.now(UTC) >= until
    finally:
        waiter.close()


def test_without_file_watches_a_signal_still_reloads(tmp_path: Path) -> None:
    waiter = SelectorWaiter(make_files=no_files)
    try:
        assert waiter.limits == ("files",)
        waiter.watch_files([tmp_path / "tasks.toml"])
        waiter.watch_signs([tmp_path / "trading.halt"])
        os.kill(os.getpid(), signal.SIGHUP)
        assert wait(waiter) == Wake.RELOAD
    finally:
        waiter.close()


def test_a_whole_kernel_has_no_limits(waiter: SelectorWaiter) -> None:
    assert waiter.limits == ()


def test_waiting_costs_no_processor_time(waiter: SelectorWaiter) -> None:
    before = time.process_time()

    wait(waiter, timedelta(milliseconds=500))

    assert time.process_time() - before < 0.02


def open_descriptors() -> dict[int, bool]:
    """Which are open, and whether children would get them."""
    found = {}
    for fd in range(3, 512):
        try:
            found[fd] = os.get_inheritable(fd)
        except OSError:
            continue
    return found


def test_no_descriptor_of_it_reaches_a_child(tmp_path: Path) -> None:
    before = open_descriptors()
    waiter = SelectorWaiter()
    waiter.watch_files([tmp_path / "tasks.toml"])
    opened = {fd: inherited for fd, inherited in open_descriptors().items() if fd not in before}
    waiter.close()

    assert len(opened) == 4  # two ends of the signals' pipe, the timer, the files
    assert not any(opened.values())
    assert open_descriptors() == before
