"""Where log lines go: a stream and a file that is rotated by size. Writing never raises.

Light: standard library only. A sink that fails says so once, through the other one, and again when it works.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

RETRY_S = 60.0
"""How long a file that could not be written is left alone."""


class StreamSink:
    """Writes lines to a stream (stdout). A broken one loses them quietly: there is nobody to tell."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = 0

    def write(self, line: str) -> bool:
        """Write a line; return whether it was written."""
        try:
            try:
                self._stream.write(line + "\n")
            except UnicodeEncodeError:
                self._stream.write(line.encode("ascii", "backslashreplace").decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.lost += 1
            return False
        return True


class RotatingFile:
    """Appends lines to `path`; at `max_bytes` it becomes `path.1`, that `path.2`, up to `backups`.

    A line is one write to the file, so that another reader never sees half of one. After a failure (a full
    disk) nothing is tried for `RETRY_S`. backups: 0 starts the file over.
    """

    def __init__(self, path: Path, max_bytes: int, backups: int, monotonic: Callable[[], float]) -> None:
        self.path = path
        self.lost = 0
        self.failure: OSError | None = None
        self._max_bytes, self._backups, self._monotonic = max_bytes, backups, monotonic
        self._fd: int | None = None
        self._size = 0
        self._retry_at = 0.0
        self._torn = False

    def write(self, line: str) -> bool:
        """Append a line; return whether it was written. `failure` says why not."""
        if self.failure is not None and self._monotonic() < self._retry_at:
            self.lost += 1
            return False
        try:
            self._append((line + "\n").encode(errors="backslashreplace"))
        except OSError as error:
            self.failure = error
            self._retry_at = self._monotonic() + RETRY_S
            self.lost += 1
            self.close()
            return False
        self.failure = None
        return True

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append(self, line: bytes) -> None:
        fd = self._open()
        if self._size and self._size + len(line) > self._max_bytes:
            self._rotate()
            fd = self._open()
        if self._torn:
            line = b"\n" + line
        written = os.write(fd, line)
        self._size += written
        self._torn = written < len(line)
        if self._torn:
            raise OSError(28, os.strerror(28), str(self.path))  # ENOSPC: a short write is a full disk

    def _open(self) -> int:
        # A file that somebody has removed is begun anew, or the lines would go nowhere.
        if self._fd is not None and os.fstat(self._fd).st_nlink:
            return self._fd
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size
        return self._fd

    def _rotate(self) -> None:
        self.close()
        if not self._backups:
            self.path.unlink()
            return
        for number in range(self._backups - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self.path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
