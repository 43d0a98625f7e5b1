"""What must hold in every week of every box: the loop is run in virtual time over random specs, durations,
failures, clock steps and power cuts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestration.compiled import conflicts_of
from orchestration.decide import decide
from orchestration.decisions import Decision, RaiseAlert, Reason, Resources
from orchestration.policies import POLICIES, policy_for
from orchestration.ports import Wake
from orchestration.reports import SessionTables
from orchestration.simulation.box import Simulation, build
from orchestration.simulation.stand_ins import Ended, Happening, LogNormalModel, Started, SteadySensors
from orchestration.types import TaskSpec
from tests.properties.boxes import Box, boxes

DAYS = timedelta(days=5)
FOREIGN_MB = 300.0
week = settings(
    max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
policies = st.sampled_from(sorted(POLICIES))


def simulated(box: Box, policy: str = "unified", happenings: tuple[Happening, ...] = ()) -> Simulation:
    return build(
        box.specs,
        policy_for(policy),
        SessionTables(),
        box.start,
        model=LogNormalModel(seed=box.seed, failure_rate=box.failure_rate),
        sensors=SteadySensors(total_mb=box.total_mb, slots=box.slots, foreign_mb=FOREIGN_MB),
        happenings=happenings,
    )


def spans(done: Simulation) -> dict[str, tuple[str, datetime, datetime | None]]:
    """Return task, start and end of every run; asserts that each starts once and ends at most once."""
    found: dict[str, tuple[str, datetime, datetime | None]] = {}
    for event in done.events:
        if isinstance(event, Started):
            assert event.run_id not in found, f"{event.run_id} started twice"
            found[event.run_id] = (event.task, event.at, None)
        else:
            task, started, ended = found[event.run_id]
            assert ended is None, f"{event.run_id} ended twice"
            found[event.run_id] = (task, started, event.at)
    return found


@week
@given(boxes(), policies)
def test_runs_in_conflict_never_overlap_and_each_ends_exactly_once(box: Box, policy: str) -> None:
    done = simulated(box, policy)

    done.run_until(box.start + DAYS)

    conflicts = conflicts_of(box.specs)
    open_runs: list[tuple[str, datetime, datetime | None]] = []
    for run in sorted(spans(done).values(), key=lambda run: run[1]):
        open_runs = [other for other in open_runs if other[2] is None or other[2] > run[1]]
        assert not [other for other in open_runs if other[0] in conflicts[run[0]]], run
        open_runs.append(run)
    still_open = {run_id for run_id, run in spans(done).items() if run[2] is None}
    assert still_open == set(done.runner.runs)


@week
@given(boxes(), policies)
def test_memory_and_slots_promised_never_exceed_what_the_box_has(box: Box, policy: str) -> None:
    done = simulated(box, policy)

    def check(decision: Decision) -> None:
        running = done.loop.state.running_tasks.values()
        assert sum(run.cpus for run in running) <= box.slots
        rules = done.loop.policy.rules
        assert sum(run.reserved_mb for run in running) <= box.total_mb - FOREIGN_MB - rules.reserve_mb + 1e-6

    done.watch = check
    done.run_until(box.start + DAYS)


@week
@given(boxes())
def test_no_task_starts_before_its_dependency_succeeded_in_the_same_cycle(box: Box) -> None:
    done = simulated(box)

    done.run_until(box.start + DAYS)

    calendars = done.loop.calendars
    succeeded: set[tuple[str, str]] = set()
    for event in done.events:
        if isinstance(event, Ended):
            if event.exit.exit_code == 0:
                succeeded.add((event.task, event.run_id.split(".")[1]))
            continue
        now_in = calendars.stretch(event.at).cycle.isoformat()
        for dependency in box.specs[event.task].dependencies:
            assert (dependency, now_in) in succeeded, f"{event.run_id} without {dependency} in {now_in}"


@week
@given(boxes())
def test_research_never_makes_a_duty_late(box: Box) -> None:
    """Each duty's slots start as early with the research tasks as without them, but for its tolerance."""
    without = replace(box, specs={n: s for n, s in box.specs.items() if not s.is_research})
    without = replace(without, specs={n: _only_known(s, without.specs) for n, s in without.specs.items()})

    both, alone = lateness(simulated(box), box), lateness(simulated(without), box)

    for name in (n for n, s in without.specs.items() if s.is_duty):
        tolerance = box.specs[name].tolerance.total_seconds()
        worst_alone = max(alone.get(name, [0.0]))
        worst_both = max(both.get(name, [0.0]))
        assert worst_both <= worst_alone + tolerance, name
        assert len(both.get(name, [])) >= len(alone.get(name, [])), f"{name} missed slots"


