"""The daemon's words as values: tasks, sessions, windows, budgets. Pure and light: standard library only.

Instants are aware UTC datetimes, durations are `timedelta`, memory is MB (10^6 bytes), intervals are half
open [a, b).
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import IntEnum, StrEnum
from types import MappingProxyType


class TaskPriority(IntEnum):
    """How much a task matters; a larger value matters more, so CRITICAL > HIGH."""

    BACKGROUND = 1
    LOW = 2
    NORMAL = 3
    HIGH = 4
    CRITICAL = 5


class TaskCategory(StrEnum):
    """What a task is for."""

    TRADING = "trading"
    RISK = "risk"
    DATA = "data"
    RESEARCH = "research"
    OPTIMIZATION = "optimization"
    VALIDATION = "validation"
    MAINTENANCE = "maintenance"
    REPORTING = "reporting"


class OperatingMode(StrEnum):
    """What the box is for at this hour."""

    TRADING = "trading"
    RESEARCH = "research"
    PREP = "prep"


class Phase(StrEnum):
    """The market's part of the day."""

    PRE_MARKET = "PRE_MARKET"
    MARKET_OPEN = "MARKET_OPEN"
    POST_MARKET = "POST_MARKET"
    OVERNIGHT = "OVERNIGHT"
    WEEKEND = "WEEKEND"
    HOLIDAY = "HOLIDAY"


class OncePer(StrEnum):
    """How often a task that does not recur runs."""

    CYCLE = "cycle"
    PHASE = "phase"
    WEEK = "week"
    MONTH = "month"


class Catchup(StrEnum):
    """What happens to a slot that was missed: nothing, or one late run within `grace`."""

    SKIP = "skip"
    ONCE = "once"


class ShortDay(StrEnum):
    """What a task does on an early close: run as its window says, or not at all."""

    RUN = "run"
    SKIP = "skip"


NEEDS = frozenset({"network", "clock", "broker"})
NO_ENV: Mapping[str, str] = MappingProxyType({})
NO_AGES: Mapping[str, timedelta] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """What may run, when, and with what. Every field but `name` has a default.

    name: unique; lower case letters, digits and underscores.
    argv: the command, never through a shell; "{python}" stands for the daemon's own interpreter.
    env, cwd: added to the child's allow-listed environment; its directory (None: the project's root).
    phases, modes: where it may run; empty means anywhere.
    calendar: MIC name of the exchange whose sessions `on`, `window`, `at` and `deadline` speak of.
    on, window, at, every, cron, deadline: the when-grammar (see docs/when.md); at most one of window-only,
        at, cron decides the slots; `every` recurs inside `window` (or inside its phases).
    short_day: what happens on an early close. catchup, grace: what happens to a missed slot.
    dependencies: tasks that must have succeeded in the same cycle, or no longer ago than
        dependency_max_age[name] where given.
    conflicts: tasks that must not run beside it (the registry makes this symmetric).
    memory_mb: the expected peak of the whole process tree; cpus: slots of the pool it takes (0: it is so
        short and light that it runs beside whatever else does).
    estimated_minutes: expected duration until there is history; timeout_minutes: when it is stopped.
    max_attempts: tries per slot; backoff: wait before the second one, doubled for each further.
    extendable: may run past its estimate while its window lasts. interruptible: checkpoints on SIGTERM,
        exits 75 and resumes. idempotent: may be run again after a crash. opportunistic: fills time left.
    min_slice_minutes: an interruptible task starts only if it gets at least this long.
    needs: of "network", "clock", "broker". secrets: names of the credentials it may see.
    once_per: how often a task without at, every or cron runs.
    tolerance: how late a start still counts as on time.
    setup: due at once, whatever the hour, while it has never succeeded on this box.
    reconciled_by: the task whose later success clears an UNKNOWN run of this one (None: only the operator).
    """

    name: str
    description: str = ""
    category: TaskCategory = TaskCategory.MAINTENANCE
    priority: TaskPriority = TaskPriority.NORMAL
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: NO_ENV)
    cwd: str | None = None
    phases: AbstractSet[str] = frozenset()
    modes: AbstractSet[str] = frozenset()
    calendar: str = "XNYS"
    on: str = "all"
    window: str | None = None
    at: str | None = None
    every: timedelta | None = None
    cron: str | None = None
    deadline: str | None = None
    short_day: ShortDay = ShortDay.RUN
    catchup: Catchup = Catchup.SKIP
    grace: timedelta = timedelta(minutes=5)
    dependencies: AbstractSet[str] = frozenset()
    dependency_max_age: Mapping[str, timedelta] = field(default_factory=lambda: NO_AGES)
    conflicts: AbstractSet[str] = frozenset()
    memory_mb: float = 100.0
    estimated_minutes: float = 5.0
    timeout_minutes: float = 60.0
    max_attempts: int = 1
    backoff: timedelta = timedelta(minutes=1)
    extendable: bool = False
    interruptible: bool = False
    idempotent: bool = False
    opportunistic: bool = False
    needs: AbstractSet[str] = frozenset()
    pool: str = "local"
    enabled: bool = True
    cpus: int = 1
    min_slice_minutes: float = 0.0
    secrets: AbstractSet[str] = frozenset()
    once_per: OncePer = OncePer.CYCLE
    tolerance: timedelta = timedelta(minutes=1)
    setup: bool = False
    reconciled_by: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("phases", "modes", "dependencies", "conflicts", "needs", "secrets"):
            put(self, name, frozenset(str(v) for v in getattr(self, name)))
        put(self, "argv", tuple(self.argv))
        put(self, "category", TaskCategory(self.category))
        put(self, "once_per", OncePer(self.once_per))
        put(self, "catchup", Catchup(self.catchup))
        put(self, "short_day", ShortDay(self.short_day))

    @property
    def recurs(self) -> bool:
        """Whether slots come from a grid or a clock time rather than from `once_per`."""
        return self.every is not None or self.cron is not None or self.at is not None

    @property
    def is_duty(self) -> bool:
        """A CRITICAL or HIGH task of TRADING or PREP: research makes room for it."""
        return self.priority >= TaskPriority.HIGH and self.category not in RESEARCH_CATEGORIES

    @property
    def is_research(self) -> bool:
        """Whether its run may be stopped to make room for a duty, and is held to the research budget."""
        return self.category in RESEARCH_CATEGORIES

    def but(self, **changes: object) -> TaskSpec:
        """Return a copy with `changes`."""
        return replace(self, **changes)  # type: ignore[arg-type]  # field names are checked by replace


