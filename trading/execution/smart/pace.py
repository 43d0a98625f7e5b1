"""How the executor waits: really, or by moving a virtual clock on. The only place of this package that
waits."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

from orchestration.clock import VirtualClock


class Clock(Protocol):
    """What the executor reads the time from: `SystemClock` or `VirtualClock`."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class Pace(Protocol):
    """Lets time pass."""

    async def until(self, at: datetime) -> None:
        """Return at `at` or a little after; at once if it is past."""
        ...


class RealPace:
    """Sleeps in asyncio. most: the longest sleep at once, so that a kill switch or a new order is seen
    soon."""

    def __init__(self, clock: Clock, most: timedelta = timedelta(seconds=1)) -> None:
        self._clock, self._most = clock, most.total_seconds()

    async def until(self, at: datetime) -> None:
        await asyncio.sleep(min(self._most, max(0.0, (at - self._clock.now()).total_seconds())))


class SkippingPace:
    """Moves a virtual clock to the instant: replays and tests wait for nothing."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    async def until(self, at: datetime) -> None:
        self._clock.advance(max(timedelta(), at - self._clock.now()))
        await asyncio.sleep(0)


def pace_of(clock: Clock) -> Pace:
    """Return the pace that belongs to a clock."""
    return SkippingPace(clock) if isinstance(clock, VirtualClock) else RealPace(clock)
