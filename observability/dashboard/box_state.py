"""How the box itself is, and what its processes take: a level and words for each. Values in, words out.

Levels: ok, warn, fail, or info where nobody can tell, and then it says "unknown".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import psutil

from hardware.health import BoxHealth, HealthLimits
from observability.dashboard.figures import percent, size

HOT_WITHIN_C: Final = 5.0
"""Of the temperature above which no research starts: it is near."""
DISK_LOW_MB, DISK_LOW_PCT = 2000.0, 10.0
"""Below either, health_check warns."""
WRITES_MB_A_DAY: Final = 200
"""What the daemon may write in a day: an SD card lasts for years then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing looked at: its level, and how it is in words."""

    name: str
    level: str
    text: str


def box_lines(health: BoxHealth, hottest_c: float) -> list[Line]:
    """Return temperature, throttling, supply, disk and clock. hottest_c: above it no research starts."""
    return [
        _temperature(health.temperature_c, hottest_c),
        _throttling(health),
        _supply(health),
        _disk(health),
        _clock(health),
    ]


def _temperature(celsius: float | None, hottest_c: float) -> Line:
    if celsius is None:
        return Line(name="temperature", level="info", text="unknown: no sensor")
    text = f"{celsius:.0f} °C"
    if celsius > hottest_c:
        return Line(name="temperature", level="fail", text=f"{text}, above {hottest_c:g}: no research starts")
    if celsius > hottest_c - HOT_WITHIN_C:
        return Line(name="temperature", level="warn", text=f"{text}; above {hottest_c:g} no research starts")
    return Line(name="temperature", level="ok", text=text)


def _throttling(health: BoxHealth) -> Line:
    if health.throttled_now is None:
        return Line(name="throttling", level="info", text="unknown: the firmware does not say")
    if health.throttled_now:
        return Line(name="throttling", level="warn", text=f"now: {', '.join(health.throttled_now)}")
    since = ", ".join(health.throttled_since_boot or ())
    text = f"not now; since the start of the box: {since}" if since else "never since the start of the box"
    return Line(name="throttling", level="ok", text=text)


def _supply(health: BoxHealth) -> Line:
    if health.under_voltage is None:
        return Line(name="supply", level="info", text="unknown: no sensor")
    if health.under_voltage:
        return Line(name="supply", level="fail", text="under-voltage: the power supply is too weak")
    return Line(name="supply", level="ok", text="the voltage is fine")


def _disk(health: BoxHealth) -> Line:
    mb, pct = health.disk_free_mb, health.disk_free_pct
    if mb is None or pct is None:
        return Line(name="disk", level="info", text="unknown: it cannot be read")
    low = mb < DISK_LOW_MB or pct < DISK_LOW_PCT
    level = "fail" if mb < HealthLimits().min_disk_free_mb else "warn" if low else "ok"
    return Line(name="disk", level=level, text=f"{mb:,.0f} MB free, {percent(pct, 0)}")


def _clock(health: BoxHealth) -> Line:
    if health.clock_synced:
        return Line(name="clock", level="ok", text=f"right, says {_who(health.clock_source)}")
    what = "unknown whether it is right" if health.clock_synced is None else "not synchronised"
    return Line(name="clock", level="fail", text=f"{what} ({health.clock_source}): no trading task starts")


def _who(source: str) -> str:
    return {"operator": "the operator (ORCHESTRATOR_ASSUME_CLOCK_SYNCED)", "kernel": "the kernel"}.get(
        source, source
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a process takes. rss_mb: resident. written: to disk, in words; None: it cannot be asked."""

    rss_mb: float
    written: Line | None


def used_by_process(pid: int | None, now: datetime) -> Used | None:
    """Return what a process takes; None: it is gone, or another user's. pid: None is this one."""
    try:
        process = psutil.Process(pid)
        rss_mb = process.memory_info().rss / 1e6
        began = datetime.fromtimestamp(process.create_time(), UTC)
    except psutil.Error:
        return None
    return Used(rss_mb=rss_mb, written=_written(process, now - began))


def _written(process: psutil.Process, lasted: timedelta) -> Line | None:
    try:
        count = process.io_counters().write_bytes
    except (psutil.Error, OSError, AttributeError, NotImplementedError):
        return None
    return written_line(count, lasted)


def written_line(count: int, lasted: timedelta) -> Line:
    """Return what was written since a process began, as a rate where it has run long enough for one."""
    text = f"{size(count)} since it began"
    if lasted < timedelta(hours=1):
        return Line(name="written", level="info", text=f"{text}; too soon for a rate")
    rate = count / 1e6 / (lasted / timedelta(days=1))
    level = "warn" if rate > WRITES_MB_A_DAY else "ok"
    return Line(name="written", level=level, text=f"{text}, {rate:,.0f} MB a day of {WRITES_MB_A_DAY}")
