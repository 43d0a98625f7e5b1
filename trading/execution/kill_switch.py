"""The kill switch: a file whose presence forbids every submit, on this box, through restarts. Light.

Anybody may throw it: `touch STATE_DIR/trading.halt`, or `echo why > STATE_DIR/trading.halt`. Whatever is
wrong with the file, it halts; only a file that is surely not there lets orders pass.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from trading.execution.orders import check_instant

FILE_NAME: Final = "trading.halt"
"""In the state directory."""

_READ_AT_MOST: Final = 1_000_000
"""Bytes: a halt needs a few lines, and whatever somebody puts there must not fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why nothing may be sent: the first reason given. by, at: "" and None where the file does not say."""

    reason: str
    by: str = ""
    at: datetime | None = None


class KillSwitch:
    """Halts are lines of JSON in `path`, the oldest first; `history` beside it keeps what was cleared."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.history = self.path.with_name(self.path.name + ".history")

    def is_set(self) -> bool:
        """Whether trading is halted: one look at the file system, to be taken before every submit."""
        try:
            os.lstat(self.path)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def read(self) -> Halt | None:
        """Return the halt that stands, None if there is none. Never raises: what cannot be read halts too."""
        if not self.is_set():
            return None
        try:
            content = self._content()
        except OSError as error:
            return Halt(reason=f"{self.path} is there and cannot be read ({error.strerror})")
        first = next((line.strip() for line in content.splitlines() if line.strip()), "")
        return _halt(first) or Halt(reason=first or f"{self.path} is there, without a reason")

    def set(self, reason: str, by: str, at: datetime) -> None:
        """Halt trading; on the disk when this returns. A halt that stands keeps its reason, this one follows.

        On a full disk the halt stands without its reason.

        Raises:
            OSError: if the file cannot be made or brought to the disk: do not rely on the halt.
        """
        check_instant("at", at)
        # The halt first, as one call that a full disk hardly refuses; then why.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        _sync_directory(self.path.parent)
        line = _line({"at": at.astimezone(UTC).isoformat(), "by": by, "reason": reason})
        with suppress(OSError):
            self._replace(_whole_lines(self._content()) + line)

    def clear(self, by: str, at: datetime) -> bool:
        """Let trading go on; return whether it was halted. The halts and who cleared them go to the history.

        Raises:
            OSError: if the history cannot be written or the file not be removed: trading stays halted.
        """
        check_instant("at", at)
        if not self.is_set():
            return False
        try:
            content = self._content()
        except OSError as error:
            content = _line({"reason": f"unreadable ({error.strerror})"})
        cleared = _line({"at": at.astimezone(UTC).isoformat(), "by": by, "cleared": True})
        _append(self.history, _whole_lines(content) + cleared)
        if self.path.is_dir() and not self.path.is_symlink():
            os.rmdir(self.path)
        else:
            os.unlink(self.path)
        _sync_directory(self.path.parent)
        return True

    def _content(self) -> str:
        # Not blocking: the file may be a pipe.
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.read(fd, _READ_AT_MOST).decode("utf-8", "replace")
        finally:
            os.close(fd)

    def _replace(self, content: str) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(self.path.parent)


def _line(content: Mapping[str, object]) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False) + "\n"


def _whole_lines(content: str) -> str:
    """Return the content with an end to its last line."""
    return content if not content or content.endswith("\n") else content + "\n"


def _halt(line: str) -> Halt | None:
    """Return the halt of one of our lines; None if it is of another hand."""
    try:
        found = json.loads(line)
        at = datetime.fromisoformat(found["at"])
        check_instant("at", at)
        return Halt(reason=str(found["reason"]), by=str(found["by"]), at=at)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _append(path: Path, content: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
