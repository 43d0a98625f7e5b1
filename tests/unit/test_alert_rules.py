"""The rules for alerts: which one holds, and what is said of a file that cannot be used."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest

from observability.alert_rules import (
    CONDITIONS,
    FIELDS,
    SHIPPED,
    AlertRules,
    Digest,
    condition_of,
    load_rules,
    parse_rules,
)
from orchestration.errors import SpecError
from orchestration.task_specs import TASK_SPECS

ROOT = Path(__file__).resolve().parents[2]

KEYS = {
    "failed:daily_report": "task_failed",
    "quarantined:x": "task_quarantined",
    "unknown:x": "task_unknown",
    "deadline:x:2026-11-20T21:00:00Z": "deadline_missed",
    "foretold:x:once": "deadline_foretold",
    "memory:x": "blocked_by_memory",
    "late:x": "duty_late",
    "horizon": "calendar_horizon",
    "calendar:2026-11-27": "calendar_disagrees",
    "no_session": "calendar_unknown",
    "disk": "disk",
    "temperature": "temperature",
    "undervoltage": "undervoltage",
    "clock": "clock",
    "network": "network",
    "failed:reconcile_positions": "reconcile_difference",
    "told:monitor_positions:differs AAPL": "reconcile_difference",
    "told:monitor_positions:stop AAPL": "risk_limit",
    "told:monitor_positions:old price AAPL": "told",
    "told:check_risk_limits:daily loss": "risk_limit",
    "told:adaptive_optimization:drift": "anomaly",
    "told:execute_orders:2026-11-20 A-1": "told",
    "trading_halted": "trading_halted",
    "settings:refused": "settings_refused",
    "state:new": "state_new",
    "store": "store_failing",
    "down": "daemon_down",
}


def rules(content: str) -> AlertRules:
    return parse_rules(content, "alerts.toml")


def problems(content: str) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        rules(content)
    return caught.value.problems


def held(made: AlertRules, key: str, task: str | None = None) -> str:
    """Return where the rule that holds is from, "" if it is no alert."""
    rule = made.rule_for(key, task)
    return "" if rule is None else rule.origin


@pytest.mark.parametrize("key", KEYS)
def test_an_alert_is_of_one_condition(key: str) -> None:
    assert condition_of(key) == KEYS[key]


def test_every_condition_has_an_alert_and_one_shipped_rule() -> None:
    assert set(KEYS.values()) == set(CONDITIONS)
    assert sorted(rule.when for rule in load_rules().rules) == sorted(CONDITIONS)


def test_an_alert_that_no_condition_knows_is_one_all_the_same() -> None:
    rule = load_rules().rule_for("from_a_newer_version:x", "x")

    assert rule is not None
    assert (rule.severity, rule.channels) == ("warning", ())


def test_the_first_rule_that_fits_holds_and_the_shipped_one_where_none_does() -> None:
    made = rules(
        """
        [[rule]]
        when = "task_failed"
        tasks = ["run_*", "walk_forward_study"]
        times = 3

        [[rule]]
        when = "task_failed"
        severity = "error"
        """
    )

    assert held(made, "failed:run_nightly_research", "run_nightly_research") == "alerts.toml:2"
    assert held(made, "failed:daily_report", "daily_report") == "alerts.toml:7"
    assert held(made, "disk").startswith(str(SHIPPED))


def test_what_a_rule_leaves_out_is_as_shipped() -> None:
    shipped = load_rules().rule_for("disk")
    assert shipped is not None

    rule = rules('[[rule]]\nwhen = "disk"\nfree_percent = 10').rule_for("disk")

    assert rule is not None
    assert (rule.number("free_percent"), rule.number("free_mb")) == (10.0, shipped.number("free_mb"))
    assert (rule.severity, rule.remind) == (shipped.severity, shipped.remind)


def test_a_rule_that_is_switched_off_makes_an_alert_none() -> None:
    made = rules('[[rule]]\nwhen = "anomaly"\nenabled = false')

    assert made.rule_for("told:adaptive_optimization:drift", "adaptive_optimization") is None
    assert made.rule_for("told:execute_orders:x", "execute_orders") is not None


def test_a_rule_may_be_about_what_a_job_tells_under_some_names() -> None:
    made = rules('[[rule]]\nwhen = "risk_limit"\nnames = ["drawdown*"]\nseverity = "critical"')

    told = [f"told:check_risk_limits:{name}" for name in ("drawdown", "gross: all of it")]
    severities = [rule and rule.severity for rule in (made.rule_for(k, "check_risk_limits") for k in told)]
    assert severities == ["critical", "error"]


def test_every_field_is_read() -> None:
    made = rules(
        """
        [limits]
        per_hour = 4
        [digest]
        at = "08:05@Europe/Berlin"
        [[rule]]
        when = "temperature"
        celsius = 70.5
        for = "1m30s"
        severity = "critical"
        remind = "never"
        escalate_after = "15m"
        escalate_to = ["phone"]
        channels = ["mail"]
        digest_only = true
        """
    )
    rule = made.rule_for("temperature")

    assert rule is not None
    assert (made.per_hour, made.digest) == (4, Digest(at=time(8, 5), zone="Europe/Berlin"))
    assert (rule.number("celsius"), rule.span("for")) == (70.5, timedelta(seconds=90))
    assert (rule.severity, rule.remind, rule.digest_only) == ("critical", None, True)
    assert (rule.escalate_after, rule.escalate_to, rule.channels) == (
        timedelta(minutes=15),
        ("phone",),
        ("mail",),
    )


def test_a_digest_can_be_left_out() -> None:
    assert rules('[digest]\nat = "never"').digest is None


def test_every_mistake_is_told_at_once_with_its_line_and_a_suggestion() -> None:
    found = problems(
        """
        [limit]
        [digest]
        at = "25:00"
        [[rule]]
        when = "task_faild"
        [[rule]]
        when = "disk"
        tasks = ["a"]
        free_mb = "plenty"
        [[rule]]
        when = "task_failed"
        severity = "warn"
        escalate_to = ["phone"]
        times = 0
        """.replace(" " * 8, "")
    )

    assert [text.partition(":")[2].partition(" ")[0] for text in found if text[11:12] == ":"] == [
        *("", "5:", "7:", "7:", "11:", "11:", "11:", ""),
    ]
    assert "'limit' means nothing here. Did you mean 'limits'?" in found[0]
    assert "when = 'task_faild', which is no condition. Did you mean 'task_failed'?" in found[1]
    assert "rule 'disk': the field 'tasks' means nothing here" in found[2]
    assert "rule 'disk', free_mb = 'plenty': expected a number from 0 on" in found[3]
    assert "severity = 'warn': expected one of info, warning, error, critical" in found[4]
    assert "times = 0: expected a whole number from 1 on" in found[5]
    assert "has escalate_to and no escalate_after" in found[6]
    assert "at = '25:00': expected a time in quotes" in found[7]


@pytest.mark.parametrize("limit", ["for", "within"])
def test_waits_for_memory_cannot_be_counted_by_spans_of_nothing(limit: str) -> None:
    [found] = problems(f'[[rule]]\nwhen = "blocked_by_memory"\n{limit} = "0s"')

    assert f"{limit} = '0s': expected a duration above nothing" in found


def test_a_count_without_end_is_a_mistake_and_no_crash() -> None:
    [found] = problems(f'[[rule]]\nwhen = "task_failed"\ntimes = 1{"0" * 400}')

    assert "expected a whole number from 1 on" in found


def test_broken_toml_is_told_with_its_line() -> None:
    assert "alerts.toml, line 2: Unterminated string" in problems('[[rule]]\nwhen = "disk')[0]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"there is no such file of alert rules. Copy alerts\.example\.toml"):
        load_rules(tmp_path / "alerts.toml")


def test_rules_about_no_task_and_rules_never_reached_are_doubted() -> None:
    made = rules(
        '[[rule]]\nwhen = "task_failed"\n'
        '[[rule]]\nwhen = "task_failed"\ntasks = ["daily_reprot"]\ntimes = 2\n'
        '[[rule]]\nwhen = "told"\ntasks = ["daily_*"]'
    )

    doubts = made.doubts({"daily_report"})

    assert doubts[0] == (
        "alerts.toml:3: rule 'task_failed': there is no task 'daily_reprot'. Did you mean 'daily_report'?"
    )
    assert "alerts.toml:3: rule 'task_failed' is never reached: the one of alerts.toml:1" in doubts[1]
    assert len(doubts) == 2


def test_the_page_names_every_condition_and_field_and_the_shipped_limits() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")

    for name in (*CONDITIONS, *FIELDS):
        assert f"| `{name}` |" in page, name
    for rule in load_rules().rules:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{rule.when}` |"))
        for limit, value in rule.limits.items():
            shown = f'"{_spoken(value)}"' if isinstance(value, timedelta) else f"{value:g}"
            assert f"`{limit} = {shown}`" in row, (rule.when, limit)


def _spoken(length: timedelta) -> str:
    if length >= timedelta(days=1):
        return f"{length.days}d"
    seconds = round(length.total_seconds())
    return (
        f"{seconds // 3600}h" if seconds >= 3600 else f"{seconds // 60}m" if seconds >= 60 else f"{seconds}s"
    )


def test_the_example_can_be_used_and_is_about_tasks_there_are() -> None:
    made = load_rules(ROOT / "alerts.example.toml")

    assert made.doubts({spec.name for spec in TASK_SPECS}) == []
    assert len(made.own) == 4
    assert (made.per_hour, made.digest) == (10, Digest(at=time(8), zone="Europe/Berlin"))
