"""The panel on gpiozero's mock pins, the recording one, and what happens when there is none."""

from __future__ import annotations

import os
import struct
import sys
import time
import types
from collections.abc import Callable, Iterator
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import pytest

from hardware.integration import OPERATING_MODE_LED_MAP, HardwareIntegration, Night, brightness_at
from hardware.panel import (
    GpioPanel,
    NullPanel,
    Pins,
    RecordingPanel,
    Shown,
    chip_label,
    find_chip,
    frame_at,
    lgpio_factory,
    make_panel,
    open_leds,
    parse_label,
)
from hardware.patterns import shown
from orchestration.types import OperatingMode

PINS = Pins()


@pytest.fixture
def factory() -> Iterator[Any]:
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    yield factory
    factory.reset()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition of another thread."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.002)


def lit(factory: Any) -> dict[str, bool]:
    """What the pins carry, by LED."""
    return {name: bool(factory.pin(f"GPIO{pin}").state) for name, pin in PINS._asdict().items()}


class TestGpioPanel:
    """The real driver on mock pins, with a clock that the test turns."""

    def test_all_leds_are_lit_before_the_first_turn(self, factory: Any) -> None:
        panel = GpioPanel(PINS, factory=factory, monotonic=lambda: 0.0)

        until(lambda: lit(factory) == {"system": True, "trading": True, "research": True})
        panel.close()

    def test_trading_lights_the_trading_led_and_not_the_research_led(self, factory: Any) -> None:
        panel = GpioPanel(PINS, factory=factory, monotonic=lambda: 0.0)

        panel.set_operating_mode(OperatingMode.TRADING)

        until(lambda: lit(factory) == {"system": True, "trading": True, "research": False})
        panel.close()

    def test_a_fault_shows_on_the_system_led_alone_and_goes_again(self, factory: Any) -> None:
        panel = GpioPanel(PINS, factory=factory, monotonic=lambda: 0.0)
        panel.set_operating_mode(OperatingMode.TRADING)

        panel.set_error("disk_full")
        until(lambda: lit(factory) == {"system": True, "trading": False, "research": False})
        panel.set_error(None)

        until(lambda: lit(factory)["trading"])
        panel.close()

    def test_the_light_follows_the_rhythm_in_real_time(self, factory: Any) -> None:
        """`act_now` is 0.1 s on and 0.1 s dark: the pin's own record has such edges, within 40 ms.

        Three in a row, once it has begun; on a busy box it may take a while until none of them comes late.
        """
        panel = GpioPanel(PINS, factory=factory)
        panel.set_error("act_now")
        pin = factory.pin("GPIO22")

        def in_time() -> bool:
            gaps = [state.timestamp for state in pin.states[-3:]]
            return len(pin.states) > 5 and all(abs(gap - 0.1) < 0.04 for gap in gaps)

        until(in_time)
        panel.close()

    def test_one_thread_drives_all_leds(self, factory: Any) -> None:
        import threading

        before = threading.active_count()
        panel = GpioPanel(PINS, factory=factory)
        panel.set_error("act_now")

        assert threading.active_count() == before + 1
        panel.close()
        assert threading.active_count() == before

    def test_closing_puts_the_leds_out_and_gives_the_pins_back(self, factory: Any) -> None:
        panel = GpioPanel(PINS, factory=factory, monotonic=lambda: 0.0)
        until(lambda: lit(factory)["system"])
        pin = factory.pin("GPIO17")

        panel.close()

        assert (pin.function, pin.states[-1].state) == ("input", False)
        GpioPanel(PINS, factory=factory).close()

    def test_by_night_the_flash_is_shorter(self, factory: Any) -> None:
        """At 0.2 s a research flash of 0.5 s is on by day; by night (a tenth: 50 ms) it is over."""
        at = 0.0
        panel = GpioPanel(PINS, factory=factory, monotonic=lambda: at, brightness=lambda: 0.1)
        panel.set_operating_mode(OperatingMode.RESEARCH)
        until(lambda: lit(factory)["research"])

        at = 0.2
        panel.set_operating_mode(OperatingMode.RESEARCH, extended=True)
        panel.set_operating_mode(OperatingMode.RESEARCH)
        at = 0.4

        until(lambda: not lit(factory)["research"])
        panel.close()

    def test_a_driver_that_breaks_is_told_once_and_stops_nothing(self, factory: Any) -> None:
        told: list[str] = []

        def broken() -> float:
            raise OSError("wire fell off")

        panel = GpioPanel(PINS, factory=factory, brightness=broken, warn=told.append)
        until(lambda: bool(told))
        panel.set_operating_mode(OperatingMode.TRADING)
        panel.set_error("disk_full")
        panel.close()

        assert len(told) == 1
        assert "wire fell off" in told[0]

    def test_a_mode_that_is_none_is_refused_where_it_was_said(self, factory: Any) -> None:
        panel = GpioPanel(PINS, factory=factory)

        with pytest.raises(ValueError, match="'lunch'"):
            panel.set_operating_mode("lunch")  # type: ignore[arg-type]  # what a careless caller does
        panel.close()

    def test_a_busy_pin_leaves_no_led_open(self, factory: Any) -> None:
        import gpiozero

        other = gpiozero.LED(PINS.research, pin_factory=factory)

        with pytest.raises(gpiozero.GPIOPinInUse):
            GpioPanel(PINS, factory=factory)

        other.close()
        GpioPanel(PINS, factory=factory).close()

    def test_a_factory_that_gpiozero_falls_back_to_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import gpiozero

        monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
        monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
        monkeypatch.setitem(sys.modules, "lgpio", None)

        with pytest.raises((gpiozero.PinFactoryFallback, gpiozero.BadPinFactory)):
            open_leds(PINS, None)


