"""How long each kind of row is kept. Pure: standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long rows are kept; what is open (runs, alerts, the present reason of a task) is always kept.

    runs: ended runs; runs_per_task: how many of one task at most, so that minute tasks do not fill the card.
    waits: why a task waited. skips: why a slot was never run. alerts: after they have cleared.
    """

    runs: timedelta = timedelta(days=400)
    runs_per_task: int = 5000
    waits: timedelta = timedelta(days=30)
    skips: timedelta = timedelta(days=90)
    events: timedelta = timedelta(days=90)
    alerts: timedelta = timedelta(days=400)


RETENTION = Retention()