def lateness(simulation: Simulation, box: Box) -> dict[str, list[float]]:
    """Return, by task, how many seconds after its instant each run started that had one."""
    late: dict[str, list[float]] = {}

    def note(decision: Decision) -> None:
        for start in decision.starts:
            if start.due_at is not None:
                late.setdefault(start.key.task, []).append((decision.at - start.due_at).total_seconds())

    simulation.watch = note
    simulation.run_until(box.start + DAYS)
    return late


def _only_known(spec: TaskSpec, known: dict[str, TaskSpec]) -> TaskSpec:
    return spec.but(dependencies=spec.dependencies & known.keys(), conflicts=spec.conflicts & known.keys())


@week
@given(boxes())
def test_an_idle_box_never_leaves_a_task_waiting_its_turn(box: Box) -> None:
    """No deadlock: with nothing running, nothing waits for memory, a slot or a conflict it could have."""
    done = simulated(box)

    def check(decision: Decision) -> None:
        if done.loop.state.running_tasks:
            return
        for blocked in decision.blocked.values():
            reasons = {gate.reason for gate in blocked.failures}
            fits = box.specs[blocked.task].memory_mb <= box.total_mb - FOREIGN_MB - 300 - 200
            if blocked.waits_its_turn and fits:
                assert reasons == {Reason.RESERVED}, blocked

    done.watch = check
    done.run_until(box.start + DAYS)


def load_of(box: Box) -> float:
    """Return the share of the slots' time that the box's tasks ask for: once a day each, or on their grid."""
    a_day = {n: timedelta(days=1) / s.every if s.every else 1.0 for n, s in box.specs.items()}
    minutes = sum(spec.estimated_minutes * a_day[name] for name, spec in box.specs.items())
    return minutes / (24 * 60 * box.slots)


@week
@given(boxes().filter(lambda box: load_of(box) <= 0.4))
def test_a_task_that_may_run_is_not_passed_over_for_ever(box: Box) -> None:
    """Bounded waiting: whatever waits only for its turn has had it within two days, on a box that is not
    asked for more than it has."""
    done = simulated(box)
    longest: dict[str, timedelta] = {}

    def check(decision: Decision) -> None:
        for task, since in done.loop.state.waiting_since.items():
            blocked = decision.blocked.get(task)
            if blocked and {g.reason for g in blocked.failures} <= {Reason.SLOTS, Reason.RESERVED}:
                longest[task] = max(longest.get(task, timedelta()), done.clock.now() - since)

    done.watch = check
    done.run_until(box.start + DAYS)

    assert all(waited <= timedelta(days=2) for waited in longest.values()), longest


@week
@given(boxes(), st.floats(0.001, 0.999), policies)
def test_no_action_is_possible_before_wake_at_without_an_event(box: Box, share: float, policy: str) -> None:
    done = simulated(box, policy)

    def check(decision: Decision) -> None:
        loop = done.loop
        assert loop.resources is not None
        sooner = decision.at + (decision.wake_at - decision.at) * share
        if decision.starts or decision.stops or sooner <= decision.at:
            return
        later = decide(loop.policy, loop.state, sooner, loop.resources, loop.specs, loop.calendars)
        acts = [a for a in later.actions if not isinstance(a, RaiseAlert)]
        assert not acts, f"at {sooner}, woken only at {decision.wake_at}"

    done.watch = check
    done.run_until(box.start + timedelta(days=3))


