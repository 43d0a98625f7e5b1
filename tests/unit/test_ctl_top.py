"""`orchestratorctl top`, and the present that it and the first page show. A view in, values out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestration.ctl import present, top
from orchestration.ctl.desk import View, evaluate
from tests.control_desk import FRIDAY_EVENING, HOLDER, make_box

NEW_YORK = ZoneInfo("America/New_York")
NOW = FRIDAY_EVENING


def at(minutes: float) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat()


def a_view(**changes: object) -> View:
    """Return the view of a box that is well, on a Friday evening half an hour into the weekend's research."""
    found = {
        **evaluate(make_box()),
        "daemon": dict(HOLDER),
        "panel": {"mode": "research", "extended": True, "error": None},
        "fault": None,
        "halted": None,
        "alerts": [],
        "complaints": [],
        "window_start": at(-30),
        "window_end": "2026-11-23T13:00:00+00:00",
        "last_seen": None,
    }
    return {**found, **changes}


def a_run(task: str = "daily_report", *, minutes: float = 0.0, done_in: float = 1.0, **changes: Any) -> Any:
    """Return a run that has taken `minutes` and should be done in `done_in` minutes."""
    found = {
        "run_id": f"{task}.2026-11-23.once.1",
        "task": task,
        "started_at": at(-minutes),
        "running_s": 60 * minutes,
        "predicted_end": at(done_in),
        "reserved_mb": 100.0,
        "used_mb": 50.0,
        "stopping": None,
    }
    return {**found, **changes}


def an_alert(severity: str = "warning", *, acknowledged: bool = False) -> dict[str, Any]:
    return {
        "key": "disk",
        "severity": severity,
        "text": "the disk is nearly full",
        "task": None,
        "raised_at": at(-5),
        "acknowledged_at": at(-1) if acknowledged else None,
        "cleared_at": None,
    }


def text_of(view: View, width: int = 80, height: int | None = 23) -> str:
    return "\n".join(line.plain for line in top.lines(view, NEW_YORK, width, height))


# --- is all well? -----------------------------------------------------------------------------------------


def test_a_box_without_a_complaint_is_well() -> None:
    found = present.verdict(a_view())

    assert (found.level, found.headline) == ("ok", "All is well")


@pytest.mark.parametrize(
    ("changes", "level", "headline"),
    [
        ({"daemon": None}, "fail", "No daemon is running"),
        ({"halted": "the fills look wrong"}, "fail", "TRADING IS HALTED: the fills look wrong"),
        ({"paused": "all"}, "warn", "Paused: everything"),
        ({"complaints": ["the task file is broken"]}, "warn", "The task file is broken"),
        ({"fault": "disk_full"}, "fail", "The disk is nearly full; `orchestratorctl run cleanup_logs`"),
        ({"alerts": [an_alert()]}, "warn", "1 open alert"),
        ({"alerts": [an_alert("critical")]}, "fail", "1 open alert"),
    ],
)
def test_what_is_not_well_is_the_headline(changes: dict[str, Any], level: str, headline: str) -> None:
    found = present.verdict(a_view(**changes))

    assert found.level == level
    assert found.headline.startswith(headline)


def test_an_alert_that_a_person_has_seen_does_not_cry_on() -> None:
    found = present.verdict(a_view(alerts=[an_alert("critical", acknowledged=True)]))

    assert found.level == "ok"
    assert found.headline == "All is well but for 1 open alert, seen already"


def test_further_complaints_are_counted_in_the_headline() -> None:
    found = present.verdict(a_view(daemon=None, paused="all", alerts=[an_alert()]))

    assert found.headline == "No daemon is running, and 1 more, and 1 open alert"


def the_alert(key: str, text: str = "it says the same") -> dict[str, Any]:
    return {**an_alert("error"), "key": key, "text": text}


