"""What an orchestrated backtest writes down while it runs: a line of JSON for each event."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TextIO

from orchestration.clock import SystemClock

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FILE_NAME = "orchestrator.jsonl"


class EventLog(AbstractContextManager["EventLog"]):
    """Appends events to folder/orchestrator.jsonl: timestamp, level, event, strategy_id and details.

    folder: made if it is missing; None: nothing is written. level: the least that is. now: tells the time of
    a timestamp, when the line was written (UTC), None for the box's clock; when it happened in the market is
    in the details.

    Raises:
        OSError: from entering on, if the file cannot be written.
    """

    def __init__(
        self, folder: Path | str | None, level: str, now: Callable[[], datetime] | None = None
    ) -> None:
        self.path = None if folder is None else Path(folder) / FILE_NAME
        self._least = LEVELS.index(level)
        self._now = now or SystemClock().now
        self._file: TextIO | None = None
        self._lock = Lock()

    def __enter__(self) -> EventLog:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def wants(self, level: str) -> bool:
        """Return whether an event of this level would be written."""
        return self._file is not None and LEVELS.index(level) >= self._least

    def write(self, level: str, event: str, strategy_id: str | None, details: Mapping[str, object]) -> None:
        """Append an event, if its level is wanted. strategy_id: None where it is about all of them."""
        if self._file is None or LEVELS.index(level) < self._least:
            return
        line = {
            "timestamp": self._now().isoformat(),
            "level": level,
            "event": f"orchestrator.{event}",
            "strategy_id": strategy_id,
            "details": dict(details),
        }
        text = json.dumps(line, default=str) + "\n"
        with self._lock:  # strategies in arrays run side by side
            self._file.write(text)
