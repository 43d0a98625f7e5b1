"""The sensors behind the daemon's Resources, on fake trees and once on this machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from orchestration.ports import Sensors
from orchestration.sensors import BoxSensors, box_memory, cgroup_limits, too_hot
from tests.integration.test_health import HEAD_4, OUT_4, PI, plant

GIB = 2**30


class HandClock:
    """A clock that a test turns by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 15, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


def box(root: Path, clock: HandClock | None = None, **given: object) -> BoxSensors:
    """Sensors of a box with 8 GiB of which 5 GiB are available."""
    return BoxSensors(
        clock or HandClock(),
        root=root,
        memory=lambda: (8 * GIB, 5 * GIB),
        **given,  # type: ignore[arg-type]  # named as the constructor's own
    )


def test_everything_a_decision_needs_is_read(tmp_path: Path) -> None:
    pressure = "some avg10=1.50 avg60=0.00 avg300=0.00 total=0\n"
    plant(tmp_path, PI | {"proc/net/route": HEAD_4 + OUT_4, "proc/pressure/memory": pressure})
    sensors: Sensors = box(tmp_path, slots=3, broker=True)

    seen = sensors.read({"a.1": 120.0})

    assert seen.total_mb == pytest.approx(8589.934592)  # 2**33 / 10**6
    assert seen.available_mb == pytest.approx(5368.70912)
    assert (seen.slots, seen.broker, dict(seen.used_mb)) == (3, True, {"a.1": 120.0})
    assert (seen.clock_synced, seen.network_up, seen.too_hot) == (True, True, False)
    assert seen.temperature_c == pytest.approx(53.558)
    assert seen.pressure == 1.5


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    seen = box(tmp_path).read({})

    assert (seen.clock_synced, seen.network_up, seen.too_hot) == (None, None, None)
    assert (seen.temperature_c, seen.pressure) == (None, None)


def test_slow_readings_are_kept_for_ten_seconds(tmp_path: Path) -> None:
    clock = HandClock()
    sensors = box(plant(tmp_path, PI), clock)
    sensors.read({})
    plant(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "85000"})

    clock.seconds = 9.9
    assert sensors.read({}).too_hot is False
    clock.seconds = 10.0
    assert sensors.read({}).too_hot is True
    assert "overheating" in sensors.faults()


@pytest.mark.parametrize(
    ("temperature", "was", "answer"),
    [(79.9, False, False), (80.0, False, True), (76.0, True, True), (75.0, True, True), (74.9, True, False)],
)
def test_a_hot_box_must_cool_by_five_degrees(temperature: float, was: bool, answer: bool) -> None:
    assert too_hot(temperature, 80.0, was) is answer


def test_an_unknown_temperature_is_neither_hot_nor_cool() -> None:
    assert too_hot(None, 80.0, True) is None
    assert too_hot(81.0, 80.0, None) is True


class TestCgroup:
    """A limit on this process, or above it, is all the memory there is."""

    OWN = "0::/system.slice/daily-orchestrator.service\n"
    SLICE = "sys/fs/cgroup/system.slice"
    UNIT = "sys/fs/cgroup/system.slice/daily-orchestrator.service"

    def test_the_units_own_limit_lowers_both_figures(self, tmp_path: Path) -> None:
        """2000 MB less 700 MB of use, of which 200 MB are file pages to be given up: 1500 MB are left."""
        plant(
            tmp_path,
            {
                "proc/self/cgroup": self.OWN,
                f"{self.UNIT}/memory.max": "2000000000\n",
                f"{self.UNIT}/memory.current": "700000000\n",
                f"{self.UNIT}/memory.stat": "anon 500000000\nfile 200000000\ninactive_file 200000000\n",
                f"{self.SLICE}/memory.max": "max\n",
            },
        )

        seen = box(tmp_path).read({})

        assert [seen.total_mb, seen.available_mb] == pytest.approx([2000.0, 1500.0])

    def test_the_narrowest_of_the_limits_above_counts(self, tmp_path: Path) -> None:
        plant(
            tmp_path,
            {
                "proc/self/cgroup": "12:memory:/old\n" + self.OWN,
                f"{self.UNIT}/memory.max": "3000000000",
                f"{self.UNIT}/memory.current": "100000000",
                f"{self.SLICE}/memory.max": "1000000000",
                f"{self.SLICE}/memory.current": "900000000",
                f"{self.SLICE}/memory.stat": "anon 900000000\n",
            },
        )

        seen = box(tmp_path).read({})

        assert [seen.total_mb, seen.available_mb] == pytest.approx([1000.0, 100.0])

    def test_a_limit_above_what_is_there_changes_nothing(self, tmp_path: Path) -> None:
        plant(
            tmp_path,
            {
                "proc/self/cgroup": self.OWN,
                f"{self.UNIT}/memory.max": "64000000000",
                f"{self.UNIT}/memory.current": "0",
            },
        )

        assert box(tmp_path).read({}).available_mb == pytest.approx(5368.70912)

    def test_a_limit_whose_use_cannot_be_read_is_left_alone(self, tmp_path: Path) -> None:
        plant(tmp_path, {"proc/self/cgroup": self.OWN, f"{self.UNIT}/memory.max": "1000000000"})

        assert box(tmp_path).read({}).total_mb == pytest.approx(8589.934592)

    @pytest.mark.parametrize("text", [None, "4:memory:/old\n", "0::/\n"])
    def test_without_a_cgroup_of_its_own_there_is_no_limit(self, tmp_path: Path, text: str | None) -> None:
        if text is not None:
            plant(tmp_path, {"proc/self/cgroup": text})

        assert cgroup_limits(tmp_path) == ()


def test_this_machine_reads_as_psutil_says() -> None:
    seen = BoxSensors(HandClock(), kernel_clock=lambda: True).read({})

    assert 0 < seen.available_mb <= seen.total_mb <= psutil.virtual_memory().total / 1e6
    assert 1 <= seen.slots <= (psutil.cpu_count() or 0)


def test_memory_is_what_psutil_says_also_without_its_file(tmp_path: Path) -> None:
    memory = psutil.virtual_memory()

    for path in ("/proc/meminfo", str(tmp_path / "absent")):
        total, available = box_memory(path)
        assert total == memory.total
        assert available == pytest.approx(memory.available, rel=0.2)


def test_a_reading_is_cheap() -> None:
    """The budget is 0.3 ms; the best of several rounds, so that a busy neighbour does not count."""
    sensors = BoxSensors(HandClock(), kernel_clock=lambda: True)
    sensors.read({})
    rounds = []
    for _ in range(10):
        begun = time.perf_counter()
        for _ in range(20):
            sensors.read({})
        rounds.append((time.perf_counter() - begun) / 20)

    assert min(rounds) < 0.0003
