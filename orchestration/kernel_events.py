"""Two things of Linux that Python 3.11 has no name for, through ctypes: a wall-clock timer that a step of the
clock cancels (timerfd_create(2)), and changes of files (inotify(7)). Standard library only."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

CLOCK_REALTIME = 0
TFD_TIMER_ABSTIME = 1
TFD_TIMER_CANCEL_ON_SET = 2

IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x40, 0x80, 0x100, 0x200
IN_CLOSE_WRITE, IN_DELETE_SELF, IN_MOVE_SELF = 0x8, 0x400, 0x800
IN_Q_OVERFLOW, IN_IGNORED, IN_ONLYDIR = 0x4000, 0x8000, 0x0100_0000
WATCHED = (
    IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_CREATE
    | IN_DELETE
    | IN_CLOSE_WRITE
    | IN_DELETE_SELF
    | IN_MOVE_SELF
    | IN_ONLYDIR
)
DIRECTORY_GONE = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_Q_OVERFLOW
EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name that follows


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> int:
    """Call libc's `name`. Raises OSError, also if this libc has no such function."""
    function = getattr(_libc(), name, None)
    if function is None:
        raise OSError(errno.ENOSYS, f"libc has no {name}")
    result = int(function(*arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


Call = Callable[..., int]


class WallTimer:
    """A timer on the wall clock; its descriptor becomes readable at the instant, or when the clock is set.

    Raises:
        OSError: on construction, where the kernel or a system call filter refuses it.
    """

    def __init__(self, call: Call = _call, read: Callable[[int, int], bytes] = os.read) -> None:
        self._call, self._read = call, read
        self._fd = call("timerfd_create", CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def arm(self, at: float) -> bool:
        """Set it to `at`, Unix seconds. Return False if the clock was set meanwhile; it is armed anyway."""
        nanoseconds = max(1, round(at * 1e9))  # 0 would disarm it
        spec = _TimerSpec(value=_TimeSpec(*divmod(nanoseconds, 1_000_000_000)))
        try:
            flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET
            self._call("timerfd_settime", self._fd, flags, ctypes.byref(spec), None)
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            return False
        return True

    def take(self) -> bool:
        """Take what made it readable. Return False if that was a step of the clock."""
        try:
            self._read(self._fd, 8)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            return False
        return True

    def close(self) -> None:
        os.close(self._fd)


class FileWatch:
    """Notices when one of a set of files is written, replaced, removed or appears.

    Watches directories, since editors write a new file and rename it over the old one. Of a directory that is
    not there the nearest one above is watched until it appears. A link is watched where it is and where it
    points. Files reached over a network file system change unnoticed.

    Raises:
        OSError: on construction, where the kernel or a system call filter refuses it.
    """

    def __init__(self, call: Call = _call) -> None:
        self._call = call
        self._fd = call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        self._paths: tuple[Path, ...] = ()
        self._names: dict[int, set[str]] = {}

    def fileno(self) -> int:
        return self._fd

    def watch(self, paths: Iterable[Path]) -> None:
        """Watch `paths` and nothing else from now on. Raises OSError if there are no watches left."""
        self._paths = tuple(Path(os.path.abspath(path)) for path in paths)
        self._renew()

    def changed(self) -> bool:
        """Take the events there are; return whether one of them concerns a watched file."""
        concerned = False
        while events := self._read():
            offset = 0
            while offset < len(events):
                wd, mask, _, length = EVENT.unpack_from(events, offset)
                offset += EVENT.size + length
                name = os.fsdecode(events[offset - length : offset].rstrip(b"\0"))
                names = self._names.get(wd, set())
                concerned |= bool(wd == -1 or name in names or (names and mask & DIRECTORY_GONE))
        if concerned:
            self._renew()
        return concerned

    def close(self) -> None:
        os.close(self._fd)

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 65536)
        except BlockingIOError:
            return b""

    def _renew(self) -> None:
        names: dict[int, set[str]] = {}
        for path in self._paths:
            for place in {path, path.resolve()}:
                wd, name = self._watch_nearest(place)
                names.setdefault(wd, set()).add(name)
        for wd in self._names.keys() - names.keys():
            try:
                self._call("inotify_rm_watch", self._fd, wd)
            except OSError as error:
                if error.errno != errno.EINVAL:  # the kernel has dropped it with its directory
                    raise
        self._names = names

    def _watch_nearest(self, path: Path) -> tuple[int, str]:
        """Watch the nearest directory above `path` that exists, for the name that leads to `path`."""
        while True:
            try:
                directory = os.fsencode(path.parent)
                return self._call("inotify_add_watch", self._fd, directory, WATCHED), path.name
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES) or path.parent == path:
                    raise
                path = path.parent
