"""The demo shows every pattern anywhere, and docs/hardware.md says what the data says."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardware.patterns import ERRORS, OPERATING_MODE_LED_MAP, PATTERNS
from scripts.led_demo import main, markdown

ROOT = Path(__file__).resolve().parents[2]


class FastClock:
    """A clock that sleeping moves; nothing waits."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.led_demo.find_chip", lambda: None)


@pytest.fixture
def factory() -> Iterator[Any]:
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    yield factory
    factory.reset()


def test_the_list_has_every_pattern_with_six_seconds_of_it() -> None:
    out = io.StringIO()

    assert main(["--list"], out) == 0

    rows = {line.split()[0]: line.split()[1] for line in out.getvalue().splitlines()[1:]}
    assert set(rows) == set(PATTERNS)
    assert {len(drawn) for drawn in rows.values()} == {60}
    assert rows["research_evolving"] == "#####....." * 6


def test_without_a_terminal_it_prints_the_list() -> None:
    listed, plain = io.StringIO(), io.StringIO()

    main(["--list"], listed)
    main([], plain)

    assert plain.getvalue() == listed.getvalue()


def test_on_a_terminal_every_pattern_is_animated_for_its_time() -> None:
    clock, out = FastClock(), Terminal()

    assert main(["--seconds", "2"], out, clock) == 0

    assert clock.at == pytest.approx(2 * len(PATTERNS))
    assert all(name in out.getvalue() for name in PATTERNS)


def test_one_pattern_lights_its_led_and_leaves_the_others() -> None:
    """Research: on for half a second, dark for half: in 2 s four frames, and it ends there."""
    clock, out = FastClock(), Terminal()

    main(["--pattern", "research_evolving", "--seconds", "2"], out, clock)

    frames = [
        re.sub(r"\x1b\[[0-9;]*[mK]", "", frame) for frame in out.getvalue().strip().split("\r") if frame
    ]
    assert [frame[:32].split() for frame in frames] == [
        ["○", "system", "○", "trading", "●", "research"],
        ["○", "system", "○", "trading", "○", "research"],
        ["○", "system", "○", "trading", "●", "research"],
        ["○", "system", "○", "trading", "○", "research"],
    ]
    assert clock.slept == pytest.approx([0.5] * 4)


def test_by_night_the_flash_is_shorter() -> None:
    out = io.StringIO()

    main(["--pattern", "trading_pending", "--night", "0.1"], out)

    assert out.getvalue().splitlines()[1].split()[1] == ("##" + "." * 38) + ("##" + "." * 18)


def test_on_the_header_the_leds_themselves_are_driven_and_put_out(factory: Any) -> None:
    out = io.StringIO()
    pin = factory.pin("GPIO22")

    main(["--pattern", "research_evolving", "--seconds", "2"], out, FastClock(), factory)

    assert [state.state for state in pin.states] == [False, True, False, True, False]
    assert out.getvalue() == f"{'research_evolving':20} research time\n"


def test_interrupting_it_ends_it_and_puts_the_leds_out(factory: Any) -> None:
    class Impatient(FastClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    pin = factory.pin("GPIO27")

    assert main(["--pattern", "trading_active"], io.StringIO(), Impatient(), factory) == 0
    assert [state.state for state in pin.states] == [False, True, False]


@pytest.mark.parametrize(
    "argv", [["--pattern", "disco"], ["--seconds", "0"], ["--seconds", "x"], ["--night", "2"]]
)
def test_wrong_use_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv, io.StringIO())

    assert ended.value.code == 2


def test_it_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "led_demo.py"), "--list"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "act_now" in done.stdout


def test_the_page_on_hardware_has_exactly_the_tables_of_the_data() -> None:
    page = (ROOT / "docs" / "hardware.md").read_text().splitlines()

    assert [line for line in markdown() if line and line not in page] == []


def test_the_page_on_hardware_names_no_pattern_or_fault_that_is_not_there() -> None:
    page = (ROOT / "docs" / "hardware.md").read_text()

    rows = re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(PATTERNS)
    assert set(ERRORS) <= set(rows)


def test_the_tables_are_printed_as_the_page_has_them() -> None:
    out = io.StringIO()

    main(["--markdown"], out)

    assert out.getvalue().splitlines() == markdown()
    assert all(f"| {mode} |" in out.getvalue() for mode in OPERATING_MODE_LED_MAP)
