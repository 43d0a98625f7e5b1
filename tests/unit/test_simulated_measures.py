"""What is measured of a simulated stretch: each figure on a small box, with the sum done by hand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from orchestration.decisions import Decision, Prediction, StartRun
from orchestration.policies import policy_for
from orchestration.runs import RunKey
from orchestration.simulation.meters import BoxMeter
from orchestration.simulation.special_days import easter, holiday_name
from orchestration.simulation.stand_ins import Fortune
from orchestration.types import Catchup, TaskCategory, TaskPriority, TaskSpec
from tests.calendars import ny
from tests.unit.deciding import CALENDARS, duty, research
from tests.unit.measuring import DUSK, FRIDAY_DUSK, MONDAY_PREP, PREP, measured, report

PHASES = policy_for("phases")
ENDLESS = {"interruptible": True, "timeout_minutes": 0}
NIGHTLY = research("run_nightly_research", max_attempts=3, estimated_minutes=480, **ENDLESS)
WEEKEND = research("run_weekend_research", phases={"WEEKEND"}, estimated_minutes=2160, **ENDLESS)
LOW = TaskPriority.LOW
FILLER = research("filler", opportunistic=True, conflicts={"run_nightly_research"}, priority=LOW)
CHORE = duty("chore", at="20:50", estimated_minutes=30, timeout_minutes=0)
"""A duty itself, since others leave the hours before a duty free."""


def minutes(count: float, exit_code: int = 0) -> Fortune:
    return Fortune(count, 50.0, exit_code)


# --- research time ------------------------------------------------------------------------------------------


def test_core_and_filler_share_the_hours_of_a_night() -> None:
    # 5 h of core, then 2 h of filler, of 10 h.
    found = report(
        NIGHTLY, FILLER, fortunes={"run_nightly_research": [minutes(300)], "filler": [minutes(120)]}
    )

    assert found["research_hours"]["overnight"] == pytest.approx(10)
    assert found["core_utilisation"]["overnight"] == pytest.approx(0.5)
    assert found["filler_utilisation"]["overnight"] == pytest.approx(0.2, abs=1e-4)
    assert found["utilisation"]["all"] == found["utilisation"]["overnight"]
    assert found["utilisation"]["weekend"] is None


def test_an_hour_in_which_two_runs_are_busy_counts_once() -> None:
    # Side by side: 5 h and 3 h cover 5 of 10.
    found = report(
        NIGHTLY, research("other"), fortunes={NIGHTLY.name: [minutes(300)], "other": [minutes(180)]}
    )

    assert found["utilisation"]["overnight"] == pytest.approx(0.5)


def test_a_failed_run_is_worth_nothing() -> None:
    # 2 h lost, a minute of backoff, then 3 h.
    found = report(NIGHTLY, fortunes={NIGHTLY.name: [minutes(120, exit_code=1), minutes(180)]})

    assert found["utilisation"]["overnight"] == pytest.approx(0.3)
    assert found["runs"] == {"failed": 1, "succeeded": 1}


def test_a_run_that_checkpoints_at_the_window_s_end_is_worth_its_time() -> None:
    # Stopped 20 s before PREP, ended 5 s later: 15 s of 10 h are unused.
    found = report(NIGHTLY, fortunes={NIGHTLY.name: [minutes(900)]}, end=PREP + timedelta(hours=1))

    assert found["utilisation"]["overnight"] == pytest.approx(1 - 15 / 36_000)
    assert found["runs"] == {"checkpointed": 1}


def test_a_run_counts_for_the_part_of_it_that_lies_in_a_window() -> None:
    # Phases know no PREP: 11 h from 18:00 reach an hour into it.
    found = report(
        NIGHTLY, fortunes={NIGHTLY.name: [minutes(660)]}, policy=PHASES, end=ny("2026-11-20T06:00")
    )

    assert found["utilisation"]["overnight"] == pytest.approx(1)
    assert found["intrusions"] == {
        "trading_hours": 0,
        "prep_hours": pytest.approx(1),
        "runs": 1,
    }


def test_a_window_is_cut_to_the_simulated_stretch() -> None:
    # From 20:00: 8 h, of which 4 are used.
    found = report(NIGHTLY, fortunes={NIGHTLY.name: [minutes(240)]}, begin=ny("2026-11-19T20:00"))

    assert found["research_hours"]["overnight"] == pytest.approx(8)
    assert found["utilisation"]["overnight"] == pytest.approx(0.5)
    assert found["demand"]["windows"] == 0, "a part of a window is asked for nothing"


@pytest.mark.parametrize(
    ("fortune", "used"), [(minutes(300), 0.2), (minutes(300, exit_code=1), 0.0)], ids=["good", "will fail"]
)
def test_what_is_under_way_at_the_end_counts_if_it_will_not_fail(fortune: Fortune, used: float) -> None:
    # The simulation ends at 20:00, so the window has 2 h; the run of 5 h goes on.
    found = report(NIGHTLY, fortunes={NIGHTLY.name: [fortune]}, end=ny("2026-11-19T20:00"))

    assert found["utilisation"]["overnight"] == pytest.approx(5 * used)


def test_the_weekly_refreshes_are_research_time_and_other_upkeep_is_not() -> None:
    # 7 h of 56.
    refresh = TaskSpec(name="refresh_symbols", category=TaskCategory.DATA, timeout_minutes=0)
    other = TaskSpec(name="clean_up", phases={"WEEKEND"}, timeout_minutes=0)
    fortunes = {"refresh_symbols": [minutes(420)], "clean_up": [minutes(600)]}

    found = report(refresh, other, fortunes=fortunes, begin=FRIDAY_DUSK, end=MONDAY_PREP)

    assert found["utilisation"]["weekend"] == pytest.approx(7 / 56)


# --- duties -------------------------------------------------------------------------------------------------


def test_a_duty_that_waits_beside_research_is_late_because_of_research() -> None:
    # The chore holds the conflict from 20:50 to 21:20; the duty is due at 21:00 and may be a minute late.
    late = duty(at="21:00", conflicts={"chore"}, catchup=Catchup.ONCE, grace=timedelta(hours=1))
    fortunes = {"chore": [minutes(30)], NIGHTLY.name: [minutes(300)]}

    beside = measured(late, CHORE, NIGHTLY, fortunes=fortunes)
    alone = measured(late, CHORE, fortunes=fortunes)

    assert (beside.duties.late, beside.duties.late_for_research) == (1, 1)
    assert (alone.duties.late, alone.duties.late_for_research) == (1, 0)
    assert beside.duties.worst_s == {"chore": 0, "duty": pytest.approx(20 * 60, abs=1)}


def test_a_duty_that_was_kept_waiting_until_its_slot_was_gone_is_late() -> None:
    gone = duty(at="21:00", conflicts={"chore"})

    found = measured(gone, CHORE, NIGHTLY, fortunes={"chore": [minutes(30)], NIGHTLY.name: [minutes(300)]})

    assert (found.duties.late, found.duties.late_for_research) == (1, 1)


def test_a_duty_without_an_instant_is_late_from_when_only_others_runs_stand_in_its_way() -> None:
    # Due at 20:55, when its window begins; it starts at 21:20, 25 minutes later.
    once = duty(window="20:55..22:00", conflicts={"chore"})

    found = measured(once, CHORE, fortunes={"chore": [minutes(30)]})

    assert (found.duties.late, found.duties.late_for_research) == (1, 0)
    assert found.duties.worst_s == {"chore": 0, "duty": pytest.approx(25 * 60, abs=1)}


def test_a_duty_within_its_tolerance_is_not_late() -> None:
    patient = duty(at="21:00", conflicts={"chore"}, tolerance=timedelta(minutes=21))

    found = measured(patient, CHORE, NIGHTLY, fortunes={"chore": [minutes(30)]})

    assert (found.duties.late, found.duties.late_for_research) == (0, 0)


def test_a_deadline_is_met_by_a_success_before_it_whatever_failed_on_the_way() -> None:
    # Due at 21:00 for 22:00. In turn: 30 minutes; a failure, then 20 minutes; 70 minutes, though expected 5.
    def deadlines(*fortunes: Fortune) -> object:
        due = TaskSpec(name="due", at="21:00", deadline="22:00", max_attempts=2)
        return report(due, fortunes={"due": fortunes})["deadlines"]

    assert deadlines(minutes(30)) == {"met": 1, "missed": 0}
    assert deadlines(minutes(10, exit_code=1), minutes(20)) == {"met": 1, "missed": 0}
    assert deadlines(minutes(70)) == {"met": 0, "missed": 1}


# --- the box ------------------------------------------------------------------------------------------------


def test_slots_and_memory_are_means_over_time() -> None:
    # One run of 5 h in 10 h, of 4 slots: half a slot. 100 MB are promised for half of the time.
    found = report(NIGHTLY.but(memory_mb=100), fortunes={NIGHTLY.name: [minutes(300)]})

    assert found["slots"] == {
        "mean_used": pytest.approx(0.5),
        "share": pytest.approx(0.125),
        "research_share": pytest.approx(0.125),
    }
    assert found["memory"]["promised_peak_mb"] == 100
    assert found["memory"]["promised_mean_mb"] == pytest.approx(50)
    # 4000 less 400 of others, less what a run uses by then.
    assert 3550 <= found["memory"]["available_least_mb"] <= 3600


def test_memory_is_promised_from_a_start_on_and_not_before_it() -> None:
    # Nothing until the chore of 20:50, which holds its 100 MB for half an hour of 10 h.
    found = report(CHORE.but(memory_mb=100), fortunes={"chore": [minutes(30)]})

    assert found["memory"]["promised_mean_mb"] == pytest.approx(100 * 0.5 / 10)


def test_memory_is_looked_at_as_runs_end_when_they_use_the_most() -> None:
    # Two runs of 3 h from 18:00 grow to 1500 and 1200 MB together; no turn falls between start and end.
    big = {"timeout_minutes": 0, "memory_mb": 1600}
    fortunes = {"a": [Fortune(180, 1500)], "b": [Fortune(180, 1200)]}

    found = report(research("a", **big), research("b", **big), fortunes=fortunes)

    assert found["memory"]["available_least_mb"] == pytest.approx(3600 - 2700, abs=1)


def test_use_above_what_there_is_between_two_turns_is_a_memory_conflict() -> None:
    box = BoxMeter(measured(end=DUSK + timedelta(hours=1)).room)

    for used in (3600, 3601, 3500):
        box.note_use(used)

    assert (box.memory_conflicts, box.available_least_mb) == (1, 0)


def test_a_memory_conflict_is_a_turn_that_promised_or_used_more_than_there_is() -> None:
    # 4000 - 400 of others - 300 in reserve = 3300 may be promised, 3600 used.
    box = BoxMeter(measured(end=DUSK + timedelta(hours=1)).room)

    for promised, used in ((3300, 3000), (3301, 3000), (3000, 3600), (3000, 3601)):
        box.note_turn(promised, used, available_mb=0)

    assert box.memory_conflicts == 2


def test_a_start_beside_what_it_conflicts_with_is_an_overlap() -> None:
    found = measured(NIGHTLY, FILLER, end=DUSK + timedelta(hours=1))
    starts = tuple(
        StartRun(
            key=RunKey(task, "2026-11-20", "once", 1),
            memory_mb=1,
            cpus=1,
            prediction=Prediction(1, 1),
            predicted_end=PREP,
        )
        for task in ("run_nightly_research", "filler")
    )
    stretch = CALENDARS.stretch(DUSK)
    found._open.clear()

    found.watch(
        Decision(
            at=PREP,
            stretch=stretch,
            budget=stretch.budget_at(DUSK),
            actions=starts,
            blocked={},
            wake_at=PREP,
        )
    )

    assert found.overlaps == 1, "the filler names the other as a conflict"


def test_hours_of_waiting_are_told_by_reason() -> None:
    # The filler waits 5 h for the core's end; with a free slot, but not ready.
    found = report(NIGHTLY, FILLER, fortunes={NIGHTLY.name: [minutes(300)], "filler": [minutes(60)]})

    assert found["waiting_hours"] == {"CONFLICT": pytest.approx(5)}
    assert found["idle_hours_with_ready_task"] == 0


def test_hours_that_a_policy_leaves_idle_with_a_ready_task_are_counted() -> None:
    # Phases fill no idle time: ready from the first turn to the last, for 10 h.
    found = report(FILLER, policy=PHASES)

    assert found["waiting_hours"] == {"RESERVED": pytest.approx(10)}
    assert found["idle_hours_with_ready_task"] == pytest.approx(10)


def test_a_task_passed_over_for_more_than_a_day_is_starved_and_a_filler_has_no_claim() -> None:
    # The core runs for 30 h; both others conflict with it.
    waits = research("waits", conflicts={WEEKEND.name}, phases={"WEEKEND"}, priority=LOW)
    fills = research("fills", conflicts={WEEKEND.name}, phases={"WEEKEND"}, priority=LOW, opportunistic=True)
    span = {"begin": FRIDAY_DUSK, "end": MONDAY_PREP}

    long = report(WEEKEND, waits, fills, fortunes={WEEKEND.name: [minutes(1800)]}, **span)
    short = report(WEEKEND, waits, fills, fortunes={WEEKEND.name: [minutes(1200)]}, **span)

    assert long["starved"] == ["waits"]
    assert short["starved"] == []


def test_predictions_are_held_against_runs_that_ended_by_themselves() -> None:
    # At 19:00, 20:00 and 21:00; the one that failed says nothing.
    hourly = TaskSpec(name="hourly", every=timedelta(hours=1), window="19:00..21:30")
    found = measured(hourly, fortunes={"hourly": [minutes(6), minutes(3, exit_code=1), minutes(6)]})

    counted, within, unused, used = found.predictions["hourly"].tally()

    # The first run is left out: one run of 6 minutes is left, within what the first taught.
    assert (counted, within) == (1, 1)
    assert used == pytest.approx(6)
    assert unused > 0


# --- the demand ---------------------------------------------------------------------------------------------


def test_a_night_in_which_all_is_finished_takes_its_least_time() -> None:
    found = report(NIGHTLY, fortunes={NIGHTLY.name: [minutes(480)]})["demand"]

    assert (found["windows"], found["demanded"], found["finished"], found["share"]) == (1, 1, 1, 1)
    assert found["hours_demanded"] == found["hours_finished"] == pytest.approx(8)
    assert found["mean_hours_to_finish"] == pytest.approx(8)
    assert found["time_ratio"] == pytest.approx(1)
    assert found["bound"] == {
        "finished": 1,
        "share": 1,
        "hours_finished": pytest.approx(8),
        "mean_hours_to_finish": pytest.approx(8),
    }


def test_what_no_scheduler_could_finish_is_not_missed() -> None:
    # 6 h lost and 8 h needed, of 10.
    found = report(NIGHTLY, fortunes={NIGHTLY.name: [minutes(360, exit_code=1), minutes(480)]})["demand"]

    assert (found["finished"], found["bound"]["finished"], found["missed_though_possible"]) == (0, 0, [])
    assert found["hours_demanded"] == pytest.approx(8)
    assert found["time_ratio"] is None


def test_what_could_have_been_finished_is_missed_with_what_became_of_it() -> None:
    # The chore holds a conflict for 3 h of the 10: 7 are left for 8.
    chore = TaskSpec(
        name="chore",
        conflicts={NIGHTLY.name},
        phases={"OVERNIGHT"},
        priority=TaskPriority.HIGH,
        timeout_minutes=0,
    )

    found = report(
        NIGHTLY,
        chore,
        fortunes={NIGHTLY.name: [minutes(480)], "chore": [minutes(180)]},
        end=ny("2026-11-20T08:00"),
    )["demand"]

    assert found["missed_though_possible"] == [
        {
            "window": "2026-11-20/overnight",
            "task": "run_nightly_research",
            "why": "checkpointed after 7.0 h; waited 3.0 h for CONFLICT",
        }
    ]


def test_a_run_that_ends_after_the_window_has_not_finished_in_it() -> None:
    # Phases let it go on: 11 h end an hour into PREP.
    found = report(
        NIGHTLY, fortunes={NIGHTLY.name: [minutes(660)]}, policy=PHASES, end=ny("2026-11-20T06:00")
    )["demand"]

    assert (found["demanded"], found["finished"]) == (1, 0)


def test_a_weekend_is_asked_for_everything_and_a_bound_honours_conflicts() -> None:
    # 36 h of research and half an hour that conflicts with it: one after the other, 36.5 h of 56.
    candidates = research("validate_candidates", conflicts={WEEKEND.name}, phases={"WEEKEND"})
    fortunes = {WEEKEND.name: [minutes(2160)], "validate_candidates": [minutes(30)]}

    found = report(WEEKEND, candidates, fortunes=fortunes, begin=FRIDAY_DUSK, end=MONDAY_PREP)["demand"]

    assert (found["demanded"], found["finished"]) == (2, 2)
    assert found["bound"]["mean_hours_to_finish"] == pytest.approx(36.5)
    assert found["time_ratio"] == pytest.approx(1, abs=1e-4)


# --- special days and the timeline --------------------------------------------------------------------------


def test_special_days_are_named_with_the_window_they_lie_in_or_lead_to() -> None:
    found = measured(begin=ny("2026-11-23T00:00"), end=ny("2026-12-01T00:00")).report(None)["special_days"]

    assert [(day["day"], day["what"], day["window"]) for day in found] == [  # type: ignore[attr-defined]  # a list
        ("2026-11-26", "Thanksgiving", "2026-11-27/holiday"),
        ("2026-11-27", "half day", "2026-11-30/weekend"),
    ]


def test_clock_changes_are_special_days() -> None:
    # 2026: forward on 8 March, back on 1 November.
    spring = measured(begin=ny("2026-03-06T00:00"), end=ny("2026-03-10T00:00")).report(None)["special_days"]
    autumn = measured(begin=ny("2026-10-30T00:00"), end=ny("2026-11-03T00:00")).report(None)["special_days"]

    assert [(d["day"], d["what"]) for d in spring] == [("2026-03-08", "clocks go forward")]  # type: ignore[attr-defined]
    assert [(d["day"], d["what"]) for d in autumn] == [("2026-11-01", "clocks go back")]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("day", "name"),
    [
        # The exchange's holidays of 2026 and of years in which one moves (nyse.com).
        ("2026-01-01", "New Year"),
        ("2026-01-19", "Martin Luther King Day"),
        ("2026-02-16", "Presidents' Day"),
        ("2026-04-03", "Good Friday"),
        ("2026-05-25", "Memorial Day"),
        ("2026-06-19", "Juneteenth"),
        ("2026-07-03", "Independence Day"),
        ("2026-09-07", "Labor Day"),
        ("2026-11-26", "Thanksgiving"),
        ("2026-12-25", "Christmas"),
        ("2027-06-18", "Juneteenth"),
        ("2023-01-02", "New Year"),
        ("2025-01-09", "holiday"),  # a day of national mourning
    ],
)
def test_holidays_have_their_names(day: str, name: str) -> None:
    assert holiday_name(date.fromisoformat(day)) == name


@pytest.mark.parametrize("day", ["2024-03-31", "2025-04-20", "2026-04-05", "2027-03-28", "2038-04-25"])
def test_easter_is_where_the_almanac_has_it(day: str) -> None:
    assert easter(int(day[:4])).isoformat() == day


def test_a_timeline_shows_runs_by_kind_and_leaves_out_what_recurs_every_few_minutes() -> None:
    minute = duty("minute", every=timedelta(minutes=1))
    chore = TaskSpec(name="upkeep", at="20:50", estimated_minutes=30)
    hourly = duty("hourly", at="21:00")

    found = report(
        NIGHTLY,
        FILLER,
        minute,
        hourly,
        chore,
        fortunes={NIGHTLY.name: [minutes(300)], "filler": [minutes(60)]},
    )["timeline"]

    assert [(run["task"], run["kind"], run["outcome"]) for run in found["runs"]] == [
        ("run_nightly_research", "core", "succeeded"),
        ("upkeep", "upkeep", "succeeded"),
        ("hourly", "duty", "succeeded"),
        ("filler", "filler", "succeeded"),
    ]
    assert found["runs"][0]["start"] == "2026-11-19T23:00:00+00:00"
    assert found["modes"] == [
        {"mode": "research", "start": "2026-11-19T23:00:00+00:00", "end": "2026-11-20T09:00:00+00:00"}
    ]
