"""The loop: reap, record, decide, record, start. It carries decisions out and decides nothing itself.

One turn commits at most twice: the results before anything acts on them, and the plan before its processes
exist. Live daemon and simulation run this same loop; only the ports differ.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Protocol

from hardware.health import BoxHealth
from hardware.patterns import worst_of
from orchestration import commands, learned, reports, stopping, transitions
from orchestration.agenda import Agenda
from orchestration.alerting import Alerting
from orchestration.changes import (
    AlertSaved,
    Change,
    EventLogged,
    RecordSaved,
    RunEnded,
    RunPlanned,
    RunStarted,
    RunStopping,
    ValueSaved,
)
from orchestration.crash_points import passing
from orchestration.decide import active_run, decide
from orchestration.decisions import (
    Blocked,
    Decision,
    Policy,
    RaiseAlert,
    Reason,
    Resources,
    Room,
    SkipSlot,
    StartRun,
    StopRun,
)
from orchestration.errors import SpawnError, StoreError
from orchestration.launching import LaunchSettings, launch_for, log_path
from orchestration.narration import Narrator
from orchestration.policies import specs_under
from orchestration.ports import (
    Clock,
    Fate,
    Inbox,
    Launch,
    Notifier,
    Panel,
    RunExit,
    Runner,
    Sensors,
    Store,
    Waiter,
    Wake,
)
from orchestration.runs import ActiveRun, Estimate, Outcome, SchedulerState, StopCause, TaskResult
from orchestration.types import OperatingMode, TaskSpec

POLL_EVERY = timedelta(seconds=30)
"""How often gates that clear outside us (foreign memory, network, heat, clock) are looked at again."""
STORE_RETRY = timedelta(seconds=5)
LONG_RUN = timedelta(minutes=1)
PANEL_KEY = "panel"
"""Under it `scheduler_state` holds what the LEDs show, as JSON: mode, extended, error (null: no fault)."""
FAULTS = {
    Reason.NEEDS_RECONCILE: "needs_reconcile",
    Reason.CALENDAR_STALE: "calendar_stale",
    Reason.CLOCK_UNSYNCED: "clock_unsynced",
    Reason.QUARANTINED: "quarantined",
    Reason.THERMAL: "overheating",
    Reason.NO_NETWORK: "network_down",
}
"""What the panel shows for a reason that holds a task back."""


@dataclass(kw_only=True)
class World:
    """The ports a loop works through."""

    clock: Clock
    waiter: Waiter
    runner: Runner
    store: Store
    panel: Panel
    sensors: Sensors
    inbox: Inbox
    notifier: Notifier


class Reserve(Protocol):
    """Room on the disk that is given up to record what happened. Real: `state.ballast.Ballast`."""

    def release(self) -> bool:
        """Give the room up; False if there is none to give."""
        ...

    def restore(self) -> bool:
        """Take it back; False while there is no room for it."""
        ...


class NoReserve:
    """A `Reserve` of nothing."""

    def release(self) -> bool:
        return False

    def restore(self) -> bool:
        return True


class Loop:
    """Holds the state between turns; everything outside comes through its ports."""

    def __init__(
        self,
        *,
        world: World,
        policy: Policy,
        specs: Mapping[str, TaskSpec],
        tables: reports.SessionTables,
        launching: LaunchSettings,
        narrator: Narrator,
        state: SchedulerState | None = None,
        reload: Callable[[], Mapping[str, TaskSpec] | None] | None = None,
        make_launch: Callable[[StartRun, TaskSpec, Estimate, LaunchSettings], Launch] = launch_for,
        watchdog: timedelta | None = None,
        stop_timeout: timedelta = timedelta(seconds=60),
        box_faults: Callable[[], tuple[str, ...]] = lambda: (),
        halted: Callable[[], str | None] = lambda: None,
        health: Callable[[], BoxHealth] = BoxHealth,
        beat: Callable[[datetime], None] = lambda now: None,
        pools: Mapping[str, Room] | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        self.pools, self._reserve = dict(pools or {}), reserve or NoReserve()
        self.on_reserve = False
        self.world, self.policy, self.tables = world, policy, tables
        self.specs = specs_under(policy, specs)
        self.calendars = tables.calendars(world.clock.now().date())
        self.launching, self.narrator = launching, narrator
        self.state = state or SchedulerState()
        self.agenda = Agenda()
        self.decision: Decision | None = None
        self.resources: Resources | None = None
        self.results: list[TaskResult] = []
        self.keep_results = False
        self.start_each_once = False
        self.started_names: set[str] = set()
        self.stopping = False
        self.leave_runs = False
        self._make_launch, self._box_faults, self._beat = make_launch, box_faults, beat
        self.alerting = Alerting(self, health=health, halted=halted)
        self._reload, self._watchdog, self._stop_timeout = reload, watchdog, stop_timeout
        self._predicted: dict[str, float] = {}
        self._logs: dict[str, str] = {}
        self._shows: tuple[OperatingMode, bool, str | None] | None = None
        self._reconciling: tuple[object, Mapping[str, frozenset[str]]] = (None, {})
        self._later: list[Change] = []
        self._woken = Wake.COMMAND | Wake.TIMER
        self.store_fault: str | None = None
        self._pruned: date | None = None
        self._unrecorded: list[RunExit] = []
        self._unwritten: list[TaskResult] = []

    # --- one turn -----------------------------------------------------------------------------------------

    def turn(self) -> Decision:
        """Do one whole turn and return what it decided."""
        now = self.world.clock.now()
        self._take_results(self.world.runner.reap(), now)
        if self._woken is not Wake.TIMER and self._woken is not Wake.CHILD:
            self._heed(now)
        self.on_reserve = self.on_reserve and not self._reserve.restore()
        self.state = transitions.after_window(self.state, self.calendars.stretch(now))
        resources = self.world.sensors.read(self.world.runner.usage())
        resources = replace(resources, pools=self.pools) if self.pools else resources
        self.alerting.look(resources, now)
        specs = self._startable() if self.start_each_once else self.specs
        decision = decide(self.policy, self.state, now, resources, specs, self.calendars, self.agenda)
        self.resources, self.decision = resources, decision
        self._carry_out(decision, now)
        self._prune(decision, now)
        self._show()
        self.world.notifier.alive(self.status_line())
        self._beat(now)
        return decision

    def _heed(self, now: datetime) -> None:
        """Do what the operator or a changed file asks for; a command may ask to read files again."""
        if Wake.COMMAND in self._woken:
            commands.carry_out(self, now)
        if Wake.RELOAD in self._woken:
            self._reread(now)

    def _startable(self) -> Mapping[str, TaskSpec]:
        """The specs of a single turn: what has been started in it is not started again, and what fills a
        whole window is left to the daemon that stays."""
        done = (self.started_names - self.state.running_tasks.keys()) | self.window_fillers()
        return {n: spec.but(enabled=False) if n in done else spec for n, spec in self.specs.items()}

    def window_fillers(self) -> set[str]:
        """Return the enabled tasks that go on as long as their window lasts."""
        return {name for name, spec in self.specs.items() if spec.enabled and spec.extendable}

    def _take_results(self, exits: Sequence[RunExit], now: datetime) -> None:
        """Commit what has ended, then act on it; what cannot be written waits for the next turn."""
        exits = [*self._unrecorded, *exits]
        self._unrecorded = []
        if exits:
            passing("reap.after")
        results = []
        for exit_ in exits:
            run = next((r for r in self.state.running_tasks.values() if r.run_id == exit_.run_id), None)
            if run is not None:
                results.append(transitions.result_of(exit_, run, self.specs.get(run.task)))
        self._settle(results, now)

    def _settle(self, results: Sequence[TaskResult], now: datetime) -> None:
        """Record results, and those that could not be written before; what still cannot is kept."""
        results = [*self._unwritten, *results]
        if results:
            self._unwritten = [] if self.record(results, now) else results

    def record(self, results: Sequence[TaskResult], now: datetime) -> bool:
        """Write results, then let the state know them, then forget their run directories.

        False: the store failed; nothing has changed, and the run directories still hold the results.
        """
        stretch = self.calendars.stretch(now)
        state = transitions.after_window(self.state, stretch)
        changes: list[Change] = []
        tables: list[Change] = []
        for result in results:
            task = result.key.task
            spec = self.specs.get(task)
            proposed, detail = reports.proposals(result, self.tables, now)
            taught, refused = learned.lessons(result)
            detail = detail or refused
            if detail is not None:
                result = replace(result, outcome=Outcome.FAILED, detail=detail)
            clears = self._cleared_by(task)
            before = state.records
            state = transitions.after_result(state, spec, result, stretch, now, clears)
            if taught is not learned.NO_LESSONS and result.success:
                state = learned.after_lessons(state, taught)
            changes.append(RunEnded(result=result))
            others = clears or taught is not learned.NO_LESSONS
            changes += [
                RecordSaved(task=name, record=state.records[name])
                for name in (state.records if others else (task,))
                if before.get(name) is not state.records[name]
            ]
            changes += proposed
            tables += proposed
            changes += self.alerting.of_result(result, state, now)
        passing("record.before")
        if not self._commit(changes, vital=True):
            # Raised and logged once: their rows come with the next commit.
            self._later += [change for change in changes if isinstance(change, AlertSaved)]
            return False
        passing("record.after")
        self.state = state
        if tables and self.tables.take(tables):
            self.calendars = self.tables.calendars(now.date())
        for result in results:
            if self.keep_results:
                self.results.append(result)
            self.narrator.ended(result, self._predicted.pop(result.key.run_id, None))
            passing("forget.before")
            self.world.runner.forget(result.key.run_id)
            passing("forget.after")
        return True

    def _cleared_by(self, task: str) -> frozenset[str]:
        """Return the tasks whose unknown runs a success of `task` clears."""
        if self._reconciling[0] is not self.specs:
            found: dict[str, set[str]] = {}
            for name, spec in self.specs.items():
                if spec.reconciled_by is not None:
                    found.setdefault(spec.reconciled_by, set()).add(name)
            self._reconciling = self.specs, {name: frozenset(others) for name, others in found.items()}
        return self._reconciling[1].get(task, frozenset())

    def _carry_out(self, decision: Decision, now: datetime) -> None:
        """Commit the plan, then start and stop."""
        state = self.state
        later, self._later = self._later, []
        changes = list(later)
        starts: list[tuple[StartRun, ActiveRun]] = []
        stops: list[StopRun] = []
        for action in decision.actions:
            if isinstance(action, StartRun):
                if self.on_reserve and not self.specs[action.key.task].is_duty:
                    continue
                run = active_run(action, now)
                state = transitions.after_start(state, action, run)
                starts.append((action, run))
                changes += self._planned(action, run, state)
            elif isinstance(action, SkipSlot):
                state = transitions.after_skip(state, action)
                changes.append(self.narrator.skipped(action, now))
                changes.append(RecordSaved(task=action.task, record=state.record(action.task)))
            elif isinstance(action, RaiseAlert):
                changes += self.narrator.alert(action, now)
            else:
                stops.append(action)
        changes += self.narrator.window(decision, self.specs, state.running_tasks)
        changes += self.narrator.blocked(decision)
        changes += self._to_show(decision)
        held = self.narrator.held.values()
        waiting = frozenset(blocked.task for blocked in held if blocked.waits_its_turn)
        state = transitions.after_waits(state, waiting, now)
        if changes and not self._commit(changes):
            self._later = [
                *later,
                *(c for c in changes[len(later) :] if isinstance(c, AlertSaved | EventLogged | ValueSaved)),
            ]
            # No duty can start either, so nothing is stopped for one; a timeout and PREP hold all the same.
            stops = [stop for stop in stops if stop.cause is not StopCause.RECLAIM]
        else:
            self.state = state
            for start, run in starts:
                self._spawn(start, run, now)
        for stop in stops:
            self.stop(stop, now)

    def _planned(self, start: StartRun, run: ActiveRun, state: SchedulerState) -> list[Change]:
        task, run_id = run.task, run.run_id
        spec, median = self.specs[task], start.prediction.median
        self._predicted[run_id] = median
        return [
            RunPlanned(run=run, pool=spec.pool, predicted_minutes=median, log=self._log(spec, run_id)),
            RecordSaved(task=task, record=state.record(task)),
        ]

    def _log(self, spec: TaskSpec, run_id: str) -> str:
        """Return the path of a run's output; a recurring task's is always the same."""
        if spec.every is None:
            return str(log_path(self.launching, spec, run_id))
        if spec.name not in self._logs:
            self._logs[spec.name] = str(log_path(self.launching, spec, run_id))
        return self._logs[spec.name]

    def _spawn(self, start: StartRun, run: ActiveRun, now: datetime) -> None:
        spec = self.specs[run.task]
        self.started_names.add(run.task)
        try:
            launch = self._make_launch(start, spec, self.state.record(run.task).estimate, self.launching)
            passing("spawn.before")
            pid = self.world.runner.start(launch)
            passing("spawn.after")
        except SpawnError as error:
            failed = TaskResult(
                key=run.key, outcome=Outcome.FAILED, started_at=now, ended_at=now, detail=str(error)
            )
            self._settle([failed], now)
            return
        late = (now - start.due_at).total_seconds() if start.due_at is not None else None
        self.narrator.started(run, pid, start.prediction.median, late)
        self._later.append(RunStarted(run_id=run.run_id, pid=pid, started_at=run.started_at))

    def stop(self, stop: StopRun, now: datetime, grace: timedelta | None = None) -> None:
        """Ask a run to stop; it holds its place until it has ended. grace: None is the rules'."""
        if stop.task not in self.state.running_tasks:
            return
        self.state = transitions.after_stop_asked(self.state, stop.task, stop.cause, now)
        self._later.append(RunStopping(run_id=stop.run_id, cause=stop.cause.value, asked_at=now))
        self.narrator.execute.info(
            "run.stopping", task=stop.task, run=stop.run_id, cause=stop.cause.value, detail=stop.detail
        )
        grace = self.policy.rules.stop_grace if grace is None else grace
        self.world.runner.stop(stop.run_id, stop.cause, grace)

    def _commit(self, changes: Sequence[Change], *, vital: bool = False) -> bool:
        """Write; say whether it is written. A failing store stops new starts and never the runs there are.

        vital: on a full disk the room kept for it is given up; then only duties start until it is back.
        """
        try:
            self.world.store.commit(changes)
        except StoreError as error:
            if vital and error.errno == errno.ENOSPC and self._reserve.release():
                self.on_reserve = True
                self.narrator.scheduler.error("disk.full", detail="the room kept for results is in use")
                return self._commit(changes)
            if self.store_fault is None:
                self.narrator.scheduler.error("store.failing", detail=str(error))
            self.store_fault = str(error)
            return False
        if self.store_fault:
            self.narrator.scheduler.info("store.recovered")
        self.store_fault = None
        return True

    def later(self, change: Change) -> None:
        """Write `change` with the next commit."""
        self._later.append(change)

    def wake(self, cause: Wake) -> None:
        """Treat `cause` as having happened in this turn."""
        self._woken |= cause

    def _reread(self, now: datetime) -> None:
        """Take in a changed task file or override file; an invalid one keeps the old."""
        if self._reload is None:
            return
        self.world.notifier.reloading()
        fresh = self._reload()
        if fresh is not None:
            self.specs = specs_under(self.policy, fresh)
            self.calendars = self.tables.calendars(now.date())
            self._later.append(EventLogged(at=now, name="settings.reloaded"))
            self._later += self.narrator.forget_tasks(self.specs.keys(), now)
            self.narrator.scheduler.info("settings.reloaded", tasks=len(self.specs))
        self.world.notifier.ready(self.status_line())

    def _prune(self, decision: Decision, now: datetime) -> None:
        """Once a cycle, drop the rows that are past their retention."""
        if self._pruned == decision.stretch.cycle:
            return
        if self._pruned is not None:
            gone = self.world.store.prune(now)
            if gone:
                self.narrator.scheduler.info("store.pruned", rows=gone)
        self._pruned = decision.stretch.cycle

    # --- what is shown ------------------------------------------------------------------------------------

    def _to_show(self, decision: Decision) -> list[Change]:
        """Find out what the panel shows from now on; what is new is kept for other processes to read."""
        extended = decision.mode is OperatingMode.RESEARCH and decision.budget.is_extended
        error = self._worst_fault(self.narrator.held.values(), decision.at)
        before, self._shows = self._shows, (decision.mode, extended, error)
        if before == self._shows:
            return []
        value = json.dumps({"mode": decision.mode.value, "extended": extended, "error": error})
        return [ValueSaved(key=PANEL_KEY, value=value, at=decision.at)]

    def _show(self) -> None:
        assert self._shows is not None
        mode, extended, error = self._shows
        self.world.panel.set_operating_mode(mode, extended=extended)
        self.world.panel.set_error(error)

    def fault(self, decision: Decision) -> str | None:
        """Return the worst fault, by its name in `hardware.patterns.ERRORS`; None if there is none."""
        return self._worst_fault(decision.blocked.values(), decision.at)

    def _worst_fault(self, held: Collection[Blocked], now: datetime) -> str | None:
        reasons = {gate.reason for blocked in held for gate in blocked.failures}
        faults = [FAULTS[reason] for reason in FAULTS.keys() & reasons]
        if self.alerting.halted() is not None:
            faults.append("act_now")
        if self.alerting.disagreements(now):
            faults.append("calendar_disagrees")
        if self.store_fault:
            faults.append("store_failing")
        for blocked in held:
            if blocked.waits_its_turn and self.specs[blocked.task].is_duty:
                faults.append("duty_late")
                if blocked.reason is Reason.MEMORY:
                    faults.append("memory_low")
        faults += self._box_faults()
        return worst_of(faults) if faults else None

    def status_line(self) -> str:
        """Return one line for `systemctl status`."""
        if self.decision is None:
            return "starting"
        running = len(self.state.running_tasks)
        budget = self.decision.budget.research_hours
        mode, window = self.decision.mode.upper(), self.decision.window.id
        return f"{mode}, {window}, {running} running, {budget:.1f} h of research left"

    # --- staying ------------------------------------------------------------------------------------------

    def wait(self, limit: datetime | None = None) -> Wake:
        """Sleep until something happens or `wake_at`; keep the runs' memory watched meanwhile."""
        assert self.decision is not None
        now = self.world.clock.now()
        until = self.decision.wake_at
        if self.decision.polls or self.on_reserve or self.store_fault:
            until = min(until, now + (STORE_RETRY if self.store_fault else POLL_EVERY))
        if self._watchdog is not None:
            until = min(until, now + self._watchdog)
        look_at = self.alerting.wake_at(now)
        if look_at is not None:
            until = min(until, look_at)
        if limit is not None:
            until = min(until, limit)
        self._flush_if_long()
        while True:
            tick_at = self.world.runner.tick()
            wake = self.world.waiter.wait(until, self.world.runner.fds(), tick_at)
            # A run is held back until what it left behind is gone: a tick may set it free.
            self._unrecorded += self.world.runner.reap() if tick_at is not None else []
            # Added, never put in its place: a SIGTERM that came at the same moment must not be lost.
            if self._unrecorded and not self.store_fault:
                wake |= Wake.CHILD
            if wake != Wake.TIMER or self.world.clock.now() >= until:
                self._woken = wake
                return wake

    def _flush_if_long(self) -> None:
        """A long run's start is written now; a short one's with its end."""
        running = self.state.running_tasks.values()
        if self._later and any(run.predicted_end - run.started_at > LONG_RUN for run in running):
            self.flush()

    def run(self) -> None:
        """Turn and wait until told to stop; then stop the runs in order, or leave them (handover)."""
        self.turn()
        self.wait_and_run()

    def wait_and_run(self) -> None:
        """Go on after a first turn: wait, turn, until told to stop."""
        self._await_event()
        while not self.stopping:
            self.turn()
            self._await_event()
        self.world.notifier.stopping("leaving the runs" if self.leave_runs else "stopping the runs")
        if not self.leave_runs:
            self.stop_all()
        self.flush()

    def _await_event(self) -> None:
        if self.stopping:
            return
        wake = self.wait()
        if Wake.STEPPED in wake:
            self._stepped()
        self.stopping = self.stopping or Wake.STOP in wake

    def _stepped(self) -> None:
        now = self.world.clock.now()
        self.narrator.scheduler.warning("clock.stepped", now=now.isoformat())
        self._later.append(EventLogged(at=now, name="clock.stepped"))
        self.agenda = Agenda()

    def flush(self) -> None:
        if self._later and self._commit(self._later):
            self._later = []

    def stop_all(self) -> None:
        """Stop every run in order and wait for each to end, at most the stop timeout."""
        stopping.stop_all(self, self._stop_timeout)

    def unfinished(self) -> dict[str, ActiveRun]:
        """Return the runs, by task, whose end is not known; an end that could not be written yet is known."""
        ended = {result.key.run_id for result in self._unwritten}
        return {task: run for task, run in self.state.running_tasks.items() if run.run_id not in ended}

    def wait_for_ends(self, run_ids: AbstractSet[str], limit: datetime) -> None:
        """Record the ends of runs until none of `run_ids` is left, or `limit`; nothing is started.

        An end that cannot be recorded is not waited for: the run's directory keeps it for the next start.
        """
        clock = self.world.clock
        while clock.now() < limit:
            self._take_results(self.world.runner.reap(), clock.now())
            if not run_ids & {run.run_id for run in self.unfinished().values()}:
                return
            tick_at = self.world.runner.tick()
            self.world.waiter.wait(limit, self.world.runner.fds(), tick_at)

    # --- coming back --------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Read everything back and find out what became of the runs that were left."""
        stored = self.world.store.load()
        now = self.world.clock.now()
        open_runs = {open_.run.run_id: open_ for open_ in stored.open_runs}
        self.state = transitions.restored(stored)
        self.narrator.remember(stored.alerts)
        self._later += self.narrator.forget_tasks(self.specs.keys(), now)
        self._later += self.narrator.clear_refused(now)
        if stored.sessions:
            self.tables.stored.update(stored.sessions)
            self.calendars = self.tables.calendars(now.date())
        results = []
        for found in self.world.runner.recover(sorted(open_runs)):
            open_ = open_runs[found.run_id]
            self.narrator.execute.info("run.recovered", run=found.run_id, fate=found.fate.value)
            self._later.append(
                EventLogged(
                    at=now, name="run.recovered", detail={"run": found.run_id, "fate": found.fate.value}
                )
            )
            if found.fate is Fate.ADOPTED:
                continue
            if found.fate is Fate.NEVER_STARTED or found.exit is None:
                results.append(transitions.never_started(open_.run, now))
            else:
                results.append(transitions.result_of(found.exit, open_.run, self.specs.get(open_.run.task)))
        self._settle(results, now)
