"""Which research runs make room for a duty: the least important, the youngest, just enough of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestration.compiled import CompiledSpec, compile_spec, conflicts_of
from orchestration.decisions import Room
from orchestration.gates import Ledger, open_ledger, remote_ledger
from orchestration.reclaim import duty_hold, may_extend, obstructing, victims
from orchestration.runs import ActiveRun, StopCause
from orchestration.types import TaskPriority, TaskSpec
from tests.unit.deciding import CALENDARS, NIGHT, UNIFIED, active, box, duty, known, research

NIGHT_STRETCH = CALENDARS.stretch(NIGHT)
LOW = TaskPriority.LOW


def compiled(*specs: TaskSpec) -> dict[str, CompiledSpec]:
    found = {spec.name: compile_spec(spec, CALENDARS, UNIFIED) for spec in specs}
    for name, others in conflicts_of({spec.name: spec for spec in specs}).items():
        found[name].conflicts = others
    return found


def ledger(*runs: ActiveRun) -> Ledger:
    # 3600 - 300 in reserve - what was promised; four slots.
    return open_ledger(known(*runs), box(), UNIFIED.rules, NIGHT_STRETCH)


def chosen(spec: TaskSpec, specs: tuple[TaskSpec, ...], runs: tuple[ActiveRun, ...]) -> list[str] | None:
    all_ = compiled(spec, *specs)
    found = victims(all_[spec.name], spec.memory_mb, ledger(*runs), box(), all_)
    return None if found is None else [run.task for run in found]


def test_nothing_is_stopped_for_a_duty_that_has_room() -> None:
    assert chosen(duty(memory_mb=2300), (research(),), (active("research", NIGHT, mb=1000),)) == []


def test_the_least_important_goes_first_and_the_youngest_of_equals() -> None:
    # 3300 - 3 * 1000 = 300; 1300 needed: one run's memory.
    specs = research("old"), research("young"), research("low", priority=LOW)
    old, low = active("old", NIGHT - timedelta(hours=2), mb=1000), active("low", NIGHT, mb=1000)
    young = active("young", NIGHT - timedelta(hours=1), mb=1000)

    assert chosen(duty(memory_mb=1300), specs, (old, young, low)) == ["low"]
    assert chosen(duty(memory_mb=2300), specs, (old, young, low)) == ["low", "young"]


def test_what_a_larger_run_makes_needless_goes_on() -> None:
    # 3300 - 100 - 2500 = 700; 3000 needed: the LOW run's 100 do not help, the large one's 2500 do alone.
    specs = research("small", priority=LOW), research("large")
    runs = active("small", NIGHT, mb=100), active("large", NIGHT, mb=2500)

    assert chosen(duty(memory_mb=3000), specs, runs) == ["large"]


def test_a_run_in_conflict_goes_before_all_others_and_is_never_needless() -> None:
    specs = research("low", priority=LOW), research("rival", conflicts={"duty"})
    runs = active("low", NIGHT, mb=100), active("rival", NIGHT, mb=100)

    assert chosen(duty(), specs, runs) == ["rival"]


def test_a_run_that_is_stopping_counts_as_gone() -> None:
    specs = research("leaving", conflicts={"duty"}), research("other")
    leaving = active("leaving", NIGHT, mb=1500, stopping=StopCause.RECLAIM)

    assert chosen(duty(memory_mb=1800), specs, (leaving, active("other", NIGHT, mb=1500))) == []


def test_slots_are_room_too() -> None:
    specs = research("wide"), research("narrow")
    runs = active("wide", NIGHT - timedelta(hours=1), cpus=3), active("narrow", NIGHT, cpus=1)

    # The youngest is narrow: one slot; two are needed, so wide goes and narrow stays.
    assert chosen(duty(cpus=2), specs, runs) == ["wide"]


@pytest.mark.parametrize(
    "spec",
    [duty(memory_mb=3301), duty(cpus=5), duty(conflicts={"chore"})],
    ids=["memory", "slots", "conflict"],
)
def test_none_is_stopped_where_no_ending_of_research_would_do(spec: TaskSpec) -> None:
    specs = research(), TaskSpec(name="chore")

    assert chosen(spec, specs, (active("research", NIGHT), active("chore", NIGHT, mb=0))) is None


def test_a_run_of_another_pool_gives_no_room_here_but_its_conflict_counts() -> None:
    far = active("far", NIGHT, mb=9000, cpus=8, pool="cluster")
    specs = (research("far", pool="cluster"),)

    assert chosen(duty(memory_mb=3301), specs, (far,)) is None
    assert chosen(duty(conflicts={"far"}), specs, (far,)) == ["far"]


def test_a_pool_elsewhere_has_what_our_runs_there_leave() -> None:
    far, near = active("far", NIGHT, mb=9000, cpus=6, pool="cluster"), active("near", NIGHT, mb=500)

    there = remote_ledger("cluster", Room(slots=8, memory_mb=16_000), {"far": far, "near": near})

    assert (there.free_slots, there.free_mb, there.kept_mb, there.kept_slots) == (2, 7000, 0, 0)


def test_before_a_duty_is_due_other_runs_that_will_have_ended_count_as_gone_but_research_does_not() -> None:
    # 3300 - 1500 - 1500 = 300; 1800 needed in an hour, when both are predicted to have ended.
    spec = duty(memory_mb=1800)
    all_ = compiled(spec, research(), TaskSpec(name="chore"))
    in_an_hour = NIGHT + timedelta(hours=1)
    chore, study = active("chore", NIGHT, mb=1500), active("research", NIGHT, mb=1500)
    longer = active("chore", NIGHT, minutes=61, mb=1500)

    gone = obstructing(all_["duty"], 1800, in_an_hour, ledger(chore, study), box(), all_)
    there = obstructing(all_["duty"], 1800, in_an_hour, ledger(longer, study), box(), all_)
    more = obstructing(all_["duty"], 1900, in_an_hour, ledger(longer, study), box(), all_)

    assert gone == []
    assert there == [study]
    assert more is None


def test_a_duty_s_reservation_counts_what_has_ended_before_the_stop_time() -> None:
    spec = duty(memory_mb=1000, cpus=2)
    c = compiled(spec)["duty"]
    ends, stays = active("ends", NIGHT, minutes=59, mb=500), active("stays", NIGHT, minutes=60, mb=700)

    hold = duty_hold(c, 1000, NIGHT + timedelta(hours=1), timedelta(seconds=20), ledger(ends, stays), box())

    # Slots: 4 - 1 - 2 = 1; memory: 3300 - 700 - 1000 = 1600.
    assert (hold.spare_slots, hold.spare_mb) == (1, 1600)
    assert hold.at == NIGHT + timedelta(minutes=59, seconds=40)


def test_an_extendable_run_goes_on_while_its_window_lasts_and_nobody_waits() -> None:
    yes, no = compiled(research(extendable=True))["research"], compiled(research())["research"]
    run, stopping = active("research", NIGHT), active("research", NIGHT, stopping=StopCause.RECLAIM)
    prep = NIGHT_STRETCH.prep_start

    assert may_extend(run, yes, NIGHT, prep, wanted=False)
    assert not may_extend(run, yes, NIGHT, prep, wanted=True)
    assert not may_extend(run, yes, prep, prep, wanted=False)
    assert not may_extend(stopping, yes, NIGHT, prep, wanted=False)
    assert not may_extend(run, no, NIGHT, prep, wanted=False)
