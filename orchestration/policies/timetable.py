"""The fixed timetable: research by the clock, blind to holidays; the box's old behaviour and the way back.

Session, memory, conflict, dependency, reconcile and clock gates hold as everywhere; only the timing of what
is named here is blind. Tasks that are not named keep their own windows, which follow the sessions; research
that is not named never starts.
"""

from __future__ import annotations

from types import MappingProxyType

from orchestration.decisions import Policy, TimetableEntry

NIGHT_MINUTES = 4 * 60
WEEKEND_MINUTES = 8 * 60

ENTRIES = MappingProxyType(
    {
        "run_nightly_research": TimetableEntry(cron="30 21 * * mon-thu", minutes=NIGHT_MINUTES),
        "run_weekend_research": TimetableEntry(cron="0 20 * * fri", minutes=WEEKEND_MINUTES),
        "refresh_symbols": TimetableEntry(cron="0 8 * * sun"),
        "refresh_history": TimetableEntry(cron="5 8 * * sun"),
        "refresh_volume_profiles": TimetableEntry(cron="5 10 * * sun"),
        "train_models": TimetableEntry(cron="0 14 * * sun"),
        "validate_strategies": TimetableEntry(cron="15 14 * * sun"),
        "validate_candidates": TimetableEntry(cron="17 14 * * sun"),
    }
)
"""Local time of the exchange. Where `minutes` is None the spec's timeout holds."""

TIMETABLE = Policy(
    name="timetable",
    timetable=ENTRIES,
    by_mode=False,
    backfill=False,
    reserve=False,
    extend=False,
    learn=False,
)
