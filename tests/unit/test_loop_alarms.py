"""Alerts of a whole loop in virtual time: raised and cleared by rules, delivered at once, never in a spin."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from hardware.health import BoxHealth
from observability.alert_rules import parse_rules
from orchestration.changes import AlertSaved, RunPlanned
from orchestration.decisions import RaiseAlert
from orchestration.simulation.stand_ins import Fortune, SteadySensors
from orchestration.types import TaskCategory, TaskPriority, TaskSpec
from tests.calendars import ny
from tests.unit.living import Box

NIGHT = ny("2026-11-19T20:01")  # Thursday: a minute after the delivery's five
MINUTE = timedelta(minutes=1)
SEND = TaskSpec(
    name="send_alerts",
    category=TaskCategory.MAINTENANCE,
    priority=TaskPriority.HIGH,
    every=timedelta(minutes=5),
    estimated_minutes=0.1,
    timeout_minutes=4,
    idempotent=True,
)
JOB = TaskSpec(name="job", phases={"OVERNIGHT"}, estimated_minutes=1)
WATCH = TaskSpec(
    name="watch",
    category=TaskCategory.RISK,
    priority=TaskPriority.CRITICAL,
    every=MINUTE,
    window="open..close",
    estimated_minutes=0.1,
    timeout_minutes=1,
    memory_mb=500,
)
FAILS = Fortune(1.0, 10.0, 1)
WELL = BoxHealth(clock_synced=True, disk_free_mb=9000.0, disk_free_pct=40.0)


def box(
    *specs: TaskSpec,
    at: datetime = NIGHT,
    rules: str = "",
    fortunes: dict[str, Sequence[Fortune]] | None = None,
    sensors: SteadySensors | None = None,
) -> Box:
    """Return a box that looks for alerts by the shipped rules and those of `rules`."""
    made = Box(*specs, at=at, fortunes=fortunes, sensors=sensors)
    made.loop.narrator.rules = parse_rules(rules, "alerts.toml")
    made.loop.alerting.health = lambda: WELL
    return made


def deliveries(made: Box) -> list[datetime]:
    """Return when the delivering task was started for an alert."""
    planned = [c.run for c in made.store.taken if isinstance(c, RunPlanned)]
    return [r.started_at for r in planned if r.task == "send_alerts" and r.key.slot.startswith("manual:")]


def said(made: Box) -> list[tuple[str, bool]]:
    """Return each alert raised, and cleared (True), that was written."""
    return [(c.key, c.cleared) for c in made.store.taken if isinstance(c, AlertSaved)]


# --- delivered at once --------------------------------------------------------------------------------------


def test_a_failure_is_delivered_in_the_turn_that_learns_of_it() -> None:
    made = box(SEND, JOB, fortunes={"job": [FAILS]})

    made.sim.run_until(NIGHT + 3 * MINUTE)

    assert said(made) == [("failed:job", False)]
    assert deliveries(made) == [NIGHT + MINUTE]


def test_what_the_decision_itself_raises_is_delivered_in_the_next_turn() -> None:
    late = JOB.but(deadline="20:30@America/New_York", estimated_minutes=60, timeout_minutes=90)
    made = box(SEND, late)

    made.sim.run_until(NIGHT + 3 * MINUTE)

    assert said(made)[0][0].startswith("deadline:job:")
    # The grid's own run of that turn takes 6 s; it may have read the alerts before this one.
    assert deliveries(made) == [NIGHT + timedelta(seconds=6)]


def test_what_comes_while_it_runs_is_delivered_after_it() -> None:
    slow = Fortune(2.0, 10.0)
    made = box(SEND, fortunes={"send_alerts": [slow]})
    made.sim.run_until(NIGHT + MINUTE)

    for seconds, key in ((0, "first"), (20, "second"), (40, "third")):
        made.sim.run_until(NIGHT + MINUTE + timedelta(seconds=seconds))
        for row in made.loop.narrator.alert(RaiseAlert(key=key, text="it happened"), made.clock.now()):
            made.loop.later(row)
        made.loop.turn()
    made.sim.run_until(NIGHT + 8 * MINUTE)

    # The grid's run of 20:01 ends at 20:03; that for all three alerts then begins.
    assert deliveries(made) == [NIGHT + 2 * MINUTE]


def test_alerts_that_come_and_go_all_the_time_are_delivered_every_half_minute() -> None:
    made = box(SEND)
    end = NIGHT + 10 * MINUTE

    while made.clock.now() < end:
        now = made.clock.now()
        narrator = made.loop.narrator
        rows = narrator.clear("k", now) or narrator.alert(RaiseAlert(key="k", text="t"), now)
        for row in rows:
            made.loop.later(row)
        made.loop.turn()
        made.clock.advance(timedelta(seconds=1))

    starts = deliveries(made)
    assert min(b - a for a, b in pairwise(starts)) >= timedelta(seconds=30)
    assert 15 <= len(starts) <= 20


def test_a_delivery_that_fails_does_not_start_itself_again() -> None:
    made = box(SEND, JOB, fortunes={"send_alerts": [Fortune(0.05, 10.0, 1)], "job": [FAILS]})

    made.sim.run_until(NIGHT + timedelta(hours=1))

    # Its own failure and quarantine are alerts and hurry nothing; the job's does, when its rest is over.
    keys = {key for key, _ in said(made)}
    assert {"failed:send_alerts", "quarantined:send_alerts", "failed:job"} <= keys
    assert len(deliveries(made)) <= 2


def test_news_wait_while_everything_is_paused_and_go_when_it_is_resumed() -> None:
    made = box(SEND)
    made.tell("pause", all="true")
    for row in made.loop.narrator.alert(RaiseAlert(key="k", text="t"), NIGHT):
        made.loop.later(row)

    made.sim.run_until(NIGHT + 10 * MINUTE)
    before = deliveries(made)
    made.tell("resume")
    made.loop.turn()

    assert before == []
    assert deliveries(made) == [NIGHT + 10 * MINUTE]


def test_news_wait_while_there_is_no_network_and_go_when_there_is() -> None:
    sensors = SteadySensors(network_up=False)
    made = box(SEND.but(needs={"network"}), JOB, fortunes={"job": [FAILS]}, sensors=sensors)
    made.sim.run_until(NIGHT + 10 * MINUTE)
    before = deliveries(made)

    sensors.network_up = True
    made.sim.run_until(NIGHT + 11 * MINUTE)

    assert before == []
    assert deliveries(made) == [NIGHT + 10 * MINUTE]


def test_without_a_task_that_delivers_nothing_is_hurried() -> None:
    for specs in ((JOB,), (JOB, SEND.but(enabled=False))):
        made = box(*specs, fortunes={"job": [FAILS]})

        made.sim.run_until(NIGHT + 5 * MINUTE)

        assert said(made) == [("failed:job", False)]
        assert deliveries(made) == []
        assert made.loop.state.manual == {}


def test_a_loop_without_rules_looks_for_nothing_and_hurries_nothing() -> None:
    made = box(SEND, JOB, fortunes={"job": [FAILS]})
    made.loop.narrator.rules = None
    made.loop.alerting.health = BoxHealth

    made.sim.run_until(NIGHT + timedelta(hours=1))

    assert said(made) == [("failed:job", False)]
    assert deliveries(made) == []


# --- by the rules -------------------------------------------------------------------------------------------


def test_a_task_may_have_to_fail_on_several_occasions_in_a_row() -> None:
    rules = '[[rule]]\nwhen = "task_failed"\ntasks = ["job"]\ntimes = 3\nseverity = "critical"'
    good, often = Fortune(1.0, 10.0), JOB.but(every=timedelta(minutes=15))
    made = box(often, rules=rules, fortunes={"job": [FAILS, FAILS, good, FAILS, FAILS, FAILS, good]})

    made.sim.run_until(NIGHT + timedelta(minutes=92))

    # 20:01, 20:15, 20:30 (well), 20:45, 21:00 and 21:15, a minute each; that of 21:30 is well again.
    alerts = [c for c in made.store.taken if isinstance(c, AlertSaved)]
    assert [(a.key, a.cleared) for a in alerts] == [("failed:job", False), ("failed:job", True)]
    assert (alerts[0].severity, alerts[0].at) == ("critical", NIGHT + 75 * MINUTE)


def test_a_full_disk_is_raised_and_over_without_any_task() -> None:
    made = box(JOB)
    made.sim.run_until(NIGHT + 5 * MINUTE)
    made.loop.alerting.health = lambda: BoxHealth(clock_synced=True, disk_free_mb=10.0, disk_free_pct=1.0)
    made.sim.run_until(NIGHT + 6 * MINUTE)
    full = said(made)
    made.loop.alerting.health = lambda: WELL
    made.sim.run_until(NIGHT + 7 * MINUTE)

    assert full == [("disk", False)]
    assert said(made) == [("disk", False), ("disk", True)]


def test_a_duty_without_memory_is_late_after_two_minutes() -> None:
    # 1100 MB - 400 foreign - 300 reserve = 400 MB: less than the 500 the duty needs.
    made = box(WATCH, at=ny("2026-11-20T10:00"), sensors=SteadySensors(total_mb=1100.0))

    made.sim.run_until(ny("2026-11-20T10:01"))
    early = said(made)
    made.sim.run_until(ny("2026-11-20T10:03"))

    assert early == []
    assert said(made) == [("late:watch", False)]


def test_a_store_that_fails_is_an_alert_when_it_works_again() -> None:
    made = box(JOB)
    made.loop.turn()
    made.store.broken = True
    made.sim.run_until(NIGHT + 5 * MINUTE)
    raised = made.scheduler.of("alert.raised")
    made.store.broken = False
    made.sim.run_until(NIGHT + 8 * MINUTE)

    assert [line["alert"] for line in raised] == ["store"]
    assert said(made) == [("store", False), ("store", True)]


def test_other_rules_clear_what_is_none_by_them() -> None:
    made = box(JOB, fortunes={"job": [FAILS]})
    made.sim.run_until(NIGHT + 2 * MINUTE)
    off = parse_rules('[[rule]]\nwhen = "task_failed"\ntasks = ["job"]\nenabled = false', "alerts.toml")

    for row in made.loop.narrator.take_rules(off, made.clock.now()):
        made.loop.later(row)
    made.loop.turn()

    assert said(made) == [("failed:job", False), ("failed:job", True)]
    assert made.loop.narrator.alert(RaiseAlert(key="failed:job", text="again", task="job"), NIGHT) == []


def test_a_disagreement_that_goes_on_is_an_alert_once_the_rules_let_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = box(JOB, rules='[[rule]]\nwhen = "calendar_disagrees"\nenabled = false')
    monkeypatch.setattr(made.loop.tables, "disagreements", lambda today: ("2026-11-27 closes at 13:00",))
    made.loop.turn()
    before = said(made)

    made.loop.narrator.take_rules(parse_rules("", "alerts.toml"), made.clock.now())
    made.loop.turn()

    assert (before, said(made)) == ([], [("calendar:2026-11-27", False)])


def test_a_start_clears_what_is_none_by_rules_that_changed_meanwhile() -> None:
    made = box(JOB, rules='[[rule]]\nwhen = "disk"\nenabled = false')
    for key in ("disk", "failed:job"):
        made.store.commit([AlertSaved(at=NIGHT, key=key, severity="error", text="old")])

    made.loop.recover()
    made.loop.turn()

    assert said(made) == [("disk", False), ("failed:job", False), ("disk", True)]


# --- the daemon was away ------------------------------------------------------------------------------------


def away(made: Box, minutes: float, *, orderly: bool = False) -> list[str]:
    """Let the daemon have been away for so long; return what is told of it after two turns."""
    made.loop.alerting.was_away(made.clock.now() - minutes * MINUTE, orderly=orderly)
    made.loop.turn()
    made.loop.turn()
    return [c.text for c in made.store.taken if isinstance(c, AlertSaved) and not c.cleared]


def test_a_start_tells_from_when_to_when_it_was_away_and_what_was_missed() -> None:
    made = box(WATCH, at=ny("2026-11-20T11:07"))

    # 10:00 to 11:06 are 67 minutes of an open market; that of 11:07 runs.
    assert away(made, 67) == [
        "the daemon was down from 2026-11-20 15:00Z to 2026-11-20 16:07Z (1h7m): it ended without being "
        "stopped (crash, power cut). Duties missed: watch (67 times)."
    ]


def test_a_stop_that_lasted_is_told_as_one_and_a_short_one_not_at_all() -> None:
    for minutes, told in ((4.9, 0), (5, 1)):
        texts = away(box(JOB), minutes, orderly=True)

        assert len(texts) == told
        assert all("it had been stopped. No trading duty was missed" in text for text in texts)


def test_an_absence_is_told_when_the_clock_is_right_and_by_the_right_clock() -> None:
    sensors = SteadySensors()
    sensors.clock_synced = False
    made = box(JOB, at=datetime(2026, 11, 20, 1, 0, tzinfo=UTC), sensors=sensors)

    # The clock stood still while the box was off: it seems to have been away for a minute.
    before = away(made, 1)
    made.clock.advance(2 * MINUTE)
    made.clock.step_wall(timedelta(hours=3))
    sensors.clock_synced = True
    made.loop.turn()
    made.loop.turn()

    (text,) = [c.text for c in made.store.taken if isinstance(c, AlertSaved)]
    assert before == []
    assert "from 2026-11-20 00:59Z to 2026-11-20 04:00Z" in text


def test_it_is_over_after_a_day_or_when_it_is_acknowledged() -> None:
    by_itself, seen = box(JOB), box(JOB)
    for made in (by_itself, seen):
        away(made, 60)

    seen.tell("acknowledge", alert="down")
    seen.loop.turn()
    by_itself.sim.run_until(NIGHT + timedelta(hours=23, minutes=59))
    still = said(by_itself)
    by_itself.sim.run_until(NIGHT + timedelta(hours=24, minutes=2))

    assert said(seen) == [("down", False), ("down", True)]
    assert still == [("down", False)]
    assert said(by_itself) == [("down", False), ("down", True)]


def test_a_second_absence_is_told_while_the_first_still_stands() -> None:
    made = box(JOB)
    made.loop.narrator.remember(frozenset({"down"}))

    away(made, 60)

    assert said(made) == [("down", True), ("down", False)]
