"""The agenda saves work between turns and never changes the answer."""

from __future__ import annotations

from datetime import timedelta

from orchestration.agenda import Agenda
from orchestration.compiled import chain_lengths, conflicts_of
from orchestration.decisions import Decision, Reason
from orchestration.policies import policy_for
from orchestration.runs import SchedulerState, TaskRecord
from orchestration.types import TaskSpec
from tests.calendars import ny
from tests.unit.deciding import CALENDARS, NIGHT, UNIFIED, duty, reasons, remembering, started, turn

SPECS = (
    TaskSpec(name="daily", window="pre..post", deadline="close", estimated_minutes=1),
    TaskSpec(name="weekly", once_per="week", phases={"WEEKEND"}),  # type: ignore[arg-type]  # text is taken
    TaskSpec(name="clock", at="close+10m"),
    TaskSpec(name="grid", every=timedelta(hours=5), deadline="close", estimated_minutes=1),
    duty("minute", every=timedelta(minutes=1), window="open..close"),
)


def answers(decision: Decision) -> object:
    return decision.actions, {task: blocked.failures for task, blocked in decision.blocked.items()}


def test_a_box_that_stays_up_for_two_months_decides_as_one_that_was_just_started() -> None:
    agenda, at = Agenda(), ny("2026-09-01T12:00")

    for _ in range(130):
        for state in (SchedulerState(), remembering(grid=TaskRecord(attempts=1))):
            kept, fresh = (turn(*SPECS, at=at, state=state, agenda=used) for used in (agenda, None))
            assert answers(kept) == answers(fresh), at
        at += timedelta(hours=11)


def test_an_agenda_that_is_asked_about_the_past_looks_again() -> None:
    agenda = Agenda()
    turn(*SPECS, at=ny("2026-11-20T12:00"), agenda=agenda)

    back = turn(*SPECS, at=ny("2026-11-18T03:00"), agenda=agenda)

    assert answers(back) == answers(turn(*SPECS, at=ny("2026-11-18T03:00")))


def test_an_agenda_leaps_over_weeks_in_which_nobody_asked() -> None:
    agenda = Agenda()
    turn(*SPECS, at=ny("2026-09-01T12:00"), agenda=agenda)

    later = turn(*SPECS, at=ny("2026-11-18T03:00"), agenda=agenda)

    assert answers(later) == answers(turn(*SPECS, at=ny("2026-11-18T03:00")))


def test_a_pause_is_seen_at_once() -> None:
    agenda, spec = Agenda(), TaskSpec(name="job")

    before = turn(spec, at=NIGHT, agenda=agenda)
    paused = turn(spec, at=NIGHT, agenda=agenda, state=SchedulerState(paused="all"))
    resumed = turn(spec, at=NIGHT, agenda=agenda)

    assert [started(d) for d in (before, paused, resumed)] == [["job"], [], ["job"]]
    assert reasons(paused, "job") == [Reason.PAUSED]


def test_a_changed_record_and_a_changed_policy_are_seen_at_once() -> None:
    agenda = Agenda()
    spec = TaskSpec(name="job", modes={"trading"})
    fresh, timetable = SchedulerState(), policy_for("timetable")

    blocked = turn(spec, at=NIGHT, agenda=agenda, state=fresh)
    # Under the timetable modes are not looked at.
    free = turn(spec, at=NIGHT, agenda=agenda, state=fresh, policy=timetable)
    unknown = turn(spec, at=NIGHT, agenda=agenda, state=remembering(job=TaskRecord(unknown_since=NIGHT)))

    assert reasons(blocked, "job") == [Reason.WRONG_MODE]
    assert started(free) == ["job"]
    assert reasons(unknown, "job") == [Reason.NEEDS_RECONCILE]


def test_nothing_is_worked_out_again_while_nothing_can_have_changed() -> None:
    agenda, specs, state = Agenda(), {"job": TaskSpec(name="job", window="02:00..03:00")}, SchedulerState()
    agenda.refresh(UNIFIED, specs, CALENDARS, state, NIGHT)
    first = agenda.by_name["job"].timing
    agenda.refresh(UNIFIED, specs, CALENDARS, state, NIGHT + timedelta(minutes=1))

    assert agenda.by_name["job"].timing is first


def test_conflicts_hold_both_ways_and_with_itself() -> None:
    specs = {"a": TaskSpec(name="a", conflicts={"b", "gone"}), "b": TaskSpec(name="b")}

    assert conflicts_of(specs) == {"a": {"a", "b", "gone"}, "b": {"a", "b"}}


def test_a_chain_counts_the_tasks_that_wait_one_after_another() -> None:
    # a <- b <- c and a <- d: two wait behind a, one behind b.
    specs = {
        "a": TaskSpec(name="a"),
        "b": TaskSpec(name="b", dependencies={"a"}),
        "c": TaskSpec(name="c", dependencies={"b"}),
        "d": TaskSpec(name="d", dependencies={"a", "elsewhere"}),
    }

    assert chain_lengths(specs) == {"a": 2, "b": 1, "c": 0, "d": 0}
