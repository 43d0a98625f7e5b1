"""The stated workload: the same luck for every policy, and the needs that were stated."""

from __future__ import annotations

from datetime import date, timedelta
from math import inf, isfinite, log
from statistics import fmean, median, pstdev

import pytest

from orchestration.runs import week_of
from orchestration.simulation.stand_ins import Fortune
from orchestration.simulation.workload import (
    CORE,
    STATED,
    StatedWorkload,
    fortunes_of,
    occasion_name,
)
from orchestration.task_specs import TASK_SPECS
from orchestration.types import OncePer, TaskCategory, TaskSpec

SPECS = {spec.name: spec for spec in TASK_SPECS}
NIGHTLY = SPECS["run_nightly_research"]
REPORT = TaskSpec(name="report", category=TaskCategory.REPORTING, estimated_minutes=10, memory_mb=100)
CYCLES = [(date(2026, 1, 5) + timedelta(days=n)).isoformat() for n in range(2000)]


def drawn(spec: TaskSpec, model: StatedWorkload | None = None) -> list[Fortune]:
    """Return the first attempt of each of 2000 cycles."""
    model = model or StatedWorkload(failure_rate=0)
    return [model.draw(spec, 1, f"{cycle}.once") for cycle in CYCLES]


def test_an_occasion_has_the_same_fortunes_whatever_else_was_drawn() -> None:
    alone, busy = StatedWorkload(seed=3), StatedWorkload(seed=3)
    busy.draw(REPORT, 1, "2026-11-20.once")
    busy.draw(NIGHTLY, 1, "2026-11-19.once")

    first, second = (alone.draw(NIGHTLY, n, "2026-11-20.once") for n in (1, 2))

    assert [busy.draw(NIGHTLY, n, "2026-11-20.once") for n in (7, 8)] == [first, second]
    assert first != second, "a fresh attempt has its own fortune"
    assert StatedWorkload(seed=4).draw(NIGHTLY, 1, "2026-11-20.once") != first


def test_policies_share_an_occasion_although_they_name_its_slot_differently() -> None:
    weekly = REPORT.but(once_per=OncePer.WEEK)

    # A timetable's slot is an instant; Monday 2026-11-23 is in week 48.
    assert occasion_name(REPORT, "2026-11-20.20261120T023000Z") == occasion_name(REPORT, "2026-11-20.once")
    assert occasion_name(weekly, "2026-11-23.20261122T130000Z") == occasion_name(weekly, "2026-W48.once")
    assert occasion_name(REPORT, "2026-11-20.setup") != occasion_name(REPORT, "2026-11-20.once")


def test_each_tick_of_what_recurs_is_an_occasion() -> None:
    minutely = REPORT.but(every=timedelta(minutes=1))

    assert occasion_name(minutely, "2026-11-20.20261120T143000Z") == "2026-11-20.20261120T143000Z"


@pytest.mark.parametrize(
    ("task", "minutes", "spread"),
    [
        # What was stated: 8 h, 36 h, refreshes of 5, 120 and 30 minutes, 15 / 2 / 30 for the rest.
        ("run_nightly_research", 480, 0.08),
        ("run_weekend_research", 2160, 0.08),
        ("refresh_symbols", 5, 0.25),
        ("refresh_history", 120, 0.25),
        ("refresh_volume_profiles", 30, 0.25),
        ("train_models", 15, 0.25),
        ("validate_strategies", 2, 0.25),
        ("validate_candidates", 30, 0.25),
    ],
)
def test_stated_needs_are_log_normal_around_what_was_stated(task: str, minutes: float, spread: float) -> None:
    logs = [log(fortune.minutes) for fortune in drawn(SPECS[task])]

    # 2000 draws: the median is known to about 1.25 / sqrt(2000) = 0.028 of the spread, the spread to 2 %.
    assert median(logs) == pytest.approx(log(minutes), abs=5 * 0.028 * spread)
    assert pstdev(logs) == pytest.approx(spread, rel=0.08)


def test_other_tasks_take_what_their_spec_says_but_for_a_few_that_take_long() -> None:
    minutes = [fortune.minutes for fortune in drawn(REPORT)]

    assert median(minutes) == pytest.approx(10, rel=0.05)
    # Beyond e ** (2.6 x 0.35) = 2.5 times the median: 0.5 % of a log-normal law, and of the 2 % with a tail
    # x up to 5 (half of them above 2) the larger part.
    assert 0.005 < fmean(m > 25 for m in minutes) < 0.025
    assert max(minutes) < 10 * 5 * 3


