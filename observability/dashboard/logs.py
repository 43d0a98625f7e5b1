"""A run's log, a part at a time: its end first, earlier parts when asked for, then what is appended.

Never more than a part is in memory, however large the file is. What comes out is text without terminal codes
and without secrets; it is handed over in whole lines, so that no secret is cut in two and so missed.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from observability.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = 65_536
"""Bytes read at a time."""
FAR = 16 * PART
"""A reader who is further behind than this goes on at the end: a flood is not read through a browser."""
MARK = 64
"""Bytes before a place by which it is known again."""
SOME = 4
"""From so many characters on, what is no text is only counted."""

_CODES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and movements
    r"|\x1b\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)"  # titles and links
    r"|\x1b[PX^_][^\x1b\n]{0,4096}\x1b\\"
    r"|\x1b[ -/]*[0-~]"
)
# Controls, what was no UTF-8, and marks that turn the direction of reading.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\u202a-\u202e\u2066-\u2069]+")
_PLACE = re.compile(r"(\d{1,20})\.(\d{1,20})\.(\d{1,10})", re.ASCII)

REPLACED = "The log was replaced by a new one; it goes on below."
CUT = "The log was cut or begun anew; this is its end."
BEHIND = "So much was written that some of it is left out here."


class NoLog(LookupError):
    """There is no log to show; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a log: the file, by its inode, and how many bytes of it lie before. mark: a checksum of the
    last of those, so that a file that was cut and has grown again is not taken for the same."""

    inode: int
    offset: int
    mark: int

    def __str__(self) -> str:
        return f"{self.inode}.{self.offset}.{self.mark}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises ValueError."""
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ValueError(f"place is {text[:40]!r}: expected one that was given with a part of the log")
        return cls(*map(int, found.groups()))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """A part of a log. start: what lies before can be asked for from here, None if nothing does. end: where
    it goes on. size: of the whole file. note: what a reader must know of it. more: there is more already."""

    text: str
    start: Place | None
    end: Place
    size: int
    note: str | None = None
    more: bool = False


class LogReader:
    """Reads logs that lie in `folder`, and no other file. secrets: values that are never shown."""

    def __init__(self, folder: Path, secrets: Iterable[str] = ()) -> None:
        self._folder = os.path.realpath(folder)
        self._redactor = Redactor(secrets)

    def tail(self, path: str, *, over: bool) -> LogPart:
        """Return the end of the log. over: nothing more is written, so that a last line may lack its end.

        Raises:
            NoLog: if there is no such file, or it must not be shown.
        """
        with self._opened(path) as fd:
            size = os.fstat(fd).st_size
            return self._part(fd, max(0, size - PART), size, over=over)

    def before(self, path: str, place: Place) -> LogPart:
        """Return what lies before a place. Raises NoLog as `tail` does."""
        with self._opened(path) as fd:
            if not _is_at(fd, place):
                part = self._part(fd, max(0, os.fstat(fd).st_size - PART), os.fstat(fd).st_size, over=True)
                return replace(part, note=CUT)
            return self._part(fd, max(0, place.offset - PART), place.offset, over=True, is_cut=True)

    def after(self, path: str, place: Place, *, over: bool) -> LogPart:
        """Return what was appended since a place, as far as its lines are whole. Raises NoLog as `tail` does.

        A log that was rotated away is read to its end, where it still lies beside the new one as `path`.1.
        """
        with self._opened(path) as fd:
            if _is_at(fd, place):
                return self._since(fd, place.offset, over=over)
            if os.fstat(fd).st_ino == place.inode:
                return replace(self.tail(path, over=over), note=CUT)
            return self._rotated(path, place, Place(os.fstat(fd).st_ino, 0, 0))

    def _rotated(self, path: str, place: Place, new: Place) -> LogPart:
        try:
            with self._opened(f"{path}.1") as fd:
                if _is_at(fd, place):
                    part = self._since(fd, place.offset, over=True)
                    return part if part.more else replace(part, end=new, note=REPLACED, more=True)
        except NoLog:
            pass
        return LogPart(text="", start=None, end=new, size=0, note=REPLACED, more=True)

    def _since(self, fd: int, offset: int, *, over: bool) -> LogPart:
        size = os.fstat(fd).st_size
        if size - offset > FAR:
            return replace(self._part(fd, size - PART, size, over=over), note=BEHIND)
        return self._part(fd, offset, min(size, offset + PART), over=over, is_line=True)

    def _part(
        self, fd: int, start: int, end: int, *, over: bool, is_line: bool = False, is_cut: bool = False
    ) -> LogPart:
        """Return the whole lines of [start, end). is_line: one begins at start; is_cut: end is one's end."""
        raw = os.pread(fd, end - start, start)
        size = os.fstat(fd).st_size
        is_whole = is_cut or (over and start + len(raw) >= size)
        if start and not is_line and b"\n" in raw:
            cut = raw.index(b"\n") + 1
            raw, start = raw[cut:], start + cut
        # What has no line end in a whole part never gets one: it is handed over as it is.
        if not is_whole and (b"\n" in raw or len(raw) < PART):
            raw = raw[: raw.rfind(b"\n") + 1]
        stop = start + len(raw)
        return LogPart(
            text=self.clean(raw),
            start=_place(fd, start) if start else None,
            end=_place(fd, stop),
            size=size,
            more=stop < size and bool(raw),
        )

    def clean(self, raw: bytes) -> str:
        """Return lines of output as text to be shown."""
        text = _CODES.sub("", raw.decode("utf-8", "replace"))
        return "\n".join(self._redactor.text(_line(line)) for line in text.split("\n"))

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise NoLog("There is no log: nothing was written yet, or it was cleaned up.") from None
        except (OSError, ValueError) as error:
            raise NoLog(f"The log cannot be read ({getattr(error, 'strerror', None) or error}).") from error
        try:
            self._check(fd)
            yield fd
        finally:
            os.close(fd)

    def _check(self, fd: int) -> None:
        """Look at what was opened, not at its name: a link could be changed in between."""
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NoLog("The log is no ordinary file.")
        if not os.path.realpath(f"/proc/self/fd/{fd}").startswith(f"{self._folder}/"):
            raise NoLog("The log does not lie in the folder of logs: it is not shown.")


def _place(fd: int, offset: int) -> Place:
    return Place(os.fstat(fd).st_ino, offset, _mark(fd, offset))


def _is_at(fd: int, place: Place) -> bool:
    """Whether this is the file of a place, and what lies before the place is what was there."""
    here = os.fstat(fd)
    return (
        here.st_ino == place.inode and place.offset <= here.st_size and _mark(fd, place.offset) == place.mark
    )


def _mark(fd: int, offset: int) -> int:
    return zlib.crc32(os.pread(fd, min(offset, MARK), max(0, offset - MARK)))


def _line(line: str) -> str:
    """Return a line as a terminal leaves it: what was written over is gone, what is no text is counted."""
    line = line.rstrip("\r").rpartition("\r")[2]
    return _NO_TEXT.sub(lambda found: _no_text(len(found[0])), line)


def _no_text(count: int) -> str:
    return "·" * count if count < SOME else f"[{count} characters that are no text]"
