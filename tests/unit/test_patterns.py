"""The LED patterns are data that a person can tell apart, and that cannot hurt one."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.patterns import (
    ERRORS,
    LEDS,
    OPERATING_MODE_LED_MAP,
    PATTERNS,
    Pattern,
    Step,
    by_night,
    fault_of,
    level_at,
    next_change_at,
    shown,
    timeline,
    worst_of,
)
from orchestration.types import OperatingMode


def most_flashes_in_a_second(pattern: Pattern) -> int:
    """Count the rising edges of the fullest second in two periods, from the steps alone."""
    if len(pattern.steps) == 1 and pattern.steps[0].off_seconds == 0:
        return 0
    begins, at = [], 0.0
    while at < 2 * pattern.period + 1:
        for step in pattern.steps:
            begins.append(at)
            at += step.on_seconds + step.off_seconds
    return max(sum(b <= other < b + 1 - 1e-9 for other in begins) for b in begins)


@pytest.mark.parametrize("name", sorted(set(PATTERNS) - {"act_now"}))
def test_no_pattern_flashes_more_than_three_times_in_any_second(name: str) -> None:
    assert most_flashes_in_a_second(PATTERNS[name]) <= 3
    assert most_flashes_in_a_second(by_night(PATTERNS[name], 0.1)) <= 3


def test_act_now_flashes_at_least_four_times_a_second() -> None:
    assert most_flashes_in_a_second(PATTERNS["act_now"]) >= 4


def test_no_two_patterns_have_the_same_rhythm() -> None:
    """The on and off times differ, and by more than an eye can miss (50 ms somewhere)."""
    for one, other in itertools.combinations(PATTERNS.values(), 2):
        if len(one.steps) == len(other.steps):
            gaps = [
                abs(a - b)
                for x, y in zip(one.steps, other.steps, strict=True)
                for a, b in zip(x, y, strict=True)
            ]
            assert max(gaps) >= 0.05, f"{one.name} looks like {other.name}"


def test_every_led_by_night_still_tells_its_patterns_apart() -> None:
    night = {name: by_night(pattern, 0.1).steps for name, pattern in PATTERNS.items()}

    assert len(set(night.values())) == len(PATTERNS)


def test_the_code_of_each_fault_is_its_own() -> None:
    """Long flashes (over 0.5 s) then short ones: two numbers that no other fault has."""
    codes = [
        (
            sum(s.on_seconds > 0.5 for s in fault.pattern.steps),
            sum(s.on_seconds < 0.5 for s in fault.pattern.steps),
        )
        for name, fault in ERRORS.items()
        if name != "act_now"
    ]

    assert len(set(codes)) == len(codes)
    assert all(longs and shorts for longs, shorts in codes)


def test_the_led_map_has_the_three_operating_modes_and_their_patterns() -> None:
    assert {mode: dict(leds) for mode, leds in OPERATING_MODE_LED_MAP.items()} == {
        "trading": {"system": "system_healthy", "trading": "trading_active"},
        "research": {"system": "system_healthy", "research": "research_evolving"},
        "prep": {"system": "system_healthy", "trading": "trading_pending"},
    }
    assert set(OPERATING_MODE_LED_MAP) == {str(mode) for mode in OperatingMode}


def test_the_led_map_names_leds_and_patterns_that_exist() -> None:
    for leds in OPERATING_MODE_LED_MAP.values():
        assert set(leds) <= set(LEDS)
        assert set(leds.values()) <= set(PATTERNS)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("trading", ["system_healthy", "trading_active", "off"]),
        ("prep", ["system_healthy", "trading_pending", "off"]),
        ("research", ["system_healthy", "off", "research_evolving"]),
        (None, ["starting", "starting", "starting"]),
    ],
)
def test_a_mode_is_shown_on_its_leds_and_the_others_are_dark(mode: str | None, expected: list[str]) -> None:
    assert [pattern.name for pattern in shown(mode).values()] == expected


def test_an_extended_window_varies_the_research_pattern_only() -> None:
    assert shown("research", extended=True)["research"].name == "research_extended"
    assert shown("trading", extended=True) == shown("trading")


def test_a_fault_overrides_the_mode() -> None:
    assert [p.name for p in shown("trading", error="disk_full").values()] == ["disk_full", "off", "off"]


def test_act_now_takes_all_three_leds() -> None:
    assert {p.name for p in shown("research", error="act_now").values()} == {"act_now"}


def test_a_fault_without_a_code_has_the_unknown_one() -> None:
    assert fault_of("moon_phase").name == "unknown_fault"
    assert shown(None, error="moon_phase")["system"].name == "unknown_fault"


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'lunch' is not one of trading, research, prep"):
        shown("lunch")


def test_the_worst_fault_wins() -> None:
    assert worst_of(["quarantined", "clock_unsynced", "moon_phase"]) == "clock_unsynced"
    assert worst_of(["overheating", "act_now"]) == "act_now"
    assert worst_of([]) is None


@pytest.mark.parametrize(
    ("at", "level", "change"),
    [
        (0.0, 1.0, 0.5),
        (0.499, 1.0, 0.5),
        (0.5, 0.0, 0.8),
        (0.8, 0.4, 1.0),
        (0.9, 0.4, 1.0),
        (1.0, 0.0, 2.0),
        (2.0, 1.0, 2.5),
        (7.1, 0.0, 8.0),
    ],
)
def test_level_and_next_change_follow_the_steps(at: float, level: float, change: float) -> None:
    """Worked by hand: on 0-0.5, dark to 0.8, 40 % to 1.0, dark to 2.0, and again."""
    pattern = Pattern("hand", "", (Step(0.5, 0.3), Step(0.2, 1.0, 0.4)))

    assert level_at(pattern, at) == level
    assert next_change_at(pattern, at) == pytest.approx(change)


def test_steady_light_and_darkness_never_change() -> None:
    assert (level_at(PATTERNS["trading_active"], 1e6), next_change_at(PATTERNS["trading_active"], 5)) == (
        1.0,
        None,
    )
    assert (level_at(PATTERNS["off"], 3.3), next_change_at(PATTERNS["off"], 3.3)) == (0.0, None)


@given(st.sampled_from(sorted(PATTERNS)), st.floats(0, 1e6))
def test_the_next_change_is_later_and_really_changes_the_light(name: str, t: float) -> None:
    pattern = PATTERNS[name]
    change = next_change_at(pattern, t)

    if change is None:
        assert pattern.is_steady
    else:
        assert t < change <= t + pattern.period
        assert level_at(pattern, change) != level_at(pattern, t)
        assert level_at(pattern, math.nextafter((change + t) / 2, t)) == level_at(pattern, t)


def test_by_night_a_flash_is_shorter_and_the_beat_is_kept() -> None:
    night = by_night(PATTERNS["research_evolving"], 0.1)

    assert night.steps[0].on_seconds == pytest.approx(0.05)
    assert night.period == pytest.approx(PATTERNS["research_evolving"].period)


def test_by_night_steady_light_becomes_a_rare_flash_and_nothing_stays_nothing() -> None:
    assert by_night(PATTERNS["trading_active"], 0.3).steps == (Step(0.2, 4.8),)
    assert by_night(PATTERNS["off"], 0.3) == PATTERNS["off"]


def test_by_night_a_fault_is_as_bright_as_by_day() -> None:
    for fault in ERRORS.values():
        assert by_night(fault.pattern, 0.0) == fault.pattern


def test_brightness_nought_is_dark_and_one_is_unchanged() -> None:
    assert by_night(PATTERNS["system_healthy"], 0.0) == PATTERNS["off"]
    assert by_night(PATTERNS["system_healthy"], 1.0) == PATTERNS["system_healthy"]


@pytest.mark.parametrize(
    "steps",
    [(), ((0.5, 0.5, 1.5),), ((0.0, 0.5, 1.0),), ((0.5, 0.0, 1.0), (0.5, 0.5, 1.0)), ((0.5, -1.0, 1.0),)],
)
def test_a_pattern_that_cannot_be_shown_is_refused(steps: tuple[tuple[float, float, float], ...]) -> None:
    with pytest.raises(ValueError, match="Pattern 'odd'"):
        Pattern("odd", "", tuple(Step(*step) for step in steps))


def test_a_timeline_draws_the_rhythm() -> None:
    assert timeline(PATTERNS["research_evolving"], 2) == "#####.....#####....."
    assert timeline(Pattern("dim", "", (Step(0.2, 0.1, 0.4),)), 0.6) == "++.++."
