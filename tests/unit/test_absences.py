"""Which duties were missed while the daemon was away: what a daemon would have run in that time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.absences import Absence, missed_duties, told
from orchestration.decide import decide
from orchestration.decisions import StartRun
from orchestration.runs import SchedulerState, TaskRecord
from orchestration.simulation.stand_ins import Started
from orchestration.types import Catchup, TaskCategory, TaskSpec
from tests.calendars import ny
from tests.unit.deciding import CALENDARS, UNIFIED, box, duty, research
from tests.unit.living import Box

WATCH = duty("watch", every=timedelta(minutes=30), window="open..close", estimated_minutes=0.1)
BELL = duty("bell", at="open-30m", estimated_minutes=0.1)
LATER = duty(
    "later", cron="0 17 * * mon-fri", catchup=Catchup.ONCE, grace=timedelta(hours=3), estimated_minutes=0.1
)
BOOKS = duty("books", phases={"POST_MARKET"}, estimated_minutes=0.1)
NIGHTLY = duty(
    "nightly", window="close+30m..prep", phases={"POST_MARKET", "OVERNIGHT"}, estimated_minutes=0.1
)
STUDY = research("study")
SPECS = {spec.name: spec for spec in (WATCH, BELL, LATER, BOOKS, NIGHTLY, STUDY)}
MONDAY = ny("2026-11-16T00:00")
MINUTE = timedelta(minutes=1)


def missed(start: str, end: str, specs: Mapping[str, TaskSpec] = SPECS) -> dict[str, int]:
    absence = Absence(ny(start), ny(end), orderly=False)
    return missed_duties(absence, specs, remembered(absence.start), CALENDARS, UNIFIED)


def remembered(at: datetime) -> dict[str, TaskRecord]:
    """Return records of tasks that are not new and did all they had to before `at`."""
    long_ago = ny("2026-11-02T12:00")
    return {name: TaskRecord(last_started_at=long_ago, last_slot=min(at, long_ago)) for name in SPECS}


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        # Thursday: 09:30 is still to be run, then 10:00, 10:30 and 11:00; that of 11:00 runs at 11:07, late.
        ("2026-11-19T09:45", "2026-11-19T11:07", {"watch": 3}),
        # 09:30 to 15:30 are 13 ticks; the bell at 09:00; the books have till 18:00, that of 17:00 till 20:00.
        ("2026-11-19T08:59", "2026-11-19T18:30", {"watch": 13, "bell": 1, "books": 1}),
        ("2026-11-19T08:59", "2026-11-19T20:01", {"watch": 13, "bell": 1, "books": 1, "later": 1}),
        # To the next PREP at 04:00 the nightly task has time.
        ("2026-11-19T20:30", "2026-11-20T03:59", {}),
        ("2026-11-19T20:30", "2026-11-20T04:01", {"nightly": 1}),
        # A weekend has no duties but Friday night's.
        ("2026-11-20T23:00", "2026-11-22T23:00", {}),
        # Thanksgiving is closed, Friday closes at 13:00: 7 ticks from 09:30.
        ("2026-11-26T00:00", "2026-11-27T13:30", {"watch": 7, "bell": 1, "later": 1}),
    ],
)
def test_the_occasions_of_a_known_time_are_counted(start: str, end: str, found: dict[str, int]) -> None:
    assert missed(start, end) == found


@settings(max_examples=25)
@given(first=st.integers(0, 7 * 24 * 60), minutes=st.integers(5, 4 * 24 * 60))
def test_they_are_those_that_a_daemon_would_have_run(first: int, minutes: int) -> None:
    """A second method: the same days simulated, less what can still be run at their end."""
    start = MONDAY + timedelta(minutes=first)
    end = start + timedelta(minutes=minutes)
    made = Box(*SPECS.values(), at=start)
    made.loop.state = SchedulerState(records=remembered(start))

    made.sim.run_until(end)

    begun = Counter(event.task for event in made.sim.events if isinstance(event, Started) and event.at < end)
    before = SchedulerState(records=remembered(start))
    still = {
        run.key.task for run in decide(UNIFIED, before, end, box(), SPECS, CALENDARS).starts if _old(run, end)
    }
    expected = {name: count - (name in still) for name, count in begun.items() if SPECS[name].is_duty}
    absence = Absence(start, end, orderly=False)
    found = missed_duties(absence, SPECS, remembered(start), CALENDARS, UNIFIED)
    assert found == {name: count for name, count in expected.items() if count}


def _old(run: StartRun, end: datetime) -> bool:
    """Whether its occasion began before `end`; one without an instant has been going on."""
    return run.due_at is None or run.due_at < end


def test_what_rests_is_disabled_or_is_no_trading_duty_is_not_missed() -> None:
    off, upkeep = WATCH.but(enabled=False), WATCH.but(category=TaskCategory.MAINTENANCE)
    day = ("2026-11-19T08:59", "2026-11-19T18:30")

    assert [missed(*day, specs={"watch": spec}) for spec in (off, upkeep, STUDY)] == [{}, {}, {}]


def test_of_a_long_absence_the_last_days_are_counted() -> None:
    found = missed(
        "2026-01-05T00:00", "2026-11-19T23:00", specs={"bell": BELL, "watch": WATCH.but(every=MINUTE)}
    )

    # 20 October to 19 November are 22 trading days; more than a thousand is a thousand.
    assert found["bell"] == 22 + (ny("2026-10-20T09:00") > ny("2026-11-19T23:00") - timedelta(days=30))
    assert found["watch"] >= 1000


def test_an_absence_is_told_with_the_most_missed_first_and_not_more_than_eight() -> None:
    absence = Absence(ny("2026-11-19T08:59"), ny("2026-11-19T09:06"), orderly=True)

    text = told(absence, {**{f"t{n}": 1 for n in range(9)}, "watch": 1000, "bell": 2})

    assert text.startswith(
        "the daemon was down from 2026-11-19 13:59Z to 2026-11-19 14:06Z (7m): it had been stopped."
    )
    assert "watch (1000 times or more), bell (2 times), t0 (once)" in text
    assert text.endswith("and 3 more.")
