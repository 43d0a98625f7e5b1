"""What the box has right now: memory, slots, clock, network, heat. Cheap enough to be read in every turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hardware.health import BoxHealth, HealthLimits, default_route, faults_of, pressure, read_health
from orchestration.decisions import Resources
from orchestration.ports import Clock

MB = 1_000_000

HEALTH_EVERY_S = 10.0
"""How old a reading of temperature, clock and disk may be: they change in seconds, not in milliseconds."""

COOL_BY_C = 5.0
"""How far a hot box must cool before it counts as cool, so that it does not flutter at the limit."""


class CgroupLimit(NamedTuple):
    """A memory limit that holds for this process. usage, stat: files of the same cgroup."""

    limit_mb: float
    usage: Path
    stat: Path


class BoxSensors:
    """Reads the box. A `Sensors` port.

    slots: how many slots the pool has (None: the cores this process may use). broker: whether one is
    configured. max_temperature_c: from here up the box is too hot. min_disk_free_mb: below it the disk is
    full.
    assume_clock_synced: the operator's word. disk: a path on the disk that matters.
    root, memory, kernel_clock: where /proc, /sys and /run are, total and available bytes, and what the kernel
    says of its clock; given in tests, else the box's own.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        slots: int | None = None,
        broker: bool = False,
        max_temperature_c: float = 80.0,
        min_disk_free_mb: float = 500.0,
        assume_clock_synced: bool = False,
        disk: Path | None = None,
        root: Path = Path("/"),
        memory: Callable[[], tuple[float, float]] | None = None,
        kernel_clock: Callable[[], bool | None] | None = None,
    ) -> None:
        self._clock = clock
        self._slots = slots or len(os.sched_getaffinity(0))
        self._broker = broker
        self._limits = HealthLimits(max_temperature_c=max_temperature_c, min_disk_free_mb=min_disk_free_mb)
        self._assume_clock_synced, self._kernel_clock = assume_clock_synced, kernel_clock
        self._root, self._disk = root, disk
        self._memory = memory or box_memory
        self._cgroups: tuple[CgroupLimit, ...] = ()
        self._health = BoxHealth()
        self._health_at: float | None = None
        self._too_hot: bool | None = None

    def read(self, used_mb: Mapping[str, float]) -> Resources:
        """Return what the box has. used_mb: resident memory of each run, by run id; handed on."""
        health = self.health()
        total, available = self._memory()
        total_mb, available_mb = within_limits(total / MB, available / MB, self._cgroups)
        return Resources(
            total_mb=total_mb,
            available_mb=available_mb,
            slots=self._slots,
            used_mb=dict(used_mb),
            clock_synced=health.clock_synced,
            network_up=default_route(self._root),
            too_hot=self._too_hot,
            temperature_c=health.temperature_c,
            broker=self._broker,
            pressure=pressure(self._root),
        )

    def health(self) -> BoxHealth:
        """Return the box's health, at most `HEALTH_EVERY_S` old."""
        at = self._clock.monotonic()
        if self._health_at is None or at - self._health_at >= HEALTH_EVERY_S:
            self._health_at = at
            self._health = self._read_health(self._clock.now())
            self._too_hot = too_hot(self._health.temperature_c, self._limits.max_temperature_c, self._too_hot)
            self._cgroups = cgroup_limits(self._root)
        return self._health

    def faults(self) -> tuple[str, ...]:
        """Return what is wrong with the box, by the names of `hardware.patterns.ERRORS`."""
        return faults_of(self.health(), self._limits)

    def _read_health(self, now: datetime) -> BoxHealth:
        return read_health(
            self._root,
            disk=self._disk,
            now=now,
            assume_clock_synced=self._assume_clock_synced,
            kernel_clock=self._kernel_clock,
        )


def too_hot(temperature_c: float | None, limit_c: float, was: bool | None) -> bool | None:
    """Return whether the box is too hot: from the limit up, and until it has cooled by `COOL_BY_C`; None: the
    temperature is unknown. was: the answer before."""
    if temperature_c is None:
        return None
    return temperature_c >= (limit_c - COOL_BY_C if was else limit_c)


def box_memory(path: str = "/proc/meminfo") -> tuple[float, float]:
    """Return total and available bytes: the kernel's two figures, which are also psutil's.

    psutil itself costs 1.5 MB and is loaded only where the kernel has no MemAvailable.
    """
    try:
        with open(path, "rb") as lines:
            found = {line.split(b":")[0]: int(line.split()[1]) * 1024 for line in islice(lines, 5)}
        return found[b"MemTotal"], found[b"MemAvailable"]
    except (OSError, LookupError, ValueError):
        import psutil

        memory = psutil.virtual_memory()
        return memory.total, memory.available


def within_limits(
    total_mb: float, available_mb: float, cgroups: tuple[CgroupLimit, ...]
) -> tuple[float, float]:
    """Return total and available memory, lowered to what the cgroups of this process allow."""
    for cgroup in cgroups:
        room = _room_mb(cgroup)
        if room is not None:
            total_mb, available_mb = min(total_mb, cgroup.limit_mb), min(available_mb, room)
    return total_mb, available_mb


def _room_mb(cgroup: CgroupLimit) -> float | None:
    """Return what may still be taken: the limit less the usage, but for file pages the kernel gives up."""
    used = _integer(cgroup.usage)
    if used is None:
        return None
    return max(0.0, cgroup.limit_mb - (used - _inactive_file(cgroup.stat)) / MB)


def _inactive_file(stat: Path) -> int:
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def cgroup_limits(root: Path = Path("/")) -> tuple[CgroupLimit, ...]:
    """Return the memory limits of this process's own cgroup and those above it; empty where none is set.

    Only the unified hierarchy (version 2) is looked at; Debian 12 and Raspberry Pi OS 12 have no other.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ()
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if own is None:
        return ()
    top = root / "sys/fs/cgroup"
    path = top / own
    levels = [path, *path.parents]
    return tuple(limit for level in levels[: levels.index(top)] if (limit := _limit_of(level)) is not None)


def _limit_of(level: Path) -> CgroupLimit | None:
    most = _integer(level / "memory.max")
    return None if most is None else CgroupLimit(most / MB, level / "memory.current", level / "memory.stat")


def _integer(path: Path) -> int | None:
    """Return the number in a file; None if there is no such file, or "max" in it."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