def test_bars_grow_by_a_fifth_in_a_year() -> None:
    data = REPORT.but(category=TaskCategory.DATA)

    def ratio(cycle: str) -> float:
        new = (StatedWorkload(failure_rate=0, first=date(2026, 1, 1)) for _ in range(2))
        grown, plain = (
            model.draw(spec, 1, f"{cycle}.once") for model, spec in zip(new, (data, REPORT), strict=True)
        )
        assert grown.peak_mb / plain.peak_mb == pytest.approx(grown.minutes / plain.minutes)
        return grown.minutes / plain.minutes

    assert ratio("2026-01-01") == pytest.approx(1)
    assert ratio("2027-01-01") == pytest.approx(1.2)
    assert ratio("2025-12-31") == pytest.approx(1), "nothing shrinks before the first day"


def test_one_fresh_attempt_in_twenty_fails_at_any_point_of_its_time() -> None:
    found = drawn(NIGHTLY, StatedWorkload(failure_rate=0.05))
    failed = [fortune for fortune in found if fortune.exit_code]

    # 2000 x 0.05 = 100, standard deviation 10; the mean of their minutes is half of 480.
    assert 60 < len(failed) < 140
    assert fmean(fortune.minutes for fortune in failed) == pytest.approx(240, rel=0.25)


def test_what_recurs_every_few_minutes_fails_fifty_times_as_rarely() -> None:
    model = StatedWorkload(failure_rate=0.5)
    minutely = REPORT.but(every=timedelta(minutes=1))

    failed = sum(model.draw(minutely, 1, f"{cycle}.tick").exit_code for cycle in CYCLES)

    assert 5 < failed < 40  # 2000 x 0.5 x 0.02 = 20


def test_a_search_that_fills_idle_time_goes_on_unless_it_fails_within_its_estimate() -> None:
    search = SPECS["optimize_parameters"]
    found = drawn(search, StatedWorkload(failure_rate=0.5))

    good = [fortune for fortune in found if not fortune.exit_code]
    bad = [fortune for fortune in found if fortune.exit_code]
    assert {fortune.minutes for fortune in good} == {inf}
    assert all(0 < fortune.minutes < search.estimated_minutes for fortune in bad)
    assert all(isfinite(fortune.peak_mb) for fortune in found)


def test_peaks_stay_below_what_a_spec_expects_all_but_rarely() -> None:
    peaks = [fortune.peak_mb for fortune in drawn(REPORT)]

    # 0.8 x e ** (2.23 x 0.1) = 1: 1.3 % are above.
    assert median(peaks) == pytest.approx(80, rel=0.02)
    assert fmean(peak > 100 for peak in peaks) < 0.03


def test_attempts_are_foreseen_up_to_the_first_success_or_the_last_that_is_allowed() -> None:
    always, never = StatedWorkload(failure_rate=1), StatedWorkload(failure_rate=0)

    assert [f.exit_code for f in fortunes_of(always, NIGHTLY, "2026-11-20.once")] == [1, 1, 1]
    assert [f.exit_code for f in fortunes_of(never, NIGHTLY, "2026-11-20.once")] == [0]
    foreseen = fortunes_of(StatedWorkload(failure_rate=0.5), NIGHTLY, "2026-11-20.once")
    drawing = StatedWorkload(failure_rate=0.5)
    assert [drawing.draw(NIGHTLY, 1, "2026-11-20.once") for _ in foreseen] == foreseen


def test_the_demand_names_shipped_tasks_with_stated_needs() -> None:
    demanded = {task for tasks in CORE.values() for task in tasks}

    assert demanded <= SPECS.keys()
    assert demanded <= STATED.keys()


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_failure_rate_is_a_share(rate: float) -> None:
    with pytest.raises(ValueError, match="failure_rate"):
        StatedWorkload(failure_rate=rate)


def test_a_week_is_named_as_runs_name_it() -> None:
    # ISO 8601: 2027-01-01 is a Friday and belongs to the last week of 2026.
    assert week_of(date(2027, 1, 1)) == "2026-W53"