@week
@given(boxes())
def test_the_agenda_never_changes_the_decision(box: Box) -> None:
    done = simulated(box)
    loop = done.loop

    def check(decision: Decision) -> None:
        assert loop.resources is not None
        now, resources = done.clock.now(), loop.resources
        with_it = decide(loop.policy, loop.state, now, resources, loop.specs, loop.calendars, loop.agenda)
        without = decide(loop.policy, loop.state, now, resources, loop.specs, loop.calendars)
        assert with_it.actions == without.actions
        assert {t: [g.reason for g in b.failures] for t, b in with_it.blocked.items()} == {
            t: [g.reason for g in b.failures] for t, b in without.blocked.items()
        }

    done.watch = check
    done.run_until(box.start + timedelta(days=2))


@week
@given(boxes(), policies)
def test_the_same_seed_gives_the_same_trace(box: Box, policy: str) -> None:
    first, second = simulated(box, policy), simulated(box, policy)

    first.run_until(box.start + DAYS)
    second.run_until(box.start + DAYS)

    assert first.events == second.events


STEPS = st.lists(
    st.tuples(st.floats(60, 4 * 86400), st.sampled_from([-7200, -90, 3600, 86400])), min_size=1, max_size=3
)


@week
@given(boxes(), STEPS)
@example(
    Box(
        specs={"alpha": TaskSpec(name="alpha", estimated_minutes=1, every=timedelta(hours=1))},
        start=datetime.fromisoformat("2026-11-20T12:30:00+00:00"),
        seed=1,
        slots=1,
        total_mb=2400,
        failure_rate=0.0,
    ),
    [(7200.0, -7200)],
)
def test_nothing_runs_twice_for_a_step_of_the_wall_clock(box: Box, steps: list[tuple[float, int]]) -> None:
    clocks: list[Simulation] = []

    def stepped(by_s: int) -> Callable[[], None]:
        return lambda: clocks[0].clock.step_wall(timedelta(seconds=by_s))

    done = simulated(box, happenings=tuple(Happening(at, Wake.STEPPED, stepped(by)) for at, by in steps))
    clocks.append(done)

    done.run_until(box.start + DAYS)

    started = [event.run_id for event in done.events if isinstance(event, Started)]
    assert len(started) == len(set(started))
    ended = [event for event in done.events if isinstance(event, Ended)]
    succeeded = [event.run_id.rsplit(".", 1)[0] for event in ended if event.exit.exit_code == 0]
    assert len(succeeded) == len(set(succeeded)), "a slot succeeded twice"


CUTS = st.lists(st.floats(60, 4 * 86400), min_size=1, max_size=3)


@week
@given(boxes(), CUTS)
def test_after_a_power_cut_lost_runs_end_once_and_the_box_goes_on(box: Box, cuts: list[float]) -> None:
    done = simulated(box)

    for cut in sorted(cuts):
        done.run_until(box.start + timedelta(seconds=cut))
        done.runner.lose_all()
        done.loop.recover()
        assert not done.loop.state.running_tasks, "a lost run still holds its place"
    done.run_until(box.start + DAYS)

    started = [event.run_id for event in done.events if isinstance(event, Started)]
    assert len(started) == len(set(started))


def test_decide_changes_nothing_it_was_given() -> None:
    specs = {"alpha": TaskSpec(name="alpha", phases={"OVERNIGHT", "WEEKEND"})}
    saturday = datetime.fromisoformat("2026-11-21T12:00:00+00:00")
    loop = build(specs, policy_for("unified"), SessionTables(), saturday).loop
    before = repr(loop.state)
    resources = Resources(total_mb=4000, available_mb=3000, slots=2)

    decision = decide(loop.policy, loop.state, saturday, resources, specs, loop.calendars)

    assert [start.key.task for start in decision.starts] == ["alpha"]
    assert repr(loop.state) == before