class TestChip:
    """The header's chip is found by its label, whatever its number."""

    @pytest.mark.parametrize(
        ("labels", "number"),
        [
            ({"gpiochip0": "pinctrl-rp1", "gpiochip10": "gpio-brcmstb@107d508500"}, 0),
            ({"gpiochip0": "gpio-brcmstb@107d508500", "gpiochip4": "pinctrl-rp1"}, 4),
            ({"gpiochip0": "pinctrl-bcm2711", "gpiochip1": "raspberrypi-exp-gpio"}, 0),
            ({"gpiochip0": "pinctrl-bcm2835", "gpiochip1": "raspberrypi-exp-gpio"}, 0),
            ({"gpiochip0": "pinctrl-rp1", "gpiochip4": "pinctrl-rp1"}, 0),
            ({"gpiochip0": "INT34C5:00"}, None),
            ({}, None),
        ],
    )
    def test_the_chip_is_the_one_with_a_known_label(self, labels: dict[str, str], number: int | None) -> None:
        devices = [Path("/dev") / name for name in labels]

        assert find_chip(devices, lambda device: labels[device.name]) == number

    def test_a_label_is_read_from_the_kernels_answer(self) -> None:
        answer = struct.pack("32s32sI", b"gpiochip0", b"pinctrl-bcm2711", 58)

        assert (parse_label(answer), len(answer)) == ("pinctrl-bcm2711", 68)

    def test_a_device_that_is_no_chip_has_no_label(self, tmp_path: Path) -> None:
        (tmp_path / "gpiochip0").write_bytes(b"")

        assert chip_label(tmp_path / "gpiochip0") is None
        assert chip_label(tmp_path / "gpiochip9") is None

    def test_lgpio_works_in_the_runtime_directory_on_the_chip_that_was_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stand-in for gpiozero's module, since lgpio itself is for ARM only."""
        made: dict[str, Any] = {}

        class FakeFactory:
            def __init__(self, chip: int) -> None:
                made.update(chip=chip, lg_wd=os.environ.get("LG_WD"))

        module = types.ModuleType("gpiozero.pins.lgpio")
        module.LGPIOFactory = FakeFactory  # type: ignore[attr-defined]  # a module made by hand
        monkeypatch.setitem(sys.modules, "gpiozero.pins.lgpio", module)
        monkeypatch.setattr("hardware.panel.find_chip", lambda: 4)
        monkeypatch.setenv("LG_WD", "elsewhere")

        assert isinstance(lgpio_factory(tmp_path), FakeFactory)
        assert made == {"chip": 4, "lg_wd": str(tmp_path)}