@pytest.mark.parametrize(
    ("resources", "changes", "fault", "key", "headline"),
    [
        (
            {"too_hot": True, "temperature_c": 82.5},
            {},
            "overheating",
            "temperature",
            "Too hot (82.5 C): no research starts; air, a heat sink or a fan",
        ),
        (
            {"clock_synced": False},
            {},
            "clock_unsynced",
            "clock",
            "The clock is not known to be right: no trading task starts; check the network and NTP",
        ),
        (
            {"network_up": False},
            {},
            "network_down",
            "network",
            "The network is down; check the cable or the radio",
        ),
        (
            {},
            {"calendar_known": False},
            "calendar_stale",
            "no_session",
            # The remedy of the fault is the complaint's own.
            "No session is known for today: orchestratorctl run refresh_sessions",
        ),
        (
            {},
            {"halted": "the fills look wrong"},
            "act_now",
            "trading_halted",
            "TRADING IS HALTED: the fills look wrong; back with orchestratorctl resume --trading; "
            "`orchestratorctl status`, then the broker's own screen",
        ),
    ],
)
def test_one_fault_is_counted_once_whoever_says_it(
    resources: dict[str, Any], changes: dict[str, Any], fault: str, key: str, headline: str
) -> None:
    """The sensors say it, the LEDs show it, and after a while an alert stands."""
    view = a_view(fault=fault, **changes)
    view["resources"] = {**view["resources"], **resources}

    before = present.verdict(view)
    view["alerts"] = [the_alert(key)]
    after = present.verdict(view)

    assert (before.headline, before.level) == (headline, "fail")
    assert (after.headline, after.alerts, after.others) == (headline, 1, ())
    assert "it says the same" not in text_of(view, height=None)


def test_an_alert_of_something_else_is_counted_beside_a_fault() -> None:
    view = a_view(fault="overheating", alerts=[an_alert(), the_alert("temperature")])
    view["resources"] = {**view["resources"], "too_hot": True, "temperature_c": 82.5}

    found = present.verdict(view)

    assert found.headline.endswith("air, a heat sink or a fan, and 1 open alert")
    assert (found.alerts, found.others) == (2, ("the disk is nearly full",))


def test_a_fault_that_nothing_else_says_stands_by_itself_beside_a_complaint() -> None:
    view = a_view(fault="undervoltage", paused="all")

    assert present.verdict(view).wrong == (
        "paused: everything; orchestratorctl resume",
        "the supply is too weak; a better supply or cable",
    )


def test_of_two_tasks_that_failed_again_and_again_each_has_its_alert() -> None:
    """The LEDs show the fault, which one of the alerts says, too; the other one is another."""
    alerts = [the_alert(f"quarantined:{task}", f"{task} is quarantined") for task in ("one", "two")]

    found = present.verdict(a_view(fault="quarantined", alerts=alerts))

    assert found.others == ("two is quarantined",)


def test_of_a_daemon_that_is_down_its_last_sign_of_life_is_told() -> None:
    view = a_view(daemon=None, last_seen=at(-90))

    # 18:30 less an hour and a half.
    assert present.down_since(view, NEW_YORK) == (
        "The last sign of life was 1 h 30 min ago, on Fri 17:00 EST."
    )
    assert present.down_since(a_view(), NEW_YORK) is None


# --- what runs --------------------------------------------------------------------------------------------


def test_a_run_is_held_against_its_prediction_and_its_reservation() -> None:
    # daily_report: 0.5 minutes by its spec.
    (run,) = present.running(a_view(running=[a_run(minutes=0.25)]))

    assert (run.minutes, run.share, run.memory_share) == (0.5, 0.5, 0.5)
    assert (run.overdue, run.said) == (False, "15.0 s of about 30.0 s")


def test_a_run_that_takes_longer_than_usual_is_not_yet_overdue() -> None:
    (run,) = present.running(a_view(running=[a_run(minutes=1, done_in=0.5)]))

    assert (run.overdue, run.said) == (False, "1 min, longer than the usual 30.0 s")


def test_of_a_run_that_began_before_the_clock_was_set_back_nothing_is_measured() -> None:
    """Six and a half days: it would be "-6 d 12 h of about 30 s", and a bar of less than nothing."""
    view = a_view(running=[a_run(minutes=-6.5 * 24 * 60, done_in=6.5 * 24 * 60 + 1)])

    (run,) = present.running(view)
    shown = text_of(view, width=120)

    # daily_report: 0.5 minutes by its spec.
    assert (run.ahead, run.share, run.overdue) == (True, 0.0, False)
    assert run.said == "began before the clock was set back; usually 30.0 s"
    assert "began before the clock was set back" in shown
    assert "-6 d" not in shown


def test_a_run_past_its_predicted_end_is_overdue() -> None:
    (run,) = present.running(a_view(running=[a_run(minutes=5, done_in=-3)]))

    assert run.overdue
    assert run.said == "OVERDUE: 5 min, usually 30.0 s; was to be done 3 min ago"


def test_research_that_reaches_beyond_its_window_is_done_by_prep_and_not_later() -> None:
    a_weekend = [a_run("run_weekend_research", done_in=minutes) for minutes in (55 * 60, 56 * 60)] + [
        a_run("health_check", done_in=56 * 60)
    ]

    found = present.running(a_view(running=a_weekend))

    # PREP is 55.5 h away; it stops research alone.
    assert {(run.task, run.cut_at) for run in found} == {
        ("run_weekend_research", None),
        ("run_weekend_research", "2026-11-23T07:00:00Z"),
        ("health_check", None),
    }


