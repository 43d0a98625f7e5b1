"""What the three flag settings decide."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from orchestration.cron import cron_next
from orchestration.decisions import Rules
from orchestration.errors import SettingsError
from orchestration.policies import POLICIES, policy_for
from orchestration.policies.timetable import ENTRIES
from orchestration.task_specs import TASK_SPECS

NEW_YORK = ZoneInfo("America/New_York")
FRIDAY_MORNING = datetime(2026, 11, 13, 9, 0, tzinfo=NEW_YORK)

# The table as issue 5 states it: task, first firing after Friday 2026-11-13 09:00 New York.
FIRINGS = {
    "run_weekend_research": "2026-11-13T20:00",
    "refresh_symbols": "2026-11-15T08:00",
    "refresh_history": "2026-11-15T08:05",
    "refresh_volume_profiles": "2026-11-15T10:05",
    "train_models": "2026-11-15T14:00",
    "validate_strategies": "2026-11-15T14:15",
    "validate_candidates": "2026-11-15T14:17",
    "run_nightly_research": "2026-11-16T21:30",
}


@pytest.mark.parametrize(("task", "local"), FIRINGS.items())
def test_an_entry_fires_when_the_old_table_did(task: str, local: str) -> None:
    fires = cron_next(ENTRIES[task].cron, FRIDAY_MORNING, NEW_YORK)

    assert fires is not None
    assert fires == datetime.fromisoformat(local).replace(tzinfo=NEW_YORK)


def test_the_table_names_nothing_else() -> None:
    assert set(ENTRIES) == set(FIRINGS)


def test_nightly_research_runs_on_four_nights_of_the_week() -> None:
    nights, at = [], FRIDAY_MORNING
    for _ in range(5):
        following = cron_next(ENTRIES["run_nightly_research"].cron, at, NEW_YORK)
        assert following is not None
        at = following
        nights.append(at.astimezone(NEW_YORK).strftime("%a"))

    assert nights == ["Mon", "Tue", "Wed", "Thu", "Mon"]


def test_research_of_the_table_is_cut_at_four_and_eight_hours() -> None:
    assert ENTRIES["run_nightly_research"].minutes == 240
    assert ENTRIES["run_weekend_research"].minutes == 480


def test_every_task_of_the_table_is_a_built_in_spec() -> None:
    assert set(ENTRIES) <= {spec.name for spec in TASK_SPECS}


def test_only_the_unified_policy_holds_tasks_to_modes_and_budgets() -> None:
    assert [name for name, policy in POLICIES.items() if policy.by_mode] == ["unified"]
    assert [name for name, policy in POLICIES.items() if policy.backfill] == ["unified"]


def test_only_the_timetable_is_blind_and_does_not_learn() -> None:
    assert [name for name, policy in POLICIES.items() if policy.timetable is not None] == ["timetable"]
    assert [name for name, policy in POLICIES.items() if not policy.learn] == ["timetable"]


def test_a_policy_takes_the_box_s_own_rules() -> None:
    rules = Rules(reserve_mb=123)

    policy = policy_for("phases", rules)

    assert policy.rules.reserve_mb == 123
    assert policy.name == "phases"
    assert POLICIES["phases"].rules == Rules()


def test_without_rules_the_policy_is_the_shipped_one() -> None:
    assert policy_for("unified") is POLICIES["unified"]


def test_an_unknown_policy_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(SettingsError, match=r"'unfied'.*timetable, phases, unified"):
        policy_for("unfied")
