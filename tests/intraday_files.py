"""Hand-made intraday CSV files, and the shared ones."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

SHARED = Path(
    os.environ.get("ORCHESTRATOR_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)
HEADER = "ts,open,high,low,close,volume"


def clock(minute: int) -> str:
    """Return the wall clock `minute` minutes after 09:30."""
    return f"{(570 + minute) // 60:02d}:{(570 + minute) % 60:02d}:00"


def session(day: str, volumes: Iterable[float], minutes: int = 1) -> list[str]:
    """Lines of bars from 09:30 New York on, one for each volume; every price is 10 $."""
    return [f"{day} {clock(at * minutes)},10,10,10,10,{volume:g}" for at, volume in enumerate(volumes)]


def write_intraday(folder: Path, name: str, lines: Iterable[str], header: str = HEADER) -> Path:
    """Write folder/intraday/name and return its path."""
    path = folder / "intraday" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n")
    return path
