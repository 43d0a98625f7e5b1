"""What every job shares with the daemon: its result file and its deadline. Standard library only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

RESULT_VARIABLE = "ORCHESTRATOR_RESULT"
DEADLINE_VARIABLE = "ORCHESTRATOR_DEADLINE"


def write_result(report: Mapping[str, object]) -> Path | None:
    """Write `report` as JSON to the file ORCHESTRATOR_RESULT names; return its path, None when run by hand.

    The file is whole or absent whatever happens (temporary file, fsync, rename, fsync of the directory); a
    second call replaces it. Values that JSON does not know are written as their text.

    Raises:
        OSError: if it cannot be written.
        ValueError: if a number is not finite, or the report refers to itself.
    """
    target = os.environ.get(RESULT_VARIABLE)
    if not target:
        return None
    text = json.dumps(dict(report), default=str, allow_nan=False)
    path = Path(target)
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)
    return path


def run_deadline() -> datetime | None:
    """Return the instant (aware UTC) this run is to be done by, from ORCHESTRATOR_DEADLINE; None when unset.

    Raises:
        ValueError: if the variable holds no instant with a zone.
    """
    text = os.environ.get(DEADLINE_VARIABLE)
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError(
            f"{DEADLINE_VARIABLE}={text!r} is no instant with a zone; expected e.g. 2026-11-20T23:00:00Z"
        )
    return instant.astimezone(UTC)


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` survive a power cut. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
