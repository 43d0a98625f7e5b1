"""The button on gpiozero's mock pins, and the display on a stand-in for its driver."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from hardware.buttons import DEFAULT_PIN, GpioButton, Press, make_button
from hardware.display import DisplayState, OledDisplay, make_display


@pytest.fixture
def factory() -> Iterator[Any]:
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    yield factory
    factory.reset()


@pytest.mark.parametrize(
    ("held", "press"), [(0.3, Press.ACKNOWLEDGE), (2.1, Press.PAUSE_RESUME), (8.0, Press.SAFE_STOP)]
)
def test_a_press_on_the_pin_reaches_the_daemon(factory: Any, held: float, press: Press) -> None:
    """The button connects the pin to ground: low is pressed."""
    told: list[Press] = []
    at = 50.0
    button = GpioButton(told.append, factory=factory, monotonic=lambda: at)
    pin = factory.pin(f"GPIO{DEFAULT_PIN}")

    pin.drive_low()
    at += held
    pin.drive_high()
    button.close()

    assert told == [press]


def test_a_bounce_reaches_nobody(factory: Any) -> None:
    told: list[Press] = []
    button = GpioButton(told.append, factory=factory, monotonic=lambda: 1.0)
    pin = factory.pin(f"GPIO{DEFAULT_PIN}")

    pin.drive_low()
    pin.drive_high()
    button.close()

    assert told == []


def test_a_button_that_cannot_be_had_is_a_warning(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardware.panel.find_chip", lambda: None)

    missing, warning = make_button(lambda press: None)
    there, silence = make_button(lambda press: None, 5, factory=factory)

    assert missing is None
    assert warning is not None
    assert "No button on pin 23" in warning
    assert silence is None
    there.close()


class FakeDevice:
    """What luma's device does here: keep what was drawn."""

    def __init__(self) -> None:
        self.drawn: list[list[str]] = []
        self.cleaned = False

    def cleanup(self) -> None:
        self.cleaned = True


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    device = FakeDevice()

    @contextmanager
    def canvas(target: FakeDevice) -> Iterator[Any]:
        rows: list[str] = []
        yield types.SimpleNamespace(text=lambda at, line, fill: rows.append(line))
        target.drawn.append(rows)

    modules: dict[str, dict[str, Any]] = {
        "luma.core.interface.serial": {"i2c": lambda port, address: (port, address)},
        "luma.core.render": {"canvas": canvas},
        "luma.oled.device": {"ssd1306": lambda serial: device},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("luma", "luma.core", "luma.core.interface", "luma.oled"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    return device


def test_the_display_draws_four_lines_and_only_when_they_change(device: FakeDevice) -> None:
    state = DisplayState(mode="research", now=datetime(2026, 11, 20, 18, tzinfo=UTC))
    display = OledDisplay()

    display.show(state)
    display.show(state)
    display.show(DisplayState(mode="prep", now=state.now))
    display.close()

    assert [rows[0] for rows in device.drawn] == ["RESEARCH        18:00", "PREP            18:00"]
    assert {len(rows) for rows in device.drawn} == {4}
    assert device.cleaned


def test_a_display_that_is_there_comes_without_a_warning(device: FakeDevice) -> None:
    display, warning = make_display()

    assert (type(display), warning) == (OledDisplay, None)


def test_a_missing_driver_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "luma.core.interface.serial", None)

    display, warning = make_display()

    assert display is None
    assert warning is not None
    assert "luma.oled" in warning