RESEARCH_CATEGORIES = frozenset({TaskCategory.RESEARCH, TaskCategory.OPTIMIZATION, TaskCategory.VALIDATION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One trading day of one exchange. `day` is the exchange's local date; instants are aware UTC."""

    exchange: str
    day: date
    open: datetime
    close: datetime
    break_start: datetime | None = None
    break_end: datetime | None = None
    is_early_close: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """A half-open stretch of time [start, end), aware UTC."""

    start: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A stretch of market time in one phase.

    day: the session's date for PRE_MARKET, MARKET_OPEN and POST_MARKET; for a closed window the trading
        day it leads up to. None only in hand-made windows.
    """

    phase: str
    start: datetime | None = None
    end: datetime | None = None
    day: date | None = None

    @property
    def id(self) -> str:
        """Its name, as `2026-11-20/OVERNIGHT`."""
        return f"{self.day or '-'}/{self.phase}"


@dataclass(frozen=True, slots=True)
class MarketCalendar:
    """What the calendar says of one instant.

    is_trading_day, is_early_close: of the instant's date on the exchange.
    next_trading_day: the first trading day whose 08:00 local lies after the instant; None if unknown.
    hours_until_trading: 0 while the market is open, else hours to the next opening bell.
    """

    is_trading_day: bool
    is_early_close: bool = False
    next_trading_day: date | None = None
    hours_until_trading: float = 0.0

    @property
    def is_market_open(self) -> bool:
        """Whether the instant lies in [open, close) of a session."""
        return self.is_trading_day and self.hours_until_trading == 0.0


@dataclass(frozen=True, slots=True)
class ResearchBudget:
    """The hours of research time left in the window that contains now, else in the next one.

    total_hours: from max(now, window start) to the window's end; research_hours: to the start of PREP.
    budget_type: overnight, weekend, holiday or holiday_weekend.
    is_extended: the window's whole research span is over 12 h.
    span_hours: the window's whole research span; None: not known, taken as research_hours.
    """

    total_hours: float
    research_hours: float
    budget_type: str
    is_extended: bool = False
    span_hours: float | None = None

    @property
    def budget_pct_remaining(self) -> float:
        """research_hours over the window's whole research span: 1 at its start, falling to 0 at PREP."""
        span = self.research_hours if self.span_hours is None else self.span_hours
        return min(1.0, self.research_hours / span) if span > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch [start, end) over which mode, phase and cycle do not change, and the research window
    that contains it or comes next.

    window: the phase's own window, which may be longer (PREP and RESEARCH share OVERNIGHT).
    cycle: the trading day that [close(p), close(n)) leads up to.
    research_start, prep_start, research_end: W(n).start, P(n) and T(n) of the budget's window.
    is_known: False when no session table covers the instant; then mode is RESEARCH, the budget is 0 and
        trading tasks are refused.
    """

    start: datetime
    end: datetime
    mode: OperatingMode
    phase: Phase
    window: TimeWindow
    cycle: date
    research_start: datetime
    prep_start: datetime
    research_end: datetime
    budget_type: str
    is_known: bool = True

    def budget_at(self, now: datetime) -> ResearchBudget:
        """Return the research budget at `now`, an instant of this stretch."""
        start = max(now, self.research_start)
        span = _hours(self.prep_start - self.research_start)
        return ResearchBudget(
            total_hours=_hours(self.research_end - start),
            research_hours=max(0.0, _hours(self.prep_start - start)),
            budget_type=self.budget_type,
            is_extended=span > EXTENDED_HOURS,
            span_hours=span,
        )


EXTENDED_HOURS = 12.0


def _hours(duration: timedelta) -> float:
    return duration.total_seconds() / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """The four offsets of the trading day, as settings.

    after_close: from the close to the window's start (and the length of POST_MARKET).
    ready_at_minutes: T(d), minutes after local midnight of a trading day (480 = 08:00).
    prep_after_weekend, prep_after_night: how long before T PREP begins, with a Saturday or Sunday between
        and without.
    """

    after_close: timedelta = timedelta(hours=2)
    ready_at_minutes: int = 480
    prep_after_weekend: timedelta = timedelta(hours=6)
    prep_after_night: timedelta = timedelta(hours=4)
