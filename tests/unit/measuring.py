"""A small simulated box with everything measured: hand-made specs and fortunes over a night or a weekend.

The night before Friday 2026-11-20 has ten research hours, 18:00 to 04:00; the weekend before Monday the 23rd
has 56, Friday 18:00 to Monday 02:00.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestration.decisions import Policy
from orchestration.reports import SessionTables
from orchestration.simulation.box import build
from orchestration.simulation.measures import Measures
from orchestration.simulation.meters import Room
from orchestration.simulation.stand_ins import Fortune
from orchestration.types import TaskSpec
from tests.calendars import calendars_2026, ny, nyse_2026
from tests.unit.deciding import UNIFIED
from tests.unit.living import Fortunes

DUSK, PREP = ny("2026-11-19T18:00"), ny("2026-11-20T04:00")
FRIDAY_DUSK, MONDAY_PREP = ny("2026-11-20T18:00"), ny("2026-11-23T02:00")
ROOM = Room(slots=4, total_mb=4000, foreign_mb=400, reserve_mb=300)
"""What `SteadySensors` and `Rules` say by themselves."""


def measured(
    *specs: TaskSpec,
    begin: datetime = DUSK,
    end: datetime = PREP,
    policy: Policy = UNIFIED,
    fortunes: Mapping[str, Sequence[Fortune]] | None = None,
) -> Measures:
    """Return the measures of a box that ran from `begin` to `end`."""
    by_name = {spec.name: spec for spec in specs}
    tables = SessionTables({"XNYS": tuple(nyse_2026().table)})
    box = build(by_name, policy, tables, begin, model=Fortunes(fortunes or {}), keep_events=False)
    measures = Measures(box, by_name, calendars_2026(), begin, end, ROOM)
    measures.attach()
    box.run_until(end)
    measures.finish()
    return measures


def report(*specs: TaskSpec, fortunes: Mapping[str, Sequence[Fortune]] | None = None, **how: Any) -> Any:
    """Return the report of such a box; the bound sees the same fortunes."""
    return measured(*specs, fortunes=fortunes, **how).report(Fortunes(fortunes or {}))
