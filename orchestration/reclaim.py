"""Making room for a duty, and letting a run go on: which research runs stop, just enough of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from orchestration.compiled import CompiledSpec
from orchestration.decisions import Resources
from orchestration.gates import Hold, Ledger
from orchestration.runs import ActiveRun


def victims(
    duty: CompiledSpec,
    need_mb: float,
    ledger: Ledger,
    resources: Resources,
    compiled: Mapping[str, CompiledSpec],
) -> list[ActiveRun] | None:
    """Return the least important research runs whose end lets `duty` start; an empty list when it already
    can; None when no ending of research would do.

    Runs that conflict with it go first, then from the least important, the youngest first (the least work
    is lost). Runs that are stopping already count as gone.
    """
    if _has_room(duty, need_mb, ledger):
        return []
    slots, memory = ledger.free_slots, ledger.free_mb
    conflicting = {name for name in duty.conflicts if name in ledger.running}
    candidates = []
    for run in ledger.running.values():
        in_the_way = run.pool == ledger.pool or run.task in conflicting
        if run.stopping is not None:
            freed = ledger.freed_by(run, resources.used_mb)
            slots, memory = slots + freed[0], memory + freed[1]
            conflicting.discard(run.task)
        elif in_the_way and run.task in compiled and compiled[run.task].is_research:
            candidates.append(run)
    candidates.sort(
        key=lambda r: (
            r.task not in conflicting,
            compiled[r.task].spec.priority,
            -r.started_at.timestamp(),
            r.task,
        )
    )
    chosen: list[ActiveRun] = []
    for run in candidates:
        if not conflicting and slots >= duty.spec.cpus and memory >= need_mb:
            break
        chosen.append(run)
        freed = ledger.freed_by(run, resources.used_mb)
        slots, memory = slots + freed[0], memory + freed[1]
        conflicting.discard(run.task)
    if conflicting or slots < duty.spec.cpus or memory < need_mb:
        return None
    return _without_needless(chosen, duty, need_mb, (slots, memory), ledger, resources)


def _has_room(duty: CompiledSpec, need_mb: float, ledger: Ledger) -> bool:
    """Return whether nothing need end for it; what else ends only adds room."""
    enough = ledger.free_slots >= duty.spec.cpus and ledger.free_mb >= need_mb
    return enough and duty.conflicts.isdisjoint(ledger.running)


def _without_needless(
    chosen: list[ActiveRun],
    duty: CompiledSpec,
    need_mb: float,
    free: tuple[int, float],
    ledger: Ledger,
    resources: Resources,
) -> list[ActiveRun]:
    """Drop from the chosen runs each one that the later choices made needless: just enough of them."""
    kept, (slots, memory) = list(chosen), free
    for run in chosen:
        freed = ledger.freed_by(run, resources.used_mb)
        enough = slots - freed[0] >= duty.spec.cpus and memory - freed[1] >= need_mb
        if run.task not in duty.conflicts and enough:
            kept.remove(run)
            slots, memory = slots - freed[0], memory - freed[1]
    return kept


def obstructing(
    duty: CompiledSpec,
    need_mb: float,
    at: datetime,
    ledger: Ledger,
    resources: Resources,
    compiled: Mapping[str, CompiledSpec],
) -> list[ActiveRun] | None:
    """Return the research runs to stop so that `duty` can start at `at`. Other runs that are predicted to
    have ended by then count as gone; research does not, since a prediction is no promise to a duty. None when
    no ending of research would do."""
    if _has_room(duty, need_mb, ledger):
        return []
    later = replace(ledger, running=dict(ledger.running))
    for run in ledger.running.values():
        is_research = run.task in compiled and compiled[run.task].is_research
        if not is_research and run.predicted_end <= at:
            del later.running[run.task]
            freed = ledger.freed_by(run, resources.used_mb)
            later.free_slots, later.free_mb = later.free_slots + freed[0], later.free_mb + freed[1]
    return victims(duty, need_mb, later, resources, compiled)


def duty_hold(
    duty: CompiledSpec,
    need_mb: float,
    at: datetime,
    lead: timedelta,
    ledger: Ledger,
    resources: Resources,
) -> Hold:
    """Return the reservation ahead for a duty due at `at`: what it leaves free then, `lead` (stop time and
    grace) included."""
    slots, memory = ledger.free_slots, ledger.free_mb
    for run in ledger.running.values():
        if run.predicted_end <= at - lead:
            freed = ledger.freed_by(run, resources.used_mb)
            slots, memory = slots + freed[0], memory + freed[1]
    return Hold(duty.name, at - lead, slots - duty.spec.cpus, memory - need_mb, duty.conflicts)


def may_extend(run: ActiveRun, c: CompiledSpec, now: datetime, prep_start: datetime, wanted: bool) -> bool:
    """Whether an extendable run past its estimate goes on: while its window lasts and nothing more important
    waits for its place (`wanted`)."""
    return c.spec.extendable and run.stopping is None and now < prep_start and not wanted
