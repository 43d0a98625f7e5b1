"""How much memory a piece of work may take, asked of the kernel before each. Light. Linux."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from trading.execution.checking import positive

LEAST_MB: Final = 1.0
"""A piece is never smaller: where the program alone exceeds the limit, smaller ones would only be slow."""
MOST_MB: Final = 256.0
"""Larger pieces are no faster."""
TARGET: Final = 0.9
"""The part of the limit that is aimed at: who set it measures on his own, and kills."""


def resident_mb() -> float:
    """Return what this process holds in memory now [MB]."""
    return _status_mb("VmRSS:")


def peak_mb() -> float:
    """Return the most that this process ever held in memory [MB]."""
    return _status_mb("VmHWM:")


def _status_mb(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError(f"/proc/self/status has no {name}")


class MemoryBudget:
    """Says how large pieces of work may be so that the process stays below a limit.

    limit_mb: for the whole process, in MB. resident: what it holds at the moment of asking [MB].

    Raises:
        ValueError: if the limit is not above 0.
    """

    def __init__(self, limit_mb: float, resident: Callable[[], float] = resident_mb) -> None:
        self.limit_mb = positive("limit_mb", limit_mb)
        self._resident = resident

    @property
    def room_mb(self) -> float:
        """What may be taken beyond what is held now; below 0 if that is already too much."""
        return self.limit_mb * TARGET - self._resident()

    def piece_mb(self) -> float:
        """Return what one piece may take: half of the room, as its size is an estimate."""
        return min(max(self.room_mb / 2, LEAST_MB), MOST_MB)
