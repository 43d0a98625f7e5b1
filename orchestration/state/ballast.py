"""A file that only takes up room, to be given back when the disk is full. Standard library only.

On a full disk even a DELETE fails (the write-ahead log has to grow first): releasing the ballast makes room
for the daemon to record what happened and to clean up.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_BLOCK = bytes(65536)


def reserve_ballast(path: str | Path, size_bytes: int) -> bool:
    """Take `size_bytes` of real room in the file `path`; return whether it is held (False: no room for it).

    Nothing is written if the file already has that size. No part of a file is left behind.

    Raises:
        OSError: for any reason but a full disk or quota.
    """
    target = Path(path)
    with suppress(FileNotFoundError):
        if target.stat().st_size == size_bytes:
            return True
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _fill(fd, size_bytes)
        os.fsync(fd)
    except OSError as error:
        target.unlink()
        if error.errno in _NO_ROOM:
            return False
        raise
    finally:
        os.close(fd)
    return True


def _fill(fd: int, size_bytes: int) -> None:
    try:
        os.posix_fallocate(fd, 0, size_bytes)
    except OSError as error:
        # Some file systems cannot allocate without writing.
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        left = size_bytes
        while left > 0:
            left -= os.write(fd, _BLOCK[:left])


def release_ballast(path: str | Path) -> int:
    """Give the room back; return how many bytes that is, 0 if there was no ballast. Raises OSError."""
    target = Path(path)
    try:
        size = target.stat().st_size
        target.unlink()
    except FileNotFoundError:
        return 0
    return size


class Ballast:
    """A reserve of `size_bytes` in the file `path`. On trouble other than a full disk there is none."""

    def __init__(self, path: str | Path, size_bytes: int = 8_000_000) -> None:
        self._path, self._size = path, size_bytes

    def release(self) -> bool:
        """Give the room up; False if there was none."""
        try:
            return release_ballast(self._path) > 0
        except OSError:
            return False

    def restore(self) -> bool:
        """Hold the room (again); False while there is none for it."""
        try:
            return reserve_ballast(self._path, self._size)
        except OSError:
            return False
