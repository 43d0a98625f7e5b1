"""The year drawn anew: which tasks, what came of each seed, and its table."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import Any

from observability.report_document import FAIL, OK, WARN, Text
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.comparison import Study, compare
from orchestration.simulation.workload import StatedWorkload
from orchestration.types import TaskSpec
from scripts._year_facts import Figures, built
from scripts._year_seeds import drawn_years, seeds_section, seeds_table, seldom
from tests.simulated_years import policy_json, score_json

MONDAY = date(2026, 11, 16)


def figures(**changes: Any) -> Figures:
    return built(Figures, policy_json(**changes), "")


def test_tasks_that_recur_every_few_minutes_are_left_out_with_what_needs_them() -> None:
    found = seldom(
        (
            TaskSpec(name="nightly", dependencies={"watch", "load"}),
            TaskSpec(name="load"),
            TaskSpec(name="watch", every=timedelta(minutes=1)),
            TaskSpec(name="off", enabled=False),
        )
    )

    assert {name: spec.dependencies for name, spec in found.items()} == {"nightly": {"load"}, "load": set()}


def test_a_seed_is_the_same_stretch_that_the_command_simulates() -> None:
    study = Study(
        specs=seldom(),
        tables=SessionTables(),
        first=MONDAY,
        days=5,
        seed=4,
        make_model=partial(StatedWorkload, seed=4, first=MONDAY),
    )
    report = compare(study, {"unified": policy_for("unified")})["policies"]

    years = drawn_years(MONDAY, 5, (3, 4))

    assert isinstance(report, dict)
    assert dict(years[4].utilisation) == report["unified"]["utilisation"]
    assert dict(years[4].runs) == report["unified"]["runs"]
    assert dict(years[3].runs) != dict(years[4].runs)


def test_each_seed_has_its_row_and_a_task_of_few_runs_is_not_judged() -> None:
    tasks = {
        "often": score_json(ratio=1.2),
        "usual": score_json(ratio=1.1),
        "seldom": score_json(runs=5, ratio=9.0),
    }
    prediction = {**policy_json()["prediction"], "tasks": tasks}

    table = seeds_table({1: figures(), 7: figures(prediction=prediction)})

    assert table.rows == (
        ("1", "96.0 %", "97.0 %", "–", "–", "10", "0", "95.0 %", "0.990", "0 of 1"),
        ("7", "96.0 %", "97.0 %", "–", "–", "10", "0", "95.0 %", "1.200", "1 of 2"),
    )
    assert table.levels == (OK, WARN)


def test_demand_that_was_missed_though_possible_is_the_worst_of_a_seed() -> None:
    lost = {"window": "2026-11-17/overnight", "task": "run_nightly_research", "why": "failed after 2 h"}
    demand = {**policy_json()["demand"], "missed_though_possible": [lost]}

    table = seeds_table({1: figures(demand=demand)})

    assert (table.rows[0][6], table.levels) == ("1", (FAIL,))


def test_a_seed_below_the_aim_in_one_kind_of_window_falls_short() -> None:
    used = {**policy_json()["utilisation"], "holiday": 0.666}

    assert seeds_table({1: figures(utilisation=used)}).levels == (WARN,)


def test_what_must_never_happen_is_summed_over_the_seeds() -> None:
    blocks = list(seeds_section({1: figures(late_duties=2), 2: figures(late_duties=1, memory_conflicts=4)}))

    assert isinstance(blocks[-1], Text)
    assert blocks[-1].text.startswith("All of them together: 3 trading tasks late, 4 memory conflicts, 0 ")


def test_without_seeds_there_is_no_section() -> None:
    assert list(seeds_section({})) == []
