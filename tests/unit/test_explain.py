"""Why a task does not run: every failing gate with its numbers, and the next instant it could."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestration.decisions import Gate, Reason
from orchestration.explain import sentence
from orchestration.runs import SchedulerState, TaskRecord
from orchestration.types import OncePer, TaskPriority, TaskSpec
from tests.calendars import ny
from tests.unit.deciding import NIGHT, SESSION, active, box, known, remembering, research, why


def test_every_failing_gate_is_listed_the_worst_first_with_its_numbers() -> None:
    # Friday 11:00. 3600 - 300 - 200 kept for duties = 3100 MB; 4 - 1 - 1 slots.
    spec = TaskSpec(
        name="job",
        phases={"WEEKEND"},
        dependencies={"first"},
        conflicts={"other"},
        needs={"network"},
        memory_mb=3500,
        cpus=3,
    )
    other = TaskSpec(name="other")

    found = why(
        "job",
        spec,
        other,
        at=SESSION,
        state=known(active("other", SESSION, mb=0)),
        resources=box(network_up=None),
    )

    assert found.status == "waiting"
    assert [gate.reason for gate in found.failures] == [
        *(Reason.WRONG_PHASE, Reason.DEPENDENCY, Reason.NO_NETWORK),
        *(Reason.CONFLICT, Reason.MEMORY, Reason.SLOTS),
    ]
    assert [(gate.needed, gate.available) for gate in found.failures[-2:]] == [(3500, 3100), (3, 2)]
    assert found.next_at == ny("2026-11-20T18:00")


def test_a_task_that_nothing_stands_in_the_way_of_is_ready_now() -> None:
    found = why("job", TaskSpec(name="job"), at=NIGHT)

    assert (found.status, found.failures, found.next_at) == ("ready", (), NIGHT)


def test_a_running_task_needs_no_reason() -> None:
    found = why("job", TaskSpec(name="job"), at=NIGHT, state=known(active("job", NIGHT)))

    assert (found.status, found.failures, found.next_at) == ("running", (), None)


def test_what_is_less_important_takes_no_room_and_what_is_more_important_does() -> None:
    big = TaskSpec(name="big", memory_mb=3000)
    less = TaskSpec(name="less", memory_mb=3000, priority=TaskPriority.LOW)

    first = why("big", big, less, at=NIGHT)
    second = why("less", big, less, at=NIGHT)

    assert first.status == "ready"
    assert {gate.reason for gate in second.failures} == {Reason.MEMORY}


@pytest.mark.parametrize(
    ("spec", "next_at"),
    [
        # The last trading day of November's week is Friday the 20th; on a Thursday evening that is tomorrow.
        (TaskSpec(name="job", on="last trading of week", window="close..post"), "2026-11-20T16:00"),
        # Gates of the calendar combine: WEEKEND from Friday 18:00, 02:00 on Saturday.
        (TaskSpec(name="job", phases={"WEEKEND"}, window="02:00..03:00"), "2026-11-21T02:00"),
        (TaskSpec(name="job", every=timedelta(hours=1), window="open..close"), "2026-11-20T09:30"),
        (TaskSpec(name="job", at="close+10m"), "2026-11-20T16:10"),
    ],
)
def test_the_next_instant_is_when_its_timing_lets_it_run(spec: TaskSpec, next_at: str) -> None:
    assert why("job", spec, at=NIGHT).next_at == ny(next_at)


def test_the_next_instant_of_a_task_in_backoff_is_its_end() -> None:
    record = TaskRecord(not_before=NIGHT + timedelta(minutes=7))

    found = why("job", TaskSpec(name="job"), at=NIGHT, state=remembering(job=record))

    assert found.next_at == NIGHT + timedelta(minutes=7)


@pytest.mark.parametrize(
    "spec",
    [
        TaskSpec(name="job", on="first trading of quarter"),
        TaskSpec(name="job", enabled=False),
        TaskSpec(name="job", every=timedelta(minutes=1), on="first trading of quarter"),
    ],
)
def test_a_task_that_does_not_come_within_the_horizon_has_no_next_instant(spec: TaskSpec) -> None:
    assert why("job", spec, at=NIGHT).next_at is None


def test_a_paused_minute_task_is_not_searched_for_ever() -> None:
    spec = TaskSpec(name="job", once_per=OncePer.PHASE)

    found = why("job", spec, at=NIGHT, state=SchedulerState(paused="all"))

    assert [gate.reason for gate in found.failures] == [Reason.PAUSED]
    assert found.next_at is None


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(KeyError):
        why("jub", TaskSpec(name="job"), at=NIGHT)


def test_research_in_trading_hours_is_told_the_mode_and_not_the_budget() -> None:
    found = why("research", research(), at=SESSION)

    assert [gate.reason for gate in found.failures] == [Reason.WRONG_MODE]
    assert found.next_at == ny("2026-11-20T18:00")


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        (Gate(Reason.DISABLED, False), "DISABLED"),
        (Gate(Reason.MEMORY, False, "MB", 500.0, 312.5), "MEMORY: MB (needs 500, has 312.5)"),
        (Gate(Reason.SLOTS, False, "slots", 3), "SLOTS: slots (needs 3)"),
        (
            Gate(Reason.NOT_DUE, False, "every 0:30:00", clears_at=ny("2026-11-20T10:00")),
            "NOT_DUE: every 0:30:00, until 2026-11-20T15:00:00Z",
        ),
    ],
)
def test_a_gate_is_said_in_one_line(gate: Gate, line: str) -> None:
    assert sentence(gate) == line


def test_a_search_that_leads_nowhere_ends() -> None:
    # No minute of the day leaves ten hours before the close.
    spec = TaskSpec(
        name="job",
        every=timedelta(minutes=1),
        window="open..close",
        deadline="close",
        estimated_minutes=600,
        timeout_minutes=700,
    )

    assert why("job", spec, at=ny("2026-11-20T09:30")).next_at is None
