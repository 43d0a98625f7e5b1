"""Reading logs: the daemon's JSON lines, across rotation, and the tail of a run's output."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

LEVELS = ("debug", "info", "warning", "error", "critical")
POLL_S = 0.25
TAIL_BYTES = 200_000


class Sleeper(Protocol):
    """Something that waits: `clock.SystemClock` does."""

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines are shown. task, run: of this one only; level: the least severe."""

    task: str | None = None
    run: str | None = None
    level: str = "debug"

    def takes(self, line: Mapping[str, Any]) -> bool:
        """Whether `line` is shown."""
        if self.task is not None and line.get("task") != self.task:
            return False
        if self.run is not None and line.get("run") != self.run:
            return False
        level = str(line.get("level"))
        return level not in LEVELS or LEVELS.index(level) >= LEVELS.index(self.level)


def parse(text: str) -> dict[str, Any]:
    """Return a line's keys; what is no JSON object is an event of its own."""
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict) or "event" not in line:
        return {"timestamp": "", "level": "info", "logger": "file", "event": text}
    return {"timestamp": "", "level": "info", "logger": "", **line}


def last_lines(path: Path, wanted: Wanted, count: int, *, number: int = 0) -> list[dict[str, Any]]:
    """Return the last `count` wanted lines of a rotated log, oldest first; none without a file.

    number: the newest rotated file that is read (0: `path` itself, 1: `path.1`).
    """
    found: deque[dict[str, Any]] = deque()
    while len(found) < count:
        file = _rotated(path, number)
        if file.exists():
            with file.open("rb") as stream:
                found.extendleft(reversed(_newest(stream, wanted, count - len(found))))
        elif number > 0:
            break
        number += 1
    return list(found)


def _rotated(path: Path, number: int) -> Path:
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def _newest(stream: BinaryIO, wanted: Wanted, count: int) -> list[dict[str, Any]]:
    lines = (parse(text.decode(errors="replace").rstrip("\n")) for text in stream)
    return list(deque((line for line in lines if wanted.takes(line)), maxlen=count))


def follow(path: Path, wanted: Wanted, sleeper: Sleeper, backlog: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the last `backlog` wanted lines, then each as it is written, for ever.

    A file that is rotated away is read to its end first, so that no line is lost or seen twice.
    """
    stream = _open(path)
    rest = b""
    try:
        if stream is not None:
            recent = _newest(stream, wanted, backlog)
            yield from last_lines(path, wanted, backlog - len(recent), number=1)
            yield from recent
        while True:
            # Asked before reading: what was written until the file was replaced is in the old one.
            is_old = stream is not None and _is_other(stream, path)
            if stream is not None:
                *whole, rest = (rest + stream.read()).split(b"\n")
                yield from (x for text in whole if wanted.takes(x := parse(text.decode(errors="replace"))))
            if stream is None or is_old:
                if stream is not None:
                    stream.close()
                stream, rest = _open(path), b""
                if stream is not None:
                    continue
            sleeper.sleep(POLL_S)
    finally:
        if stream is not None:
            stream.close()


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _is_other(stream: BinaryIO, path: Path) -> bool:
    """Whether `path` is another file by now, or this one was cut."""
    here = os.fstat(stream.fileno())
    try:
        there = path.stat()
    except FileNotFoundError:
        return True
    return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino) or there.st_size < stream.tell()


def tail(path: Path, count: int) -> list[str]:
    """Return the last `count` lines of a run's output; none if there is no such file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-count:]