def test_memory_that_nobody_measured_is_not_known() -> None:
    (run,) = present.running(a_view(running=[a_run(used_mb=None)]))

    assert run.memory_share is None


# --- what comes -------------------------------------------------------------------------------------------


def test_what_comes_is_told_the_soonest_first() -> None:
    view = a_view()
    for task in view["tasks"]:
        task |= {"next_at": None, "deadline": None}
    view["tasks"][0] |= {"next_at": at(20), "status": "waiting", "enabled": True}
    view["tasks"][1] |= {"deadline": at(10), "status": "waiting", "enabled": True}

    found = present.coming(view)

    names = [task["name"] for task in view["tasks"][:2]]
    assert [(entry.at.isoformat(), entry.text) for entry in found] == [
        (at(10), f"{names[1]} is to be done"),
        (at(20), f"{names[0]} may start"),
        # Monday 02:00 in New York: six hours before 08:00, as a weekend lies between.
        ("2026-11-23T07:00:00+00:00", "PREP begins"),
    ]


def test_what_has_passed_runs_or_is_disabled_is_not_to_come() -> None:
    view = a_view()
    for task in view["tasks"]:
        task |= {"next_at": None, "deadline": None}
    view["tasks"][0] |= {"next_at": at(-1), "enabled": True}
    view["tasks"][1] |= {"next_at": at(5), "status": "running"}
    view["tasks"][2] |= {"next_at": at(5), "enabled": False}

    assert [entry.text for entry in present.coming(view)] == ["PREP begins"]


@pytest.mark.parametrize(
    ("local", "said"),
    [
        ("2026-11-20T08:30", "the market opens"),
        ("2026-11-20T12:00", "the market closes"),
        ("2026-11-20T17:00", "research time begins"),
        ("2026-11-23T03:00", "the trading day begins"),
    ],
)
def test_the_next_change_has_a_name(local: str, said: str) -> None:
    instant = datetime.fromisoformat(local).replace(tzinfo=NEW_YORK).astimezone(UTC)

    assert present.next_mode(evaluate(make_box(instant))) == said


def test_the_research_hours_used_and_left_make_the_whole() -> None:
    found = present.research_hours(a_view())

    # A weekend's research: Friday 18:00 to Monday 02:00 = 56 h; it is 18:30.
    assert (found.used, found.left, found.whole, found.begun) == (0.5, 55.5, 56.0, True)


# --- what is drawn ----------------------------------------------------------------------------------------


def test_one_look_says_that_all_is_well_and_in_what_window() -> None:
    drawn = text_of(a_view(running=[a_run(minutes=0.25)]))

    assert drawn.splitlines()[0].startswith("RESEARCH weekend  EXTENDED")
    assert "✓ All is well" in drawn
    assert "0.5 h used, 55.5 h left, PREP from Mon 02:00 EST" in drawn
    assert "daily_report             ████░░░░  ████░░░░  15.0 s of about 30.0 s" in drawn
    assert "PREP begins" in drawn


def test_levels_are_told_by_signs_and_not_by_colour_alone() -> None:
    assert "✗ No daemon is running" in text_of(a_view(daemon=None))
    assert "! 1 open alert\n  the disk is nearly full" in text_of(a_view(alerts=[an_alert()]))


@pytest.mark.parametrize("count", [0, 1, 40])
def test_it_fits_the_terminal_however_much_runs(count: int) -> None:
    view = a_view(running=[a_run(f"task_{n}") for n in range(count)])

    drawn = top.lines(view, NEW_YORK, 80, 23)

    assert len(drawn) <= 23
    assert "PREP begins" in "\n".join(line.plain for line in drawn)


def test_runs_that_do_not_fit_are_counted() -> None:
    drawn = text_of(a_view(running=[a_run(f"task_{n:02}", done_in=n) for n in range(40)]))

    shown = sum("task_" in line for line in drawn.splitlines())
    assert f"and {40 - shown} more" in drawn


def test_printed_once_nothing_is_left_out() -> None:
    view = a_view(running=[a_run(f"task_{n}") for n in range(40)])

    assert sum("task_" in line.plain for line in top.lines(view, NEW_YORK, 80)) == 40


def test_without_a_daemon_nothing_is_foretold() -> None:
    assert "nothing happens until a daemon runs" in text_of(a_view(daemon=None))


def test_json_has_what_is_shown() -> None:
    found = top.to_json(a_view(running=[a_run(minutes=0.25)]))

    assert found["headline"] == "All is well"
    assert found["running"][0]["share"] == 0.5
    assert found["coming"][0]["at"].endswith("Z")
