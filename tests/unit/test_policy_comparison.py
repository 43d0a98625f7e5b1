"""Policies side by side, in this process: one report, the same demand, and the page for people."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from orchestration.policies import POLICIES
from orchestration.reports import SessionTables
from orchestration.simulation.command import ProgressLine, page, stretch_of
from orchestration.simulation.comparison import Study, compare, without
from orchestration.simulation.measures import first_week
from orchestration.simulation.replay import Trace, TracedTask
from orchestration.simulation.workload import StatedWorkload
from orchestration.types import Interval
from tests.calendars import nyse_2026
from tests.unit.deciding import CALENDARS, UNIFIED, research

NIGHTLY = research(
    "run_nightly_research",
    interruptible=True,
    estimated_minutes=480,
    timeout_minutes=600,
    phases={"OVERNIGHT"},
)
FILLER = research("filler", opportunistic=True, estimated_minutes=5)
OFF = research("off", enabled=False)


def study(**changes: Any) -> Study:
    """Return two days of a small box: Thursday, 2026-11-19, and Friday."""
    common: dict[str, Any] = {
        "specs": {"run_nightly_research": NIGHTLY, "filler": FILLER},
        "tables": SessionTables({"XNYS": tuple(nyse_2026().table)}),
        "first": date(2026, 11, 19),
        "days": 2,
        "seed": 1,
        "make_model": lambda: StatedWorkload(failure_rate=0),
    }
    return Study(**{**common, **changes})


def test_a_report_names_what_was_simulated_and_has_a_part_for_each_policy() -> None:
    found: Any = compare(study(), POLICIES, without(UNIFIED))

    assert found["simulated"] == {
        "from": "2026-11-19T05:00:00+00:00",
        "to": "2026-11-21T05:00:00+00:00",
        "days": 2,
        "seed": 1,
        "workload": "stated",
        "tasks": 2,
    }
    assert list(found["policies"]) == ["timetable", "phases", "unified"]
    assert list(found["ablations"]) == [
        "without_backfill",
        "without_reservation",
        "without_extension",
        "without_learned_estimates",
    ]
    assert all(part.keys() == found["policies"]["unified"].keys() for part in found["ablations"].values())


def test_every_policy_is_asked_for_the_same() -> None:
    found: Any = compare(study(), POLICIES)

    demands = [part["demand"] for part in found["policies"].values()]
    # One whole night, Thursday's; Wednesday's and Friday's are simulated in part.
    assert [demand["windows"] for demand in demands] == [1, 1, 1]
    assert len({demand["hours_demanded"] for demand in demands}) == 1
    assert len({demand["bound"]["hours_finished"] for demand in demands}) == 1


def test_the_same_seed_gives_the_same_figures() -> None:
    first, second = (compare(study(), {"unified": UNIFIED})["policies"] for _ in range(2))

    assert {**first["unified"], **MEASURED} == {**second["unified"], **MEASURED}  # type: ignore[index]  # a table


MEASURED = {"wall_seconds": 0, "cpu_seconds": 0, "peak_rss_mb": 0}


def test_an_ablation_leaves_out_one_part() -> None:
    left_out = {
        name: [part for part in ("backfill", "reserve", "extend", "learn") if not getattr(policy, part)]
        for name, policy in without(UNIFIED).items()
    }

    assert left_out == {
        "without_backfill": ["backfill"],
        "without_reservation": ["reserve"],
        "without_extension": ["extend"],
        "without_learned_estimates": ["learn"],
    }


def test_without_backfill_the_filler_never_starts() -> None:
    found: Any = compare(study(), {"unified": UNIFIED}, {"without": without(UNIFIED)["without_backfill"]})

    assert found["policies"]["unified"]["filler_utilisation"]["all"] > 0
    assert found["ablations"]["without"]["filler_utilisation"]["all"] == 0


def test_progress_is_told_for_each_policy_up_to_the_whole() -> None:
    told: list[tuple[str, float]] = []

    compare(study(), {"unified": UNIFIED}, progress=lambda name, share: told.append((name, share)))

    assert told == [("unified", 0.5), ("unified", 1.0)]


def test_names_and_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="jobs is 0"):
        compare(study(), {"unified": UNIFIED}, jobs=0)
    with pytest.raises(ValueError, match="ablations are called unified"):
        compare(study(), {"unified": UNIFIED}, {"unified": UNIFIED})


def test_a_trace_is_run_instead_of_the_specs() -> None:
    row = TracedTask(spec=research("traced", modes={"research"}), submit=20 * 3600.0, duration_s=3600)
    found: Any = compare(study(trace=Trace({"traced": row}), workload="trace"), {"unified": UNIFIED})

    part = found["policies"]["unified"]
    assert found["simulated"]["tasks"] == 1
    assert (part["trace"]["submitted"], part["trace"]["finished"]) == (1, 1)
    assert part["demand"] is None
    # An hour of it, from 20:00 on Thursday.
    hours = part["research_hours"]["all"]
    assert part["utilisation"]["all"] * hours == pytest.approx(1, abs=1e-3)


# --- what is shown ------------------------------------------------------------------------------------------


def test_the_page_says_how_the_hours_were_used_and_what_was_finished() -> None:
    found: Any = compare(study(), {"unified": UNIFIED})
    found["policies"]["unified"]["wall_seconds"] = 1.234

    lines = page(found).splitlines()

    assert lines[0].startswith("policy unified, 2 days in 1.23 s, ")
    # Of Wednesday's night 4 h lie in the stretch, of Thursday's all 10, of the weekend 6.
    assert lines[2].startswith("research hours 20.0, in use ")
    assert lines[3].startswith("  overnight: ")
    assert "demand: 1 of 1 finished in their windows, 1 at best; in 1.0" in page(found)
    assert "late duties 0, because of research 0; memory conflicts 0, overlaps 0" in lines


def test_a_page_about_nothing_says_so() -> None:
    lines = page(compare(study(specs={"off": OFF}), {"unified": UNIFIED})).splitlines()

    assert lines[1:3] == ["runs: none", "research hours 20.0, in use 0%"]
    assert not any(line.startswith("demand") for line in lines)


def test_a_year_is_simulated_whole_and_a_day_for_a_week() -> None:
    assert stretch_of("2028", None) == (date(2028, 1, 1), 366)
    assert stretch_of("2028", 3) == (date(2028, 1, 1), 3)
    assert stretch_of("2026-11-20", None) == (date(2026, 11, 20), 7)


@pytest.mark.parametrize(
    ("day", "week"),
    [
        # Midnight in New York is 05:00 UTC in winter. The first whole week begins on Monday the 9th.
        (None, ("2026-11-09", "2026-11-16")),
        (date(2026, 11, 22), ("2026-11-16", "2026-11-23")),
        (date(2026, 11, 4), ("2026-11-03", "2026-11-09")),
    ],
)
def test_the_week_of_the_timeline_is_chosen_or_the_first_whole_one(
    day: date | None, week: tuple[str, str]
) -> None:
    begin = datetime(2026, 11, 3, 5, tzinfo=UTC)

    found = first_week(begin, begin + timedelta(days=30), CALENDARS, day)

    start, end = (datetime.fromisoformat(f"{day}T05:00+00:00") for day in week)
    assert found == Interval(start, end)


def test_without_a_whole_week_the_timeline_is_what_there_is() -> None:
    begin = datetime(2026, 11, 3, 5, tzinfo=UTC)
    end = begin + timedelta(days=3)

    assert first_week(begin, end, CALENDARS) == Interval(begin, end)


class Terminal(StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_where_a_person_watches_and_nothing_elsewhere() -> None:
    watched, piped = Terminal(), StringIO()

    for stream in (watched, piped):
        line = ProgressLine(stream)
        line.show("unified", 0.25)
        line.show("phases", 0.5)
        line.clear()

    assert "\rsimulating unified 25%, phases 50%" in watched.getvalue()
    assert "\n" not in watched.getvalue()
    assert piped.getvalue() == ""
