"""The trading halt as the daemon sees it: a file that anybody may make. The jobs' side, which sets it, clears
it and obeys it, is `trading.execution.kill_switch`. Standard library only."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

FILE_NAME: Final = "trading.halt"
"""In the state directory."""
ALERT: Final = "trading_halted"
"""The key of the alert that stands as long as the file does."""

_READ_AT_MOST: Final = 10_000
"""Bytes: the first reason is in the first line, and the file may be anybody's."""
_MOST_CHARACTERS: Final = 500


def reason_of(path: Path) -> str | None:
    """Return why trading is halted; None: it is not. Never raises: what cannot be read halts too."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path} cannot be looked at ({error.strerror})"
    try:
        content = _content(path)
    except OSError as error:
        return f"{path} is there and cannot be read ({error.strerror})"
    first = next((line.strip() for line in content.splitlines() if line.strip()), "")
    return (_told(first) or f"{path} is there, without a reason")[:_MOST_CHARACTERS]


def _content(path: Path) -> str:
    # Not blocking: the file may be a pipe.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(fd, _READ_AT_MOST).decode("utf-8", "replace")
    finally:
        os.close(fd)


def _told(line: str) -> str:
    """Return the reason in a line: the kill switch's own are JSON, a person's are plain."""
    try:
        found = json.loads(line)
        told = f"{found['reason']} ({found['by']}, {found['at']})"
        return told.encode(errors="replace").decode()  # JSON may have half a character, which nothing stores
    except (ValueError, LookupError, TypeError, RecursionError):
        return line
