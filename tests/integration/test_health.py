"""Health is read from files; a fake tree stands in for each kind of box. Unknown is unknown, never fine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardware.health import (
    BoxHealth,
    HealthLimits,
    adjtimex_synced,
    default_route,
    disk_free,
    faults_of,
    pressure,
    read_health,
)
from hardware.patterns import ERRORS

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write files below `root` and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


PI = {
    "sys/class/thermal/thermal_zone0/temp": "53558\n",
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
    "run/systemd/timesync/synchronized": "",
}


def test_a_healthy_pi_reads_as_healthy(tmp_path: Path) -> None:
    health = read_health(plant(tmp_path, PI), now=NOW)

    assert health.temperature_c == pytest.approx(53.558)
    assert (health.throttled_now, health.throttled_since_boot, health.under_voltage) == ((), (), False)
    assert (health.clock_synced, health.clock_source) == (True, "systemd-timesyncd")
    assert faults_of(health, HealthLimits(min_disk_free_mb=0)) == ()


def test_an_empty_box_is_unknown_in_everything_but_its_disk(tmp_path: Path) -> None:
    health = read_health(tmp_path)

    assert health == BoxHealth(disk_free_mb=health.disk_free_mb, disk_free_pct=health.disk_free_pct)
    assert health.disk_free_mb is not None


def test_throttling_bits_are_named_for_now_and_since_boot(tmp_path: Path) -> None:
    """0x50005 is the well-known answer of a Pi on a weak supply: low voltage, throttled, now and before."""
    name = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"

    health = read_health(plant(tmp_path, {name: "50005\n"}))

    assert health.throttled_now == ("under-voltage", "throttled")
    assert health.throttled_since_boot == ("under-voltage", "throttled")
    assert health.under_voltage is True


def test_throttling_that_is_over_is_told_apart_from_now(tmp_path: Path) -> None:
    health = read_health(plant(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "0x80000"}))

    assert (health.throttled_now, health.throttled_since_boot) == ((), ("soft temperature limit",))
    assert health.under_voltage is False


def test_the_voltage_alarm_of_the_driver_counts(tmp_path: Path) -> None:
    health = read_health(
        plant(
            tmp_path,
            PI
            | {"sys/class/hwmon/hwmon0/name": "cpu_thermal", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1"},
        )
    )

    assert health.under_voltage is True
    assert "undervoltage" in faults_of(health)


@pytest.mark.parametrize("garbage", ["", "garbage", "\x00"])
def test_files_that_say_nothing_sensible_are_unknown(tmp_path: Path, garbage: str) -> None:
    health = read_health(
        plant(tmp_path, dict.fromkeys(PI, garbage) | {"sys/class/hwmon/hwmon1/name": "rpi_volt"})
    )

    assert (health.temperature_c, health.throttled_now, health.under_voltage) == (None, None, None)


def test_the_hottest_zone_counts_and_a_sensor_that_is_not_connected_does_not(tmp_path: Path) -> None:
    zones = {"0": "61000", "1": "83500", "2": "0", "3": "-274000", "4": "200000"}
    files = {f"sys/class/thermal/thermal_zone{zone}/temp": value for zone, value in zones.items()}

    assert read_health(plant(tmp_path, files)).temperature_c == pytest.approx(83.5)


class TestClock:
    """The clock is right when somebody who knows says so."""

    def test_systemd_says_not_yet_while_its_file_is_missing(self, tmp_path: Path) -> None:
        health = read_health(plant(tmp_path, {"run/systemd/timesync/clock": ""}), now=NOW)

        assert (health.clock_synced, health.clock_source) == (False, "systemd-timesyncd")

    @pytest.mark.parametrize("answer", [True, False])
    def test_the_kernel_is_asked_where_systemd_does_not_say_yes(self, tmp_path: Path, answer: bool) -> None:
        plant(tmp_path, {"run/systemd/timesync/clock": ""})

        health = read_health(tmp_path, now=NOW, kernel_clock=lambda: answer)

        assert (health.clock_synced, health.clock_source) == (answer, "kernel")

    def test_where_nobody_can_tell_it_is_unknown(self, tmp_path: Path) -> None:
        health = read_health(tmp_path, now=NOW, kernel_clock=lambda: None)

        assert (health.clock_synced, health.clock_source) == (None, "unknown")
        assert "clock_unsynced" in faults_of(health)

    def test_the_operators_word_is_taken(self, tmp_path: Path) -> None:
        health = read_health(tmp_path, now=NOW, assume_clock_synced=True)

        assert (health.clock_synced, health.clock_source) == (True, "operator")

    def test_a_clock_that_shows_1970_is_wrong_whoever_says_otherwise(self, tmp_path: Path) -> None:
        dawn = datetime(1970, 1, 1, 0, 3, tzinfo=UTC)

        health = read_health(plant(tmp_path, PI), now=dawn, assume_clock_synced=True)

        assert (health.clock_synced, health.clock_source) == (False, "the clock shows 1970-01-01")

    def test_the_kernels_own_answer_can_be_had(self) -> None:
        """Its truth depends on the machine; that it answers, or may not, is ours."""
        assert adjtimex_synced() in (True, False, None)

    @pytest.mark.parametrize(
        ("state", "status", "synced"),
        [(0, 0x2001, True), (0, 0x2041, False), (5, 0x0000, False), (1, 0x2011, True), (-1, 0, None)],
    )
    def test_the_kernels_answer_is_read_as_the_manual_says(
        self, state: int, status: int, synced: bool | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """adjtimex(2): TIME_ERROR is 5, STA_UNSYNC 0x40; `status` follows four longs, aligned as C does."""
        import ctypes

        class Timex(ctypes.Structure):
            _fields_ = (
                ("modes", ctypes.c_uint),
                *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
                ("status", ctypes.c_int),
            )

        class Library:
            def __init__(self, name: str | None, use_errno: bool) -> None: ...

            def adjtimex(self, timex: ctypes.Array[ctypes.c_char]) -> int:
                ctypes.cast(timex, ctypes.POINTER(Timex)).contents.status = status
                return state

        monkeypatch.setattr(ctypes, "CDLL", Library)

        assert adjtimex_synced() is synced

    def test_a_library_without_the_call_is_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import ctypes

        monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: object())

        assert adjtimex_synced() is None


def test_free_disk_is_what_a_plain_user_may_write(tmp_path: Path) -> None:
    import shutil

    megabytes, percent = disk_free(tmp_path)
    usage = shutil.disk_usage(tmp_path)

    assert megabytes == pytest.approx(usage.free / 1e6, rel=0.05)
    assert percent == pytest.approx(100 * usage.free / usage.total, abs=3)


def test_a_disk_that_cannot_be_asked_or_has_no_blocks_is_unknown(tmp_path: Path) -> None:
    assert disk_free(tmp_path / "missing") == (None, None)
    assert disk_free(Path("/proc")) == (None, None)


def test_faults_have_codes_and_limits_are_theirs() -> None:
    bad = BoxHealth(temperature_c=80.0, under_voltage=True, clock_synced=False, disk_free_mb=499.0)
    well = BoxHealth(temperature_c=79.9, under_voltage=False, clock_synced=True, disk_free_mb=500.0)

    assert faults_of(bad) == ("clock_unsynced", "disk_full", "undervoltage", "overheating")
    assert set(faults_of(bad)) <= set(ERRORS)
    assert faults_of(well) == ()


HEAD_4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def test_bytes_that_are_no_text_are_unknown(tmp_path: Path) -> None:
    for name in (*PI, "proc/net/route", "proc/net/ipv6_route", "proc/pressure/memory"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xfe 1")

    health = read_health(tmp_path)
    assert (health.temperature_c, health.throttled_now, health.under_voltage) == (None, None, None)
    assert (default_route(tmp_path), pressure(tmp_path)) == (False, None)


LAN_4 = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
OUT_4 = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
DOWN_4 = OUT_4.replace("0003", "0002")
ZERO = "0" * 32
OUT_6 = f"{ZERO} 00 {ZERO} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
NONE_6 = f"{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200       lo\n"
LINK_6 = f"fe80{ZERO[4:]} 40 {ZERO} 00 {ZERO} 00000100 00000001 00000000 00000001     eth0\n"


@pytest.mark.parametrize(
    ("files", "up"),
    [
        ({"route": HEAD_4 + LAN_4 + OUT_4}, True),
        ({"route": HEAD_4 + LAN_4}, False),
        ({"route": HEAD_4 + DOWN_4}, False),
        ({"route": HEAD_4, "ipv6_route": LINK_6 + OUT_6 + NONE_6}, True),
        ({"route": HEAD_4, "ipv6_route": LINK_6 + NONE_6}, False),
        ({"ipv6_route": OUT_6}, True),
        ({}, None),
    ],
)
def test_the_network_is_up_with_a_default_route(
    tmp_path: Path, files: dict[str, str], up: bool | None
) -> None:
    plant(tmp_path, {f"proc/net/{name}": text for name, text in files.items()})

    assert default_route(tmp_path) is up


def test_pressure_is_the_share_that_some_task_waited(tmp_path: Path) -> None:
    text = "some avg10=13.07 avg60=3.00 avg300=0.70 total=4\nfull avg10=9.00 avg60=2.00 avg300=0.50 total=3\n"

    assert pressure(plant(tmp_path, {"proc/pressure/memory": text})) == 13.07


def test_a_kernel_without_pressure_figures_is_unknown(tmp_path: Path) -> None:
    assert pressure(tmp_path) is None
    assert pressure(plant(tmp_path, {"proc/pressure/memory": ""})) is None
