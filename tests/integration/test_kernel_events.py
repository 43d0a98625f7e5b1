"""What the kernel may answer that it does not answer here: a set clock, a refused call."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from orchestration.kernel_events import Call, FileWatch, WallTimer, _call


def refusing(name: str, code: int) -> Call:
    """A system call layer that is the real one, but for `name`."""

    def call(function: str, *arguments: object) -> int:
        if function == name:
            raise OSError(code, os.strerror(code))
        return _call(function, *arguments)

    return call


def reading(code: int) -> WallTimer:
    def read(fd: int, length: int) -> bytes:
        raise OSError(code, os.strerror(code))

    return WallTimer(read=read)


def test_a_timer_that_was_cancelled_by_a_set_clock_says_so() -> None:
    timer = reading(errno.ECANCELED)

    assert not timer.take()
    timer.close()


def test_a_clock_that_was_set_before_the_timer_was_is_said_too() -> None:
    timer = WallTimer(call=refusing("timerfd_settime", errno.ECANCELED))

    assert not timer.arm(1e9)
    timer.close()


def test_other_errors_of_the_timer_are_not_hidden() -> None:
    for timer in (reading(errno.EIO), WallTimer(call=refusing("timerfd_settime", errno.EIO))):
        with pytest.raises(OSError, match="Input/output error"):
            assert not (timer.arm(1e9) and timer.take())
        timer.close()


def test_an_instant_before_1970_is_due_at_once() -> None:
    timer = WallTimer()

    assert timer.arm(-5.0)
    assert os.read(timer.fileno(), 8) != b""
    timer.close()


def test_a_libc_without_the_function_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="libc has no inotify_of_the_future"):
        _call("inotify_of_the_future")


def test_a_watch_that_the_kernel_refuses_is_not_hidden(tmp_path: Path) -> None:
    files = FileWatch(call=refusing("inotify_add_watch", errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        files.watch([tmp_path / "tasks.toml"])
    files.close()


def test_a_watch_that_cannot_be_ended_is_not_hidden(tmp_path: Path) -> None:
    files = FileWatch(call=refusing("inotify_rm_watch", errno.EBADF))
    files.watch([tmp_path / "tasks.toml"])

    with pytest.raises(OSError, match="Bad file descriptor"):
        files.watch([])
    files.close()


def test_a_file_at_the_very_top_that_cannot_be_watched_is_an_error() -> None:
    files = FileWatch(call=refusing("inotify_add_watch", errno.EACCES))

    with pytest.raises(PermissionError):
        files.watch([Path("/a/b/c")])
    files.close()
