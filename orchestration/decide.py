"""decide(): from state, time, resources and specs to actions, reasons for the rest, and when to wake.

Pure and deterministic: it reads no clock, no file, no environment, and changes nothing it was given.
Live loop, simulation and `--check` call this same function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from orchestration import estimates, gates, reclaim
from orchestration.agenda import Agenda, Entry
from orchestration.compiled import CompiledSpec, Needs
from orchestration.decisions import (
    RANK,
    Action,
    Blocked,
    Decision,
    Gate,
    Policy,
    Prediction,
    RaiseAlert,
    Reason,
    Resources,
    SkipSlot,
    StartRun,
    StopRun,
)
from orchestration.gates import Hold, Ledger
from orchestration.market_calendar import Calendars
from orchestration.runs import NO_ESTIMATE, ActiveRun, RunKey, SchedulerState, StopCause
from orchestration.slots import Slot, with_instants
from orchestration.types import OperatingMode, Stretch, TaskCategory, TaskSpec

OUTSIDE = frozenset({Reason.MEMORY, Reason.NO_NETWORK, Reason.THERMAL, Reason.CLOCK_UNSYNCED})
"""Reasons that clear outside us, without an event we could wait for."""
RECLAIMABLE = frozenset({Reason.MEMORY, Reason.SLOTS, Reason.CONFLICT})


def decide(
    policy: Policy,
    state: SchedulerState,
    now: datetime,
    resources: Resources,
    specs: Mapping[str, TaskSpec],
    sessions: Calendars,
    agenda: Agenda | None = None,
) -> Decision:
    """Return what to do at `now`. agenda: kept between turns to save work; never changes the answer."""
    agenda = Agenda() if agenda is None else agenda
    agenda.refresh(policy, specs, sessions, state, now)
    turn = Turn(policy, state, now, resources, agenda)
    turn.skip_missed()
    turn.stop_what_must()
    for entry in turn.in_order():
        turn.consider(entry)
    turn.make_room_ahead()
    turn.stop_the_overstayed()
    return turn.decision()


class Turn:
    """One turn's working values: the ledger is given away from the most important task to the least."""

    def __init__(
        self, policy: Policy, state: SchedulerState, now: datetime, resources: Resources, agenda: Agenda
    ) -> None:
        self.policy, self.rules = policy, policy.rules
        self.state, self.now, self.resources, self.agenda = state, now, resources, agenda
        self.stretch: Stretch = agenda.ahead[0]
        self.ledger = gates.open_ledger(state, resources, self.rules, self.stretch)
        self.ledgers = {"local": self.ledger}
        self.actions: list[Action] = []
        self.blocked = dict(agenda.blocked)
        self.stopped: set[str] = set()
        self.polls = False
        self.wakes: list[datetime] = []
        # The MB that an empty box could promise to one run.
        self.most_mb = resources.total_mb - self.rules.reserve_mb - self.rules.duty_reserve_mb
        self._duty_holds: dict[str, Hold] = {}
        self._ledger_ahead: Ledger | None = None

    def ledger_of(self, c: CompiledSpec) -> Ledger:
        """Return the ledger of the pool that a task runs in; the local one stands in for an unknown pool."""
        pool = c.spec.pool
        if pool not in self.ledgers and pool in self.resources.pools:
            room = self.resources.pools[pool]
            self.ledgers[pool] = gates.remote_ledger(pool, room, self.ledger.running)
        return self.ledgers.get(pool, self.ledger)

    # --- what must stop, what was missed ------------------------------------------------------------------

    def skip_missed(self) -> None:
        """Record the slots that passed unused, each with its reason."""
        for name in sorted(self.agenda.missed) if self.agenda.missed else ():
            entry = self.agenda.missed[name]
            found = entry.timing
            assert found is not None
            assert found.missed is not None
            slot, gate = found.missed
            if entry.name in self.ledger.running:
                continue
            self.actions.append(
                SkipSlot(task=entry.name, cycle=slot.cycle, slot=slot.slot, last_slot=slot.at, gate=gate)
            )
            if gate.reason is Reason.DEADLINE_PASSED:
                why = _in_local_time(gate.detail, entry.compiled.exchange.zone)
                text = f"{entry.name} was not started: {why}"
                self._alert(f"deadline:{entry.name}:{slot.slot}", text, entry.name)

    def stop_what_must(self) -> None:
        """Timeouts, and at P - grace every interruptible research run."""
        cut = self.stretch.prep_start - self.rules.stop_grace
        in_research = self.stretch.mode is OperatingMode.RESEARCH and self.now < cut
        for run in self.state.running_tasks.values():
            if run.stopping is not None:
                continue
            entry = self.agenda.by_name.get(run.task)
            research = entry is not None and entry.compiled.is_research
            interruptible = entry is not None and entry.compiled.spec.interruptible
            if self.policy.by_mode and research and interruptible:
                if not in_research and not self._is_manual(run):
                    self._stop(run, StopCause.WINDOW_END, None, "PREP begins")
                    continue
                self.wakes.append(cut)
            if entry is not None and run.deadline is not None:
                self._foretell_running(run, entry.compiled, run.deadline)
            if run.stop_at is not None and not self._extends(run, entry):
                if self.now >= run.stop_at:
                    self._stop(run, StopCause.TIMEOUT, None, "ran past its timeout")
                else:
                    self.wakes.append(run.stop_at)

    def _is_manual(self, run: ActiveRun) -> bool:
        return run.key.slot.startswith("manual:")

    def _extends(self, run: ActiveRun, entry: Entry | None) -> bool:
        return (
            self.policy.extend
            and entry is not None
            and reclaim.may_extend(run, entry.compiled, self.now, self.stretch.prep_start, wanted=False)
        )

    def _stop(self, run: ActiveRun, cause: StopCause, for_task: str | None, detail: str) -> None:
        if run.run_id not in self.stopped and run.stopping is None:
            self.stopped.add(run.run_id)
            self.ledger.running[run.task] = replace(run, stopping=cause)
            self.actions.append(
                StopRun(run_id=run.run_id, task=run.task, cause=cause, for_task=for_task, detail=detail)
            )

    # --- what may start -----------------------------------------------------------------------------------

    def in_order(self) -> list[Entry]:
        """Priority, then slack to the deadline, then the chain behind it, then what was learned to prefer,
        then name; the long passed over rise within their category."""
        due = self.agenda.due.values()
        if not self.state.waiting_since:
            waiting = [entry for entry in due if entry.name not in self.state.running_tasks]
            return sorted(waiting, key=self._order) if len(waiting) > 1 else waiting
        # Among equals the longest passed over goes first, whatever its category.
        keys = {e.name: (-self._risen(e), self._order(e)) for e in due}
        by_priority = sorted(due, key=lambda e: (-e.compiled.spec.priority, keys[e.name]))
        places: dict[TaskCategory, list[int]] = {}
        for place, entry in enumerate(by_priority):
            places.setdefault(entry.compiled.spec.category, []).append(place)
        ordered = list(by_priority)
        for taken in places.values():
            risen = sorted((by_priority[place] for place in taken), key=lambda e: keys[e.name])
            for place, entry in zip(taken, risen, strict=True):
                ordered[place] = entry
        return ordered

    def _risen(self, entry: Entry) -> int:
        since = self.state.waiting_since.get(entry.name)
        if since is None:
            return int(entry.compiled.spec.priority)
        steps = max(0, (self.now - since) // self.rules.rise_every)
        self.wakes.append(since + (steps + 1) * self.rules.rise_every)
        return int(entry.compiled.spec.priority) + steps

    def _order(self, entry: Entry) -> tuple[int, float, int, float, str]:
        slot = entry.timing.slot if entry.timing is not None else None
        slack = float("inf")
        if slot is not None and slot.deadline is not None:
            slack = (slot.deadline - self.now).total_seconds()
        c = entry.compiled
        record = entry.record
        preference = record.preference if record is not None and self.policy.learn else 0.0
        return -int(c.spec.priority), slack, -c.chain, -preference, c.name

    def consider(self, entry: Entry) -> None:
        """Start a due task, or note every gate that stands in its way."""
        c = entry.compiled
        assert entry.timing is not None
        slot = entry.timing.slot
        assert slot is not None
        if c.name in self.state.running_tasks:
            return
        need_mb, prediction = self.reservation(c), self._needs(c).prediction
        failures = self.failures(c, slot, need_mb, prediction)
        if not failures:
            self._start(c, slot, need_mb, prediction)
            return
        self.blocked[c.name] = Blocked(c.name, tuple(failures), _until(failures))
        reasons = {gate.reason for gate in failures}
        self.polls = self.polls or not reasons.isdisjoint(OUTSIDE)
        if reasons <= RECLAIMABLE:
            self._wait_for_room(c, need_mb)
        self._foretell(c, slot)

    def reservation(self, c: CompiledSpec) -> float:
        """Return the MB a run of `c` is promised: what was learned, but never more than the whole pool has to
        give (a task killed for memory again and again would else never start)."""
        return min(self._needs(c).memory_mb, max(c.spec.memory_mb, self.most_mb))

    def _needs(self, c: CompiledSpec) -> Needs:
        """Return what a run of `c` is expected to need; worked out again when something was learned."""
        estimate = self.state.record(c.name).estimate if self.policy.learn else NO_ESTIMATE
        needs = c.needs
        if needs is None or needs.estimate is not estimate:
            prediction = estimates.predict(c.spec, estimate, self.rules.high_quantile)
            needs = c.needs = Needs(estimate, estimates.reserve_mb(c.spec, estimate), prediction)
        return needs

    def failures(self, c: CompiledSpec, slot: Slot, need_mb: float, prediction: Prediction) -> list[Gate]:
        """Return every gate that a due task fails, the worst first."""
        ledger = self.ledger_of(c)
        found = [
            gates.clock_gate(c, slot, self.now, self.resources),
            gates.dependency_gate(c, self.state, self.stretch, self.now),
            gates.thermal_gate(c, self.resources, self.rules),
            gates.network_gate(c, self.resources),
            gates.conflict_gate(c, ledger),
            gates.memory_gate(c, need_mb, ledger, self.resources),
            gates.slots_gate(c, ledger),
        ]
        if self.policy.by_mode and c.is_research and not slot.slot.startswith("manual:"):
            found.append(gates.fit_gate(c, self.now, self.stretch, gates.fit_of(c, self.state, self.rules)))
        if not self.policy.backfill and c.spec.opportunistic and not slot.slot.startswith("manual:"):
            found.append(Gate(Reason.RESERVED, False, f"the {self.policy.name} policy fills no idle time"))
        if self.policy.reserve and not c.is_duty:
            found.append(self._reserved(c, need_mb, prediction))
        failed = [gate for gate in found if gate is not None]
        if len(failed) > 1:
            failed.sort(key=lambda gate: RANK[gate.reason])
        return failed

    def _reserved(self, c: CompiledSpec, need_mb: float, prediction: Prediction) -> Gate | None:
        held = gates.reserved_gate(c, need_mb, prediction, self.now, self.ledger_of(c).holds)
        if held is not None:
            self.wakes.extend(r.predicted_end for r in self.ledger.running.values())
            return held
        if c.is_research and c.spec.interruptible:
            # It will be stopped for the duty; it needs a slice worth starting before that.
            slice_ = self.rules.stop_grace.total_seconds() / 60 + c.spec.min_slice_minutes
            prediction = Prediction(slice_, slice_)
        if c.spec.pool != "local":
            return None
        ends = self.now + timedelta(minutes=prediction.high)
        return gates.reserved_gate(c, need_mb, prediction, self.now, self.duty_holds(ends))

    def duty_holds(self, before: datetime) -> list[Hold]:
        """Return the reservations ahead for the known next slots of duties, those that begin `before`. They
        are taken from the ledger as it stood when one was first asked for since the last start."""
        if self._ledger_ahead is None:
            self._ledger_ahead, self._duty_holds = replace(self.ledger), {}
        grace, holds = self.rules.stop_grace, []
        for at, name, c in self.agenda.duties_ahead(self.now):
            if at - grace >= before:
                break
            if name not in self._duty_holds:
                self._duty_holds[name] = reclaim.duty_hold(
                    c, self.reservation(c), at, grace, self._ledger_ahead, self.resources
                )
            holds.append(self._duty_holds[name])
        return holds

    def _start(self, c: CompiledSpec, slot: Slot, need_mb: float, prediction: Prediction) -> None:
        stop_at = None
        minutes = c.spec.timeout_minutes if c.timetable_minutes is None else c.timetable_minutes
        if minutes > 0:
            stop_at = self.now + timedelta(minutes=minutes)
        deadline = slot.deadline
        if self.policy.by_mode and c.is_research and self.stretch.mode is OperatingMode.RESEARCH:
            cut = self.stretch.prep_start - self.rules.stop_grace
            deadline = cut if deadline is None else min(deadline, cut)
        start = StartRun(
            key=RunKey(c.name, slot.cycle, slot.slot, slot.attempt),
            memory_mb=need_mb,
            cpus=c.spec.cpus,
            prediction=prediction,
            predicted_end=self.now + timedelta(minutes=prediction.high),
            stop_at=stop_at,
            deadline=deadline,
            filler=c.spec.opportunistic,
            due_at=slot.at,
            pool=self.ledger_of(c).pool,
            must_end_by=slot.deadline,
        )
        self.actions.append(start)
        if stop_at is not None:
            self.wakes.append(stop_at)
        if c.is_research and c.spec.interruptible:
            self.wakes.append(self.stretch.prep_start - self.rules.stop_grace)
        self.ledger_of(c).give(active_run(start, self.now))
        self._ledger_ahead = None

    def _wait_for_room(self, c: CompiledSpec, need_mb: float) -> None:
        ledger = self.ledger_of(c)
        if self.policy.reserve:
            hold = gates.hold_for(c, need_mb, self.now, ledger, self.resources)
            if hold is not None and (not c.is_research or hold.at < self.stretch.prep_start):
                ledger.holds.append(hold)
                self.wakes.extend(r.predicted_end for r in ledger.running.values())
        runs = (
            reclaim.victims(c, need_mb, ledger, self.resources, self.agenda.compiled) if c.is_duty else None
        )
        if runs is not None:
            for run in runs:
                self._stop(run, StopCause.RECLAIM, c.name, f"{c.name} is due")
            ledger.promise(c, need_mb)

    def _foretell(self, c: CompiledSpec, slot: Slot) -> None:
        """Raise the alert before the miss: when the chance of missing passes its threshold."""
        if slot.deadline is None:
            return
        estimate = self.state.record(c.name).estimate
        likely = estimates.quantile_minutes(c.spec, estimate, 1 - self.rules.alert_probability)
        alert_at = slot.deadline - timedelta(minutes=likely)
        if self.now < alert_at:
            self.wakes.append(alert_at)
            return
        left = (slot.deadline - self.now).total_seconds() / 60
        chance = 1 - estimates.chance_of_finishing(c.spec, estimate, left)
        text = (
            f"{c.name} waits ({self.blocked[c.name].reason}) and will miss its deadline with p = {chance:.2f}"
        )
        self._alert(f"foretold:{c.name}:{slot.slot}", text, c.name)

    def _foretell_running(self, run: ActiveRun, c: CompiledSpec, deadline: datetime) -> None:
        """The same for a run that is under way; looked at again when an eighth of what is left has passed."""
        left = deadline - self.now
        elapsed = (self.now - run.started_at).total_seconds() / 60
        estimate = self.state.record(c.name).estimate
        chance = 1 - estimates.chance_of_finishing(
            c.spec, estimate, max(0.0, left.total_seconds() / 60), max(0.0, elapsed)
        )
        if chance < self.rules.alert_probability:
            self.wakes.append(self.now + max(left / 8, timedelta(minutes=1)))
            return
        text = f"{c.name} is running and will miss its deadline with p = {chance:.2f}"
        self._alert(f"foretold:{c.name}:{run.key.slot}", text, c.name)

    def _alert(self, key: str, text: str, task: str) -> None:
        self.actions.append(RaiseAlert(key=key, text=text, task=task))

    # --- room ahead, and runs that overstay ---------------------------------------------------------------

    def make_room_ahead(self) -> None:
        """Stop research early enough that a duty known to come starts on time."""
        compiled = self.agenda.compiled
        if not any(name in compiled and compiled[name].is_research for name in self.ledger.running):
            return
        for at, _, c in self.agenda.duties_ahead(self.now):
            need, ledger = self.reservation(c), self.ledger_of(c)
            runs = reclaim.obstructing(c, need, at, ledger, self.resources, compiled)
            if runs is None:
                continue
            if self.now < at - self.rules.stop_grace:
                self.wakes.extend([at - self.rules.stop_grace] if runs else [])
                continue
            for run in (r for r in runs if r.task in self.state.running_tasks):
                self._stop(run, StopCause.RECLAIM, c.name, f"{c.name} is due at {at:%H:%M}Z")
            ledger.promise(c, need)

    def stop_the_overstayed(self) -> None:
        """An extendable run past its estimate ends when something more important waits for its place."""
        holds = [hold for ledger in self.ledgers.values() for hold in ledger.holds]
        if not holds:
            return
        for run in self.state.running_tasks.values():
            entry = self.agenda.by_name.get(run.task)
            if entry is None or not entry.compiled.spec.extendable or run.stopping is not None:
                continue
            if self.now < run.predicted_end:
                self.wakes.append(run.predicted_end)
                continue
            for hold in holds:
                waiting = self.agenda.by_name[hold.task].compiled
                if waiting.spec.priority > entry.compiled.spec.priority:
                    self._stop(run, StopCause.RECLAIM, hold.task, f"{hold.task} waits for its place")
                    break

    def decision(self) -> Decision:
        """Put the turn's choices together."""
        assert self.agenda.valid_until is not None
        later = [w for w in self.wakes if w > self.now]
        wake_at = min([self.agenda.valid_until, *later])
        return Decision(
            at=self.now,
            stretch=self.stretch,
            budget=self.stretch.budget_at(self.now),
            actions=tuple(self.actions),
            blocked=self.blocked,
            wake_at=wake_at,
            polls=self.polls,
        )


def _until(failures: list[Gate]) -> datetime | None:
    """The latest of the instants at which the failing gates clear; None if one of them is not known."""
    found = [gate.clears_at for gate in failures]
    return max((t for t in found if t is not None), default=None) if None not in found else None


def _in_local_time(text: str, zone: tzinfo) -> str:
    """Return the text of an alert as it is read on a phone; the weekday is date enough on the day."""
    return with_instants(text, lambda at: f"{at.astimezone(zone):%a %H:%M %Z}")


def active_run(start: StartRun, now: datetime) -> ActiveRun:
    """Return the run that a start makes."""
    return ActiveRun(
        key=start.key,
        started_at=now,
        predicted_end=start.predicted_end,
        reserved_mb=start.memory_mb,
        cpus=start.cpus,
        stop_at=start.stop_at,
        filler=start.filler,
        pool=start.pool,
        deadline=start.must_end_by,
    )
