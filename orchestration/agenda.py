"""What cannot have changed is not evaluated again: each task's timing, kept until it may change. Pure.

An `Agenda` is a cache that a caller may pass to `decide` turn after turn; with or without one the decision
is the same (a property test holds it to that).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from orchestration.compiled import CompiledSpec, chain_lengths, compile_spec, conflicts_of
from orchestration.decisions import Blocked, Policy
from orchestration.market_calendar import Calendars
from orchestration.runs import SchedulerState, TaskRecord
from orchestration.slots import Timing, timing
from orchestration.types import Stretch, TaskSpec

HORIZON = timedelta(days=10)


class Entry:
    """One task's compiled spec, and the timing last worked out with what it was worked out from."""

    __slots__ = ("blocked", "compiled", "manual", "record", "timing")

    def __init__(self, compiled: CompiledSpec) -> None:
        self.compiled = compiled
        self.record: TaskRecord | None = None
        self.manual: str | None = None
        self.timing: Timing | None = None
        self.blocked: Blocked | None = None


class Agenda:
    """The timings of all specs at an instant, brought up to date by `refresh`."""

    def __init__(self) -> None:
        self._made_from: tuple[object, object, object] = (None, None, None)
        self.entries: list[Entry] = []
        self.by_name: dict[str, Entry] = {}
        self.ahead: list[Stretch] = []
        self.due: list[Entry] = []
        self.missed: list[Entry] = []
        self.duties: list[Entry] = []
        self.blocked: dict[str, Blocked] = {}
        self.valid_until: datetime | None = None
        self._valid_from: datetime | None = None
        self._paused: str | None = None

    def refresh(
        self,
        policy: Policy,
        specs: Mapping[str, TaskSpec],
        calendars: Calendars,
        state: SchedulerState,
        now: datetime,
    ) -> None:
        """Bring every timing up to date at `now`, evaluating only what may have changed."""
        if (
            self._made_from[0] is not policy
            or self._made_from[1] is not specs
            or self._made_from[2] is not calendars
        ):
            self._compile(policy, specs, calendars)
        stale = (
            self.valid_until is None
            or self._valid_from is None
            or not self._valid_from <= now < self.valid_until
            or self._paused != state.paused
        )
        if stale:
            self._look_ahead(calendars, now)
        records, manual = state.records, state.manual
        changed = False
        # A timing holds until its own instant, unless the clock went back or the operator paused something.
        holds = self._valid_from is not None and self._valid_from <= now and self._paused == state.paused
        for entry in self.entries:
            name, known = entry.compiled.name, entry.timing
            if (
                known is None
                or not (holds and now < known.valid_until)
                or records.get(name) is not entry.record
                or manual.get(name) != entry.manual
            ):
                self._evaluate(entry, calendars, state, now)
                changed = True
        if changed or stale:
            self._collect(now)
        self._paused = state.paused

    def _compile(self, policy: Policy, specs: Mapping[str, TaskSpec], calendars: Calendars) -> None:
        conflicts, chains = conflicts_of(specs), chain_lengths(specs)
        self.entries = []
        for name in sorted(specs):
            compiled = compile_spec(specs[name], calendars, policy)
            compiled.conflicts, compiled.chain = conflicts[name], chains[name]
            self.entries.append(Entry(compiled))
        self.by_name = {entry.compiled.name: entry for entry in self.entries}
        self._made_from = (policy, specs, calendars)
        self.ahead, self.valid_until = [], None

    def _look_ahead(self, calendars: Calendars, now: datetime) -> None:
        """Keep consecutive stretches from the one that contains `now` to beyond the horizon."""
        if not self.ahead or now < self.ahead[0].start:
            self.ahead = [calendars.stretch(now)]
        while self.ahead and self.ahead[0].end <= now:
            self.ahead.pop(0)
        if not self.ahead:
            self.ahead = [calendars.stretch(now)]
        while self.ahead[-1].end < now + HORIZON:
            self.ahead.append(calendars.stretch(self.ahead[-1].end))

    def _evaluate(self, entry: Entry, calendars: Calendars, state: SchedulerState, now: datetime) -> None:
        """Work out one timing again."""
        name = entry.compiled.name
        record, manual = state.record(name), state.manual.get(name)
        found = timing(entry.compiled, now, calendars, self.ahead, record, manual, state.paused)
        entry.timing, entry.record, entry.manual = found, state.records.get(name), manual
        entry.blocked = Blocked(name, found.failures, found.next_at) if found.slot is None else None

    def _collect(self, now: datetime) -> None:
        self._valid_from = now
        self.due, self.missed, self.duties, self.blocked = [], [], [], {}
        until = self.ahead[0].end
        for entry in self.entries:
            found = entry.timing
            assert found is not None
            until = min(until, found.valid_until)
            if entry.blocked is None:
                self.due.append(entry)
            else:
                self.blocked[entry.compiled.name] = entry.blocked
                if entry.compiled.is_duty and found.next_at is not None and entry.compiled.spec.enabled:
                    self.duties.append(entry)
            if found.missed is not None:
                self.missed.append(entry)
        self.valid_until = until
