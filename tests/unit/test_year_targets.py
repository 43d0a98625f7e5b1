"""What a simulated year was to reach: judged by its figures, at the edges too."""

from __future__ import annotations

from typing import Any

import pytest

from observability.report_document import FAIL, INFO, OK, WARN
from scripts._year_facts import Year, built
from scripts._year_numbers import hours, points, share
from scripts._year_targets import Target, remarks, targets
from tests.simulated_years import Json, policy_json, score_json, year_json


def judged(days: float = 365, workload: str = "stated", **policies: Json) -> list[Target]:
    return targets(built(Year, year_json(days, workload, **policies), ""))


def one(what: str, days: float = 365, workload: str = "stated", **policies: Json) -> Target:
    (found,) = (target for target in judged(days, workload, **policies) if what in target.what)
    return found


def use(**shares: float) -> Json:
    figures = policy_json()
    return figures | {"utilisation": figures["utilisation"] | shares}


@pytest.mark.parametrize(
    ("used", "level"), [(1.0, OK), (0.95, OK), (0.9499, WARN), (0.60, WARN), (0.5999, FAIL)]
)
def test_a_weekend_is_to_be_used_to_95_percent_and_never_below_60(used: float, level: str) -> None:
    assert one("weekend research", unified=use(weekend=used)).level == level


@pytest.mark.parametrize(("used", "level"), [(0.95, OK), (0.70, WARN), (0.6999, FAIL)])
def test_a_night_is_to_be_used_to_95_percent_and_never_below_70(used: float, level: str) -> None:
    assert one("overnight research", unified=use(overnight=used)).level == level


def test_demand_that_was_missed_though_it_was_possible_is_a_failure() -> None:
    demand = policy_json()["demand"]
    demand["missed_though_possible"] = [{"window": "2026-11-24/overnight", "task": "study", "why": "killed"}]

    target = one("clairvoyant could", unified=policy_json(demand=demand))

    assert (target.level, target.reached) == (FAIL, "9 of 10 tasks")


@pytest.mark.parametrize(("ratio", "level"), [(1.05, OK), (1.0501, FAIL)])
def test_demand_is_to_take_no_more_than_1_05_of_the_least_time(ratio: float, level: str) -> None:
    demand = policy_json()["demand"] | {"time_ratio": ratio}

    assert one("least possible", unified=policy_json(demand=demand)).level == level


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("late_trading_tasks", "trading tasks late"),
        ("memory_conflicts", "memory conflicts"),
        ("overlapping_conflicts", "overlapped"),
    ],
)
def test_a_single_late_task_or_conflict_is_a_failure(key: str, what: str) -> None:
    assert one(what, unified=policy_json()).level == OK
    assert one(what, unified=policy_json(**{key: 1})).level == FAIL


def prediction(**tasks: Json) -> Json:
    return policy_json(prediction={"coverage": 0.95, "over_estimate": 0.2, "runs": 999, "tasks": tasks})


def test_every_frequent_task_below_the_coverage_is_named() -> None:
    tasks = {
        "fine": score_json(),
        "low": score_json(coverage=0.8),
        "lower": score_json(coverage=0.7),
        "rare": score_json(runs=199, coverage=0.1),
    }

    target = one("the same, each task", unified=prediction(**tasks))

    assert (target.level, target.reached) == (FAIL, "low 80.0 %, lower 70.0 %")


def test_every_frequent_task_with_too_long_predictions_is_named() -> None:
    tasks = {
        "fine": score_json(ratio=1.15),
        "long": score_json(ratio=1.16),
        "unknown": score_json(ratio=None),
    }

    target = one("over-estimate", unified=prediction(**tasks))

    assert (target.level, target.reached) == (FAIL, "long 1.160")


def test_time_to_simulate_is_judged_by_the_slowest_policy_of_a_whole_year() -> None:
    slow = policy_json(wall_seconds=60.1)

    target = one("time to simulate", timetable=slow, unified=policy_json())

    assert (target.level, target.reached) == (FAIL, "60.1 s at most (timetable)")
    assert not any("time to simulate" in each.what for each in judged(days=10, unified=slow))


@pytest.mark.parametrize(
    ("used", "days", "level"), [(0.19, 365, OK), (0.22, 365, OK), (0.23, 365, FAIL), (0.7, 10, INFO)]
)
def test_the_timetable_is_held_against_its_known_share_over_a_year(
    used: float, days: float, level: str
) -> None:
    assert one("use of weekends", days=days, timetable=use(weekend=used)).level == level


def test_a_trace_is_held_to_safety_but_to_no_share_of_hours() -> None:
    found = judged(days=10, workload="trace", timetable=policy_json(), unified=policy_json(demand=None))

    assert not any("hours in use" in each.what or "timetable" in each.what for each in found)
    assert any("memory conflicts" in each.what for each in found)


def remarks_on(**changes: Any) -> list[str]:
    return remarks(built(Year, year_json(unified=policy_json(**changes)), ""))


def test_what_no_target_names_is_remarked() -> None:
    assert remarks_on() == []
    assert remarks_on(late_duties=3, late_trading_tasks=1) == [
        "2 trading tasks started late for other reasons than research"
    ]
    assert remarks_on(deadlines={"met": 7, "missed": 2}) == ["2 of 9 deadlines were missed"]
    assert remarks_on(starved=["refresh_history"]) == [
        "passed over for more than 24 h of their own windows: refresh_history"
    ]
    assert remarks_on(intrusions={"trading_hours": 1.0, "prep_hours": 0.5, "runs": 2}) == [
        "research ran into trading hours or PREP for 1.5 h"
    ]


def test_a_share_is_never_rounded_up() -> None:
    assert [share(value) for value in (0.94999, 0.95, 0.999999, 1.0, None)] == [
        *("94.9 %", "95.0 %", "99.9 %", "100.0 %", "–")
    ]


def test_differences_have_a_sign_unless_there_is_none() -> None:
    assert [points(value, 0.5) for value in (0.25, 0.5, 0.50001, 0.812)] == ["-25.0", "0", "0", "+31.2"]
    assert points(None, 0.5) == "–"


def test_few_hours_have_a_decimal() -> None:
    assert [hours(value) for value in (0.04, 999.94, 1234.5, None)] == ["0.0", "999.9", "1,234", "–"]
