"""From facts to alerts: how long a condition must last, and that a value at its limit does not flutter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.health import BoxHealth
from observability.alert_rules import AlertRules, parse_rules
from orchestration.alarms import Alarms, Facts
from orchestration.decisions import Blocked, Gate, Reason

RULES = parse_rules(
    """
    [[rule]]
    when = "disk"
    free_mb = 500
    free_percent = 3
    [[rule]]
    when = "temperature"
    celsius = 80
    for = "5m"
    [[rule]]
    when = "clock"
    for = "10m"
    [[rule]]
    when = "duty_late"
    tasks = ["slow_*"]
    for = "10m"
    [[rule]]
    when = "duty_late"
    for = "2m"
    [[rule]]
    when = "blocked_by_memory"
    times = 2
    within = "1d"
    for = "1h"
    """,
    "alerts.toml",
)
WELL = BoxHealth(
    temperature_c=50.0, under_voltage=False, clock_synced=True, disk_free_mb=9000.0, disk_free_pct=30.0
)
HOUR = 3600.0
CALENDAR = {"is_known": True, "horizon": date(2028, 12, 29)}
SHORT = Blocked("study", (Gate(Reason.MEMORY, False, "MB of memory"),))


class Watch:
    """Facts one after the other, and the alerts that stand by them."""

    def __init__(self, rules: AlertRules = RULES) -> None:
        self.alarms, self.rules = Alarms(), rules
        self.standing: set[str] = set()
        self.texts: dict[str, str] = {}

    def see(
        self,
        at_s: float,
        health: BoxHealth = WELL,
        waiting: Mapping[str, Blocked] | None = None,
        duties: Sequence[str] = (),
        **facts: object,
    ) -> set[str]:
        """Return what stands after these facts."""
        given_: dict[str, object] = {"network_up": True, "store_fault": None, **CALENDAR, **facts}
        seen = Facts(
            at_s=at_s,
            today=date(2026, 11, 20),
            health=health,
            waiting=waiting or {},
            duties=set(duties),
            **given_,  # type: ignore[arg-type]  # names are checked by the call
        )
        verdict = self.alarms.look(seen, self.rules, self.standing)
        self.texts |= {alert.key: alert.text for alert in verdict.fresh}
        assert not {alert.key for alert in verdict.fresh} & self.standing, "raised twice"
        assert set(verdict.over) <= self.standing, "cleared what does not stand"
        self.standing = (self.standing | {alert.key for alert in verdict.fresh}) - set(verdict.over)
        return set(self.standing)


def hot(celsius: float | None) -> BoxHealth:
    return BoxHealth(temperature_c=celsius, under_voltage=False, clock_synced=True)


def free(mb: float, pct: float = 30.0) -> BoxHealth:
    return BoxHealth(clock_synced=True, disk_free_mb=mb, disk_free_pct=pct)


def test_a_box_that_is_well_raises_nothing() -> None:
    assert Watch().see(0) == set()


def test_heat_is_an_alert_when_it_has_lasted_and_over_when_cold_for_as_long() -> None:
    watch = Watch()

    seen = [
        watch.see(minute * 60, hot(celsius))
        for minute, celsius in ((0, 81), (4, 81), (5, 81), (6, 74), (10, 74), (11, 74))
    ]

    # 81 C from minute 0, told at 5; 74 C (below 80 - 5) from minute 6, over at 11.
    assert seen == [set(), set(), {"temperature"}, {"temperature"}, {"temperature"}, set()]
    assert watch.texts["temperature"] == "the box has been at 80 C or more for 5m; now 81 C"


def test_heat_that_goes_for_a_moment_begins_anew() -> None:
    watch = Watch()

    seen = [watch.see(minute * 60, hot(c)) for minute, c in ((0, 81), (4, 79), (5, 81), (9, 81), (10, 81))]

    assert seen == [set(), set(), set(), set(), {"temperature"}]


@given(st.lists(st.floats(75.1, 84.9), min_size=1, max_size=60))
def test_a_temperature_about_its_limit_is_one_alert_at_most(temperatures: list[float]) -> None:
    # Never below 80 - 5: whatever was raised stays so.
    watch = Watch()
    changes, before = 0, set[str]()

    for minute, celsius in enumerate(temperatures):
        after = watch.see(minute * 60, hot(celsius))
        changes += after != before
        before = after

    assert changes <= 1


@given(st.lists(st.floats(400, 549), min_size=1, max_size=60))
def test_a_disk_about_its_limit_is_one_alert_at_most(sizes: list[float]) -> None:
    # Below 1.1 * 500 MB nothing is over.
    watch = Watch()
    seen = [bool(watch.see(n * 10, free(mb))) for n, mb in enumerate(sizes)]

    assert seen == sorted(seen)


def test_a_disk_is_full_by_size_or_by_share_and_must_have_a_tenth_more_to_be_well() -> None:
    watch = Watch()

    seen = [watch.see(n, health) for n, health in enumerate((free(499), free(549), free(551), free(9000, 2)))]

    assert seen == [{"disk"}, {"disk"}, set(), {"disk"}]
    assert watch.texts["disk"] == "9,000 MB (2 %) of the disk are free; there should be 500 MB and 3 %"


@pytest.mark.parametrize("standing", [set(), {"temperature", "disk", "undervoltage", "network"}])
def test_what_is_not_known_changes_nothing(standing: set[str]) -> None:
    watch = Watch()
    watch.standing = set(standing)

    for hours in range(3):
        seen = watch.see(hours * HOUR, BoxHealth(clock_synced=True), network_up=None)

    assert seen == standing


def test_a_clock_that_nobody_vouches_for_is_an_alert() -> None:
    watch = Watch()

    seen = [watch.see(minute * 60, BoxHealth()) for minute in (0, 9, 10)]

    assert seen == [set(), set(), {"clock"}]
    assert "not known to be right for 10m" in watch.texts["clock"]


def test_undervoltage_network_and_a_store_that_fails_are_told() -> None:
    watch, low = Watch(), BoxHealth(clock_synced=True, under_voltage=True)

    watch.see(0, low, network_up=False, store_fault="disk full")
    seen = watch.see(HOUR, low, network_up=False, store_fault="disk full")

    assert seen == {"undervoltage", "network", "store"}
    assert watch.texts["store"] == "the state cannot be written, and nothing starts: disk full"
    watch.see(HOUR + 1)
    assert watch.see(2 * HOUR) == set()


def test_a_calendar_that_ends_soon_or_does_not_know_today_is_told() -> None:
    watch = Watch()

    seen = watch.see(0, horizon=date(2026, 12, 19), is_known=False)

    assert seen == {"horizon", "no_session"}
    # 20 November to 19 December is 29 days.
    assert "29 days ahead" in watch.texts["horizon"]
    assert watch.see(1, horizon=date(2026, 12, 20)) == set()


def test_a_duty_that_waits_is_late_after_its_rule_s_time_and_no_more_when_it_goes() -> None:
    watch = Watch()
    waiting = dict.fromkeys(("duty", "slow_duty", "study"), SHORT)
    duties = ("duty", "slow_duty")

    seen = [watch.see(s, waiting=waiting, duties=duties) for s in (0, 119, 120, 600)]

    assert seen == [set(), set(), {"late:duty"}, {"late:duty", "late:slow_duty"}]
    assert watch.texts["late:duty"] == "duty is due and has waited for 2m: MEMORY"
    assert watch.see(601) == set()


def test_a_duty_passed_over_now_and_then_is_not_late() -> None:
    watch = Watch()

    for s in range(0, 1000, 100):
        assert watch.see(s, waiting={"duty": SHORT}, duties=("duty",)) == set()
        assert watch.see(s + 50) == set()


def test_waiting_long_for_memory_again_is_told_and_over_after_a_day_without() -> None:
    watch = Watch()
    waiting = {"study": SHORT}

    seen = [watch.see(hour * HOUR, waiting=waiting) for hour in (0, 1, 2)]

    # One full hour at 1, the second at 2.
    assert seen == [set(), set(), {"memory:study"}]
    assert "waited for memory 2 times 1h within 24h" in watch.texts["memory:study"]
    assert watch.see(25 * HOUR) == {"memory:study"}
    assert watch.see(26 * HOUR) == set()


def test_short_waits_for_memory_and_waits_for_other_things_are_everyday() -> None:
    watch = Watch()
    slots = Blocked("study", (Gate(Reason.SLOTS, False),))

    for hour in range(20):
        watch.see(hour * HOUR, waiting={"study": SHORT})
        watch.see((hour + 0.9) * HOUR, waiting={"study": SHORT})
        watch.see((hour + 0.95) * HOUR)
    for hour in range(20, 40):
        watch.see(hour * HOUR, waiting={"study": slots})

    assert watch.standing == set()


def test_an_alert_for_memory_from_before_a_restart_is_over_when_a_day_has_shown_none() -> None:
    watch = Watch()
    watch.standing = {"memory:study"}

    assert watch.see(5 * HOUR) == {"memory:study"}
    assert watch.see(29 * HOUR) == set()


def test_what_the_rules_switch_off_is_not_raised() -> None:
    watch = Watch(parse_rules('[[rule]]\nwhen = "disk"\nenabled = false', "alerts.toml"))

    assert watch.see(0, free(1)) == set()


def test_it_looks_when_other_tasks_wait_and_every_ten_seconds() -> None:
    alarms, one, other = Alarms(), {"a": 1}, {"a": 1}
    assert alarms.is_due(0.0, one)
    alarms.look(facts_at_0(), RULES, set())

    assert [
        alarms.is_due(s, what) for s, what in ((1.0, one), (2.0, other), (3.0, other), (10.0, other))
    ] == [
        False,
        True,
        False,
        True,
    ]


def facts_at_0() -> Facts:
    """Return facts of a box that is well, at 0 s."""
    return Facts(
        at_s=0.0,
        today=date(2026, 11, 20),
        health=WELL,
        network_up=True,
        is_known=True,
        horizon=date(2028, 12, 29),
        store_fault=None,
        waiting={},
        duties=set(),
    )


def test_the_shipped_rules_judge_a_box_that_is_well() -> None:
    watch = Watch(parse_rules("", "alerts.toml"))

    assert [watch.see(day * timedelta(days=1).total_seconds()) for day in range(3)] == [set()] * 3
