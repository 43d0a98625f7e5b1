"""How the box is: temperature, throttling, supply, clock, disk. What cannot be read is unknown, never fine.

Files only, so that a fake tree stands in for a Raspberry Pi; no command is run and no traffic sent.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

MB = 1_000_000

EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""No clock that is right shows an earlier instant: this program is younger."""

THROTTLE_BITS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
"""Bits 0 to 3 of the firmware's answer, now; the same from bit 16 on, since the box was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxHealth:
    """The box at one instant. None: unknown.

    temperature_c: the hottest zone. throttled_now, throttled_since_boot: of `THROTTLE_BITS`.
    under_voltage: now. clock_synced: whether the wall clock is known to be right. clock_source: who says so.
    disk_free_mb (10^6 bytes), disk_free_pct (0-100): of the disk that holds the state, for a plain user.
    """

    temperature_c: float | None = None
    throttled_now: tuple[str, ...] | None = None
    throttled_since_boot: tuple[str, ...] | None = None
    under_voltage: bool | None = None
    clock_synced: bool | None = None
    clock_source: str = "unknown"
    disk_free_mb: float | None = None
    disk_free_pct: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLimits:
    """Where health becomes a fault, in degrees Celsius and MB."""

    max_temperature_c: float = 80.0
    min_disk_free_mb: float = 500.0


def faults_of(health: BoxHealth, limits: HealthLimits = HealthLimits()) -> tuple[str, ...]:
    """Return the names in `patterns.ERRORS` of what is wrong. Unknown is no fault, except for the clock:
    no trading task starts until it is known to be right."""
    faults = []
    if health.clock_synced is not True:
        faults.append("clock_unsynced")
    if health.disk_free_mb is not None and health.disk_free_mb < limits.min_disk_free_mb:
        faults.append("disk_full")
    if health.under_voltage:
        faults.append("undervoltage")
    if health.temperature_c is not None and health.temperature_c >= limits.max_temperature_c:
        faults.append("overheating")
    return tuple(faults)


def read_health(
    root: Path = Path("/"),
    *,
    disk: Path | None = None,
    now: datetime | None = None,
    assume_clock_synced: bool = False,
    kernel_clock: Callable[[], bool | None] | None = None,
) -> BoxHealth:
    """Read the box's health. Never raises.

    root: where /sys and /run are; another one in tests. disk: any path on the disk that matters (None: root).
    now: the wall clock, aware; before `EARLIEST` it is wrong whatever else says. assume_clock_synced: the
    operator's word. kernel_clock: asks the kernel (None: `adjtimex` if root is "/", else unknown).
    """
    throttled = read_throttled(root)
    synced, source = clock_state(root, now, assume_clock_synced, kernel_clock)
    free_mb, free_pct = disk_free(disk or root)
    return BoxHealth(
        temperature_c=read_temperature(root),
        throttled_now=None if throttled is None else _named(throttled),
        throttled_since_boot=None if throttled is None else _named(throttled >> 16),
        under_voltage=_under_voltage(root, throttled),
        clock_synced=synced,
        clock_source=source,
        disk_free_mb=free_mb,
        disk_free_pct=free_pct,
    )


def read_temperature(root: Path = Path("/")) -> float | None:
    """Return the temperature of the hottest zone in degrees Celsius; None if there is none to read."""
    zones = (_number(zone) for zone in root.glob("sys/class/thermal/thermal_zone*/temp"))
    # A sensor that is not connected reads nonsense: nought, or far outside what silicon survives.
    return max((c for zone in zones if zone is not None and 0 < (c := zone / 1000) < 150), default=None)


def read_throttled(root: Path = Path("/")) -> int | None:
    """Return the Raspberry Pi firmware's throttling bits; None where there is no such firmware."""
    for path in sorted(root.glob("sys/devices/platform/soc*/soc*:firmware/get_throttled")):
        text = _text(path)
        try:
            return int(text or "", 16)
        except ValueError:
            continue
    return None


def _named(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in enumerate(THROTTLE_BITS) if bits >> bit & 1)


def _under_voltage(root: Path, throttled: int | None) -> bool | None:
    for hwmon in sorted(root.glob("sys/class/hwmon/hwmon*")):
        if _text(hwmon / "name") == "rpi_volt":
            alarm = _number(hwmon / "in0_lcrit_alarm")
            if alarm is not None:
                return alarm != 0
    return None if throttled is None else bool(throttled & 1)


def clock_state(
    root: Path,
    now: datetime | None,
    assume_clock_synced: bool,
    kernel_clock: Callable[[], bool | None] | None = None,
) -> tuple[bool | None, str]:
    """Return whether the wall clock is known to be right (None: nobody can tell), and who says so."""
    if now is not None and now < EARLIEST:
        return False, f"the clock shows {now:%Y-%m-%d}"
    if assume_clock_synced:
        return True, "operator"
    timesync = root / "run/systemd/timesync"
    if (timesync / "synchronized").exists():
        return True, "systemd-timesyncd"
    ask = kernel_clock or (adjtimex_synced if root == Path("/") else lambda: None)
    synced = ask()
    if synced is not None:
        return synced, "kernel"
    if timesync.is_dir():
        return False, "systemd-timesyncd"
    return None, "unknown"


STA_UNSYNC, TIME_ERROR = 0x40, 5
TIMEX = "@Illlli"
"""The head of the C library's struct timex: modes, offset, freq, maxerror, esterror, status."""


def adjtimex_synced() -> bool | None:
    """Return whether the kernel holds the clock for disciplined (chrony, ntpd); None: it may not be asked."""
    import ctypes

    timex = ctypes.create_string_buffer(256)  # more than a struct timex; its `modes` 0 only reads
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    status = struct.unpack_from(TIMEX, timex)[5]
    return state != TIME_ERROR and not status & STA_UNSYNC


def disk_free(path: Path) -> tuple[float | None, float | None]:
    """Return what a plain user may still write on the disk of `path`, in MB and percent; None if unknown."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return None, None
    if not disk.f_blocks:
        return None, None
    return disk.f_bavail * disk.f_frsize / MB, 100 * disk.f_bavail / disk.f_blocks


def default_route(root: Path = Path("/")) -> bool | None:
    """Return whether there is a default route, IPv4 or IPv6; None if neither table can be read."""
    known = False
    for table, is_default in (("route", _is_default_4), ("ipv6_route", _is_default_6)):
        lines = _lines(root / "proc/net" / table)
        if lines is not None:
            known = True
            if any(is_default(line) for line in lines):
                return True
    return False if known else None


RTF_UP, RTF_REJECT = 0x1, 0x200


def _is_default_4(line: str) -> bool:
    # Iface Destination Gateway Flags RefCnt Use Metric Mask
    fields = line.split()
    return len(fields) > 7 and fields[1] == fields[7] == "00000000" and _leads_out(fields[3])


def _is_default_6(line: str) -> bool:
    # destination prefix source prefix next-hop metric refs use flags interface
    fields = line.split()
    return len(fields) > 9 and fields[1] == "00" and fields[9] != "lo" and _leads_out(fields[8])


def _leads_out(flags: str) -> bool:
    bits = int(flags, 16)
    return bool(bits & RTF_UP) and not bits & RTF_REJECT


def _lines(path: Path) -> list[str] | None:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    try:
        return float(_text(path) or "")
    except ValueError:
        return None


def pressure(root: Path = Path("/")) -> float | None:
    """Return in which part of the last 10 s some task waited for memory, in percent; None without PSI."""
    for line in _lines(root / "proc/pressure/memory") or ():
        if line.startswith("some "):
            return float(line.split()[1].removeprefix("avg10="))
    return None
