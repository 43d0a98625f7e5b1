"""The button on gpiozero's mock pins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hardware.buttons import DEFAULT_PIN, GpioButton, Press, make_button


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


def test_how_long_it_is_held_is_known_while_it_is_held(factory: Any) -> None:
    at = 50.0
    button = GpioButton(lambda press: None, factory=factory, monotonic=lambda: at)
    pin = factory.pin(f"GPIO{DEFAULT_PIN}")

    held = [button.held_s]
    pin.drive_low()
    at += 2.5
    held.append(button.held_s)
    pin.drive_high()
    held.append(button.held_s)
    button.close()

    assert held == [None, 2.5, None]