class TestMakePanel:
    """A missing or broken panel is a warning."""

    @pytest.mark.parametrize("kind", ["gpio", "auto"])
    def test_without_a_chip_there_is_a_warning_and_no_panel(
        self, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hardware.panel.find_chip", lambda: None)

        panel, warning = make_panel(kind)

        assert isinstance(panel, NullPanel)
        assert warning is not None
        assert "pinctrl-rp1" in warning
        assert "ORCHESTRATOR_PANEL=null" in warning

    def test_a_panel_that_breaks_on_construction_is_a_warning(self) -> None:
        def broken(*args: object, **kwargs: object) -> NullPanel:
            raise RuntimeError("GPIO busy")

        panel, warning = make_panel("gpio", gpio=broken)

        assert isinstance(panel, NullPanel)
        assert warning is not None
        assert "RuntimeError: GPIO busy" in warning

    def test_a_panel_that_works_comes_without_a_warning(self, factory: Any) -> None:
        panel, warning = make_panel(
            "auto",
            (5, 6, 13),
            gpio=lambda pins, **kw: GpioPanel(pins, factory=factory, brightness=kw["brightness"]),
        )

        assert (type(panel), warning) == (GpioPanel, None)
        assert factory.pin("GPIO13").function == "output"
        panel.close()

    def test_null_and_recording_never_warn(self) -> None:
        null, recording = make_panel("null"), make_panel("recording")

        assert (type(null[0]), null[1]) == (NullPanel, None)
        assert (type(recording[0]), recording[1]) == (RecordingPanel, None)

    def test_a_kind_that_is_none_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'neon' is not one of gpio, recording, null, auto"):
            make_panel("neon")

    def test_the_null_panel_takes_everything(self) -> None:
        panel = NullPanel()

        panel.set_operating_mode(OperatingMode.PREP, extended=True)
        panel.set_error("disk_full")
        panel.close()


class TestRecordingPanel:
    """It keeps what was shown, in order."""

    def test_modes_and_faults_are_kept_in_order(self) -> None:
        panel = RecordingPanel()

        panel.set_operating_mode(OperatingMode.RESEARCH, extended=True)
        panel.set_error("overheating")
        panel.set_error(None)
        panel.close()

        assert panel.history == [
            Shown("research", True, None),
            Shown("research", True, "overheating"),
            Shown("research", True, None),
        ]
        assert panel.closed

    def test_what_it_keeps_is_bounded(self) -> None:
        panel = RecordingPanel(keep=2)

        for error in ("disk_full", "overheating", "act_now"):
            panel.set_error(error)

        assert [state.error for state in panel.history] == ["overheating", "act_now"]


class TestIntegration:
    """What the daemon says to its panel."""

    @pytest.mark.parametrize("mode", ["trading", "research", "prep"])
    def test_a_mode_is_taken_as_member_or_as_text(self, mode: str) -> None:
        panel = RecordingPanel()
        hardware = HardwareIntegration(panel)

        hardware.set_operating_mode(mode)
        hardware.set_operating_mode(OperatingMode(mode))

        assert panel.history == [Shown(mode, False, None)]
        assert {led for led, p in shown(mode).items() if p.name != "off"} == set(OPERATING_MODE_LED_MAP[mode])

    def test_only_changes_reach_the_panel(self) -> None:
        panel = RecordingPanel()
        hardware = HardwareIntegration(panel)

        for _ in range(3):
            hardware.set_operating_mode("research")
            hardware.set_error(None)
        hardware.set_operating_mode("research", extended=True)

        assert panel.history == [Shown("research", False, None), Shown("research", True, None)]

    def test_the_worst_fault_is_shown_and_returned(self) -> None:
        panel = RecordingPanel()
        hardware = HardwareIntegration(panel)

        assert hardware.set_faults({"quarantined", "undervoltage"}) == "undervoltage"
        assert hardware.set_faults(()) is None

        assert [state.error for state in panel.history] == ["undervoltage", None]

    def test_a_mode_that_is_none_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="lunch"):
            HardwareIntegration(NullPanel()).set_operating_mode("lunch")

    def test_a_panel_that_raises_is_told_once_and_left_alone(self) -> None:
        told: list[str] = []

        class Broken(NullPanel):
            def set_operating_mode(self, mode: OperatingMode, *, extended: bool = False) -> None:
                raise OSError("gone")

        hardware = HardwareIntegration(Broken(), warn=told.append)
        hardware.set_operating_mode("trading")
        hardware.set_operating_mode("prep")
        hardware.close()

        assert len(told) == 1
        assert "OSError: gone" in told[0]

    def test_closing_closes_the_panel(self) -> None:
        panel = RecordingPanel()

        HardwareIntegration(panel).close()

        assert panel.closed


NIGHT = Night(start=time_of_day(22), end=time_of_day(7), brightness=0.1)


@pytest.mark.parametrize(
    ("local", "brightness"),
    [("21:59", 1.0), ("22:00", 0.1), ("00:00", 0.1), ("06:59", 0.1), ("07:00", 1.0), ("12:00", 1.0)],
)
def test_the_night_goes_over_midnight_and_is_half_open(local: str, brightness: float) -> None:
    assert brightness_at(time_of_day.fromisoformat(local), NIGHT) == brightness


def test_a_night_within_a_day_an_empty_one_and_none() -> None:
    siesta = Night(start=time_of_day(13), end=time_of_day(15), brightness=0.0)

    assert brightness_at(time_of_day(14), siesta) == 0.0
    assert brightness_at(time_of_day(16), siesta) == 1.0
    assert brightness_at(time_of_day(13), Night(start=time_of_day(13), end=time_of_day(13))) == 1.0
    assert brightness_at(time_of_day(23), None) == 1.0


def test_a_frame_lasts_until_the_first_led_changes_and_a_minute_at_most() -> None:
    """Research: the system LED goes out at 0.1 s, long before the research LED at 0.5 s; trading: same."""
    assert frame_at(shown("research"), 0.0).lasts == pytest.approx(0.1)
    assert frame_at(shown("research"), 0.2).lasts == pytest.approx(0.3)
    assert frame_at({"trading": shown("trading")["trading"]}, 5.0).lasts == 60.0
