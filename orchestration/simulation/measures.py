"""What came of a simulated stretch, folded into figures while it goes.

A year has 270,000 runs: no list of events is kept. What is kept is a few figures per task, and the spans of
the research runs, of which a year has some thousands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

from orchestration.compiled import conflicts_of
from orchestration.decisions import Blocked, Decision, SkipSlot, StartRun
from orchestration.market_calendar import Calendars
from orchestration.runs import EX_TEMPFAIL, Outcome
from orchestration.simulation.box import Simulation
from orchestration.simulation.demand import DemandMeter
from orchestration.simulation.meters import (
    HOUR_S,
    NOT_READY,
    WAITING,
    BoxMeter,
    DeadlineMeter,
    DutyMeter,
    IntrusionMeter,
    ResearchMeter,
    Room,
    Timeline,
    WaitMeter,
)
from orchestration.simulation.research_windows import mode_spans, research_windows
from orchestration.simulation.rivals import Predictions, pooled
from orchestration.simulation.special_days import special_days
from orchestration.simulation.stand_ins import Ended, Model, Started
from orchestration.transitions import outcome_of
from orchestration.types import Interval, OperatingMode, TaskSpec

REFRESHES = frozenset({"refresh_symbols", "refresh_history", "refresh_volume_profiles"})
"""The weekly refreshes: research hours are there for them as for research itself."""
USEFUL = frozenset({Outcome.SUCCEEDED, Outcome.CHECKPOINTED})
WEEK = timedelta(days=7)


class OpenRun(NamedTuple):
    """A run that is under way, as it was started. peak_mb: the most that it can come to use."""

    spec: TaskSpec
    at: datetime
    start: StartRun
    peak_mb: float


class Measures:
    """Everything that is measured of one simulated box: attach it, let the box run, ask for the report.

    week: the stretch whose timeline is kept.
    """

    def __init__(
        self,
        simulation: Simulation,
        specs: Mapping[str, TaskSpec],
        calendars: Calendars,
        begin: datetime,
        end: datetime,
        room: Room,
        week: Interval | None = None,
    ) -> None:
        self.simulation, self.specs, self.room, self.begin, self.end = simulation, specs, room, begin, end
        self.windows, self.spans = research_windows(calendars, begin, end), mode_spans(calendars, begin, end)
        self._calendars, self._conflicts = calendars, conflicts_of(specs)
        self.research, self.demand = ResearchMeter(self.windows), DemandMeter(specs, self.windows)
        self.duties, self.waits, self.box = DutyMeter(), WaitMeter(), BoxMeter(room)
        self.deadlines, self.intrusions = DeadlineMeter(), IntrusionMeter(self.spans)
        self.timeline = Timeline(week or first_week(begin, end, calendars), self.spans)
        self.outcomes: Counter[Outcome] = Counter()
        self.overlaps = 0
        self.predictions: dict[str, Predictions] = {}
        self._open: dict[str, OpenRun] = {}
        self._at = begin
        self._mode: OperatingMode | None = None
        self._waiting: list[Blocked] = []
        self._slots = self._research_runs = 0
        self._promised_mb = 0.0

    def attach(self) -> None:
        """Watch the box from now on, beside what watches it already."""
        before = self.simulation.watch

        def watch(decision: Decision) -> None:
            if before is not None:
                before(decision)
            self.watch(decision)

        self.simulation.watch, self.simulation.runner.observe = watch, self.observe

    # --- while it goes ------------------------------------------------------------------------------------

    def observe(self, event: Started | Ended) -> None:
        """Take in a run's end; its start comes with the decision."""
        if isinstance(event, Ended):
            self._pass(event.at)
            self._note_use(event)
            self._ended(event)

    def watch(self, decision: Decision) -> None:
        """Take in what a turn has decided, carried out already."""
        now = decision.at
        self._pass(now)
        for action in decision.actions:
            if isinstance(action, StartRun):
                self._started(action, now)
            elif isinstance(action, SkipSlot):
                self.deadlines.note_skip(action)
        self._mode = decision.mode
        self._promised_mb = self.simulation.loop.state.estimated_memory_used
        self._waiting = [b for b in decision.blocked.values() if b.failures[0].reason in WAITING]
        self.duties.note_turn(self._duties_held(), now, self._research_runs > 0)
        loop = self.simulation.loop
        if loop.resources is not None:
            used = sum(loop.resources.used_mb.values())
            self.box.note_turn(self._promised_mb, used, loop.resources.available_mb)

    def _duties_held(self) -> dict[str, TaskSpec]:
        """Return the duties that wait for others' runs and for nothing else."""
        held = [self.specs[b.task] for b in self._waiting if b.waits_its_turn]
        return {spec.name: spec for spec in held if spec.is_duty}

    def _pass(self, now: datetime) -> None:
        """Count the time since the last turn or end as what it was then."""
        seconds = (now - self._at).total_seconds()
        if seconds <= 0 or self._mode is None:
            self._at = max(self._at, now)
            return
        in_research = self._mode is OperatingMode.RESEARCH
        self.box.note_passed(seconds, self._promised_mb, self._slots, in_research)
        if self._waiting:
            self._waited(seconds / HOUR_S, in_research)
        self._at = now

    def _waited(self, hours: float, in_research: bool) -> None:
        self.waits.note_passed(self._waiting, hours)
        if not in_research:
            return
        is_ready = False
        for blocked in self._waiting:
            self.demand.note_wait(blocked.task, blocked.reason, self._at, hours)
            is_ready = is_ready or (blocked.reason not in NOT_READY and self.specs[blocked.task].is_research)
        if is_ready and self._slots < self.room.slots:
            self.waits.idle_hours += hours

    def _note_use(self, event: Ended) -> None:
        """Count what is used as a run ends: a run grows to its end, and a turn sees what is left after it."""
        seen_mb = min(self.box.used_peak_mb, self.room.used_most_mb)
        if sum(run.peak_mb for run in self._open.values()) <= seen_mb:
            return  # it cannot be more: as at nearly every end of a year
        loop, at_its_end = self.simulation.loop, event.exit.peak_memory_mb or 0.0
        if event.exit.stop_cause is not None and loop.resources is not None:
            # It was stopped on the way to its peak; the turn that asked it to stop has seen how far it was.
            at_its_end = loop.resources.used_mb.get(event.run_id, 0.0)
        self.box.note_use(at_its_end + sum(self.simulation.runner.usage().values()))

    def _started(self, start: StartRun, now: datetime) -> None:
        spec = self.specs[start.key.task]
        self.overlaps += not self._conflicts[spec.name].isdisjoint(self._open)
        process = self.simulation.runner.runs.get(start.key.run_id)
        self._open[spec.name] = OpenRun(spec, now, start, process.fortune.peak_mb if process else 0.0)
        self._slots += spec.cpus
        self._research_runs += spec.is_research
        self.waits.note_start(spec.name)
        if spec.is_duty:
            self.duties.note_start(spec, start, now)
        if start.must_end_by is not None:
            self.deadlines.note_start(start)

    def _ended(self, event: Ended) -> None:
        run = self._open.pop(event.task, None)
        if run is None:
            return
        spec, outcome = run.spec, outcome_of(event.exit, run.spec)
        self._slots -= spec.cpus
        self._research_runs -= spec.is_research
        self.outcomes[outcome] += 1
        if run.start.must_end_by is not None:
            self.deadlines.note_end(spec.name, event.at, outcome)
        if outcome is Outcome.SUCCEEDED and event.exit.stop_cause is None:
            assert event.exit.duration_s is not None
            self._predictions_of(spec).add(run.start.prediction.high, event.exit.duration_s / 60)
        if spec.is_research:
            self.intrusions.note_end(run.at, event.at)
        if _is_for_research(spec):
            self.demand.note_end(spec.name, run.at, event.at, outcome)
            if outcome in USEFUL:
                self.research.note_useful(spec, Interval(run.at, event.at))
        self.timeline.note_end(spec, _kind(spec), run.at, event.at, outcome.value)

    def _predictions_of(self, spec: TaskSpec) -> Predictions:
        known = self.predictions.get(spec.name)
        if known is None:
            known = self.predictions[spec.name] = Predictions()
        return known

    # --- afterwards ---------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Count what is under way at the end: research that could be stopped with a checkpoint then, and that
        will not fail, has been of use until now."""
        self._pass(self.end)
        for run in self._open.values():
            process = self.simulation.runner.runs.get(run.start.key.run_id)
            will_fail = process is None or process.exit_code not in (0, EX_TEMPFAIL)
            if run.spec.is_research:
                self.intrusions.note_end(run.at, self.end)
            if _is_for_research(run.spec) and run.spec.interruptible and not will_fail:
                self.research.note_useful(run.spec, Interval(run.at, self.end))
            self.timeline.note_end(run.spec, _kind(run.spec), run.at, self.end, "running")
        self.deadlines.finish(self.end)

    def report(self, oracle: Model | None) -> dict[str, object]:
        """Return the figures, keys as docs/research-time.md names them.

        oracle: a model of its own that draws what the simulated one drew, for the clairvoyant bound; None
        where there is none: then there is no finite demand either.
        """
        return {
            **self.research.report(),
            "late_trading_tasks": self.duties.late_for_research,
            "late_duties": self.duties.late,
            "deadlines": {"met": self.deadlines.met, "missed": self.deadlines.missed},
            "memory_conflicts": self.box.memory_conflicts,
            "overlapping_conflicts": self.overlaps,
            "intrusions": self.intrusions.report(),
            "demand": None if oracle is None else self.demand.report(oracle, self.room),
            **self.box.report(),
            "prediction": {
                **pooled(self.predictions.values()),
                "tasks": {task: self.predictions[task].score() for task in sorted(self.predictions)},
            },
            "waiting_hours": {reason.value: hours for reason, hours in self.waits.hours.items()},
            "idle_hours_with_ready_task": self.waits.idle_hours,
            "starved": self.waits.starved(self.specs),
            "runs": {outcome.value: count for outcome, count in self.outcomes.most_common()},
            "decisions": self.simulation.decisions,
            "special_days": [
                {
                    "day": special.day.isoformat(),
                    "what": special.what,
                    "window": special.window.name,
                    "utilisation": self.research.share_of(special.window),
                }
                for special in special_days(self._calendars, self.windows)
            ],
            "timeline": self.timeline.report(),
        }


def first_week(begin: datetime, end: datetime, calendars: Calendars, day: date | None = None) -> Interval:
    """Return the week, Monday to Monday by the exchange's clock, that contains `day`, cut to the simulated
    stretch. day: None: the first whole one of the stretch, or what there is of it."""
    zone = calendars.home.zone

    def midnight(of: date) -> datetime:
        return datetime(of.year, of.month, of.day, tzinfo=zone).astimezone(begin.tzinfo)

    if day is None:
        first = calendars.home.local_date(begin)
        monday = first + timedelta(days=-first.weekday() % 7)
        if midnight(monday) + WEEK > end:
            return Interval(begin, min(end, begin + WEEK))
    else:
        monday = day - timedelta(days=day.weekday())
    return Interval(max(begin, midnight(monday)), min(end, midnight(monday + WEEK)))


def _is_for_research(spec: TaskSpec) -> bool:
    return spec.is_research or spec.name in REFRESHES


def _kind(spec: TaskSpec) -> str:
    """Return what a run is to a timeline: core or filler of research, duty or upkeep of the box."""
    if _is_for_research(spec):
        return "filler" if spec.opportunistic else "core"
    return "duty" if spec.is_duty else "upkeep"
