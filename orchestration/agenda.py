"""What cannot have changed is not evaluated again: each task's timing, kept until it may change. Pure.

An `Agenda` is a cache that a caller may pass to `decide` turn after turn; with or without one the decision
is the same (a property test holds it to that).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from operator import attrgetter

from orchestration.compiled import CompiledSpec, chain_lengths, compile_spec, conflicts_of
from orchestration.decisions import Blocked, Policy
from orchestration.market_calendar import Calendars
from orchestration.runs import SchedulerState, TaskRecord
from orchestration.slots import Timing, timing
from orchestration.types import Stretch, TaskSpec

HORIZON = timedelta(days=10)
UNTIL = attrgetter("until")


class Entry:
    """One task's compiled spec, and the timing last worked out with what it was worked out from."""

    __slots__ = ("blocked", "compiled", "manual", "name", "record", "timing", "until")

    def __init__(self, compiled: CompiledSpec, until: datetime) -> None:
        self.name, self.compiled, self.until = compiled.name, compiled, until
        self.record: TaskRecord | None = None
        self.manual: str | None = None
        self.timing: Timing | None = None
        self.blocked: Blocked | None = None


class Agenda:
    """The timings of all specs at an instant, brought up to date by `refresh`.

    due, missed: the tasks with a slot to start now, and with one that passed unused. blocked: those whose
    hour it is not, and why.
    """

    def __init__(self) -> None:
        self._made_from: tuple[object, object, object] = (None, None, None)
        self.entries: list[Entry] = []
        self.by_name: dict[str, Entry] = {}
        self.ahead: list[Stretch] = []
        self.compiled: dict[str, CompiledSpec] = {}
        self.due: dict[str, Entry] = {}
        self.missed: dict[str, Entry] = {}
        self.blocked: dict[str, Blocked] = {}
        self.valid_until: datetime | None = None
        self._valid_from: datetime | None = None
        self._paused: str | None = None
        self._has_wishes = False
        self._duties: list[tuple[datetime, str, CompiledSpec]] | None = None

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
            self._compile(policy, specs, calendars, now)
        # A timing holds until its own instant, unless the clock went back or the operator paused something.
        all_over = self._valid_from is None or now < self._valid_from or self._paused != state.paused
        some_over = all_over or self.valid_until is None or now >= self.valid_until
        if some_over:
            self._look_ahead(calendars, now)
        stale = self.entries if all_over else self._stale(state, now, some_over)
        moved = some_over
        for entry in stale:
            until = entry.until
            self._evaluate(entry, calendars, state, now)
            moved = moved or entry.until != until
        if stale or some_over:
            self._valid_from, self._paused = now, state.paused
        if moved:
            self.valid_until = min([self.ahead[0].end, *map(UNTIL, self.entries)])

    def _stale(self, state: SchedulerState, now: datetime, some_over: bool) -> list[Entry]:
        """Return the entries whose record, or the operator's wish for them, is another one than before, and
        with `some_over` those whose timing held until `now`."""
        record_of, wish_for = state.records.get, state.manual.get
        stale = [entry for entry in self.entries if record_of(entry.name) is not entry.record]
        if some_over:
            stale += [entry for entry in self.entries if entry.until <= now]
        if state.manual or self._has_wishes:
            stale += [entry for entry in self.entries if wish_for(entry.name) != entry.manual]
        self._has_wishes = bool(state.manual)
        return stale

    def _compile(
        self, policy: Policy, specs: Mapping[str, TaskSpec], calendars: Calendars, now: datetime
    ) -> None:
        conflicts, chains = conflicts_of(specs), chain_lengths(specs)
        self.compiled = {name: compile_spec(specs[name], calendars, policy) for name in sorted(specs)}
        for name, compiled in self.compiled.items():
            compiled.conflicts, compiled.chain = conflicts[name], chains[name]
        self.entries = [Entry(compiled, now) for compiled in self.compiled.values()]
        self.by_name = {entry.name: entry for entry in self.entries}
        self.due, self.missed, self.blocked = {}, {}, {}
        self._made_from = (policy, specs, calendars)
        self.ahead, self.valid_until, self._valid_from = [], None, None

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
        """Work out one timing again, and put the task where it belongs."""
        name, compiled = entry.name, entry.compiled
        record, manual = state.record(name), state.manual.get(name)
        found = timing(compiled, now, calendars, self.ahead, record, manual, state.paused)
        entry.timing, entry.record, entry.manual = found, state.records.get(name), manual
        entry.until = found.valid_until
        if found.slot is None:
            entry.blocked = self.blocked[name] = Blocked(name, found.failures, found.next_at)
            self.due.pop(name, None)
        else:
            entry.blocked, self.due[name] = None, entry
            self.blocked.pop(name, None)
        if found.missed is not None:
            self.missed[name] = entry
        else:
            self.missed.pop(name, None)
        if compiled.is_duty:
            self._duties = None

    def duties_ahead(self, now: datetime) -> list[tuple[datetime, str, CompiledSpec]]:
        """Return the duties whose next slot is known, each after its instant, the first one first."""
        if self._duties is None:
            self._duties = sorted(
                (entry.timing.next_at, entry.name, entry.compiled)
                for entry in self.entries
                if entry.compiled.is_duty
                and entry.compiled.spec.enabled
                and entry.blocked is not None
                and entry.timing is not None
                and entry.timing.next_at is not None
            )
        return [duty for duty in self._duties if duty[0] > now]
