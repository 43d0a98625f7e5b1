"""The metrics' names, units and labels follow the conventions, and what Grafana asks for is there."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import StaticPool

from hardware.patterns import ERRORS
from observability.metric_families import BUDGET_TYPES, DATABASES, SEVERITIES
from observability.metrics import Exporter
from orchestration.ctl.box import Box
from orchestration.ctl.desk import View, evaluate
from orchestration.decisions import Reason
from orchestration.runs import Outcome
from orchestration.state import schema
from orchestration.types import OperatingMode, Phase, TaskCategory, TaskPriority, TaskSpec
from tests.control_desk import FRIDAY_EVENING, make_box

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOWHERE = Path("/nonexistent/state")


@cache
def evaluated() -> tuple[Box, View]:
    """Return a box on a Friday evening and its view, made once for all tests."""
    box = make_box()
    return box, evaluate(box)


class Seen:
    """A box without a file: its view, an empty database in memory, and no books."""

    def __init__(self, **changes: object) -> None:
        self.box, self._view = evaluated()
        self._changes = changes
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        schema.metadata.create_all(self._engine)

    def now(self) -> datetime:
        return FRIDAY_EVENING

    def view(self) -> View:
        more: View = {"daemon": None, "panel": None, "fault": None, "halted": None, "alerts": []}
        return {**self._view, **more, **self._changes}

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def specs(self) -> Mapping[str, TaskSpec]:
        return self.box.registry.specs

    @property
    def state_dir(self) -> Path:
        return NOWHERE

    @property
    def ledger_file(self) -> Path:
        return NOWHERE / "ledger.db"


@cache
def families() -> dict[str, Metric]:
    """Return the families of a box on a Friday evening, read back from the text, by name."""
    return {family.name: family for family in parse_text(Exporter(Seen()).text())}


def value(text: str, name: str, **labels: str) -> float:
    """Return a sample's value."""
    (found,) = (
        sample.value
        for family in parse_text(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )
    return float(found)


# --- the conventions --------------------------------------------------------------------------------------


def samples() -> Iterator[tuple[Metric, Any]]:
    return ((family, sample) for family in families().values() for sample in family.samples)


def test_every_metric_has_a_help_text_and_a_type() -> None:
    assert len(families()) > 50
    assert [name for name, family in families().items() if not family.documentation.endswith(".")] == []
    assert [name for name, family in families().items() if family.type == "unknown"] == []


def test_names_are_ours_in_small_letters_and_without_colons() -> None:
    """Colons are for recording rules; promtool wants snake_case."""
    assert [name for name in families() if not re.fullmatch(r"orchestrator(_[a-z0-9]+)+", name)] == []


def test_counters_and_nothing_else_end_in_total() -> None:
    """promtool: counters need the suffix; gauges must not have it, nor that of a histogram's parts."""
    for family, sample in samples():
        assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
        if family.type == "gauge":
            assert not sample.name.endswith(("_count", "_sum", "_bucket", "_created")), sample.name


OTHER_UNITS = {
    *("milliseconds", "microseconds", "minutes", "hours", "days", "ms", "sec", "min", "mins", "hrs"),
    *("kilobytes", "megabytes", "mebibytes", "gigabytes", "kb", "mb", "mib", "gb", "percent", "pct"),
    *("fahrenheit", "kelvin", "temp", "c", "counter", "gauge", "histogram", "summary"),
}


def test_units_are_base_units_written_out_and_no_type_is_in_a_name() -> None:
    """https://prometheus.io/docs/practices/naming: seconds, bytes, celsius, ratio."""
    assert [name for name in families() if set(name.split("_")) & OTHER_UNITS] == []


@pytest.mark.parametrize("unit", ["seconds", "bytes", "celsius", "ratio", "usd"])
def test_a_unit_stands_last_in_a_name(unit: str) -> None:
    named = [name for name in families() if unit in name.split("_")]

    assert named
    assert [name for name in named if not name.endswith(f"_{unit}")] == []


def test_every_ratio_is_a_part_of_one() -> None:
    found = [s.value for f, s in samples() if f.name.endswith("_ratio")]

    assert found
    assert all(0 <= each <= 1 for each in found)


def label_values() -> Mapping[str, set[str] | None]:
    """Return what each label may say. None: anything, as there is one sample."""
    specs = {name for name, spec in Seen().specs.items() if spec.enabled}
    return {
        "task": specs,
        "result": {outcome.value for outcome in Outcome},
        "reason": {reason.value.lower() for reason in Reason},
        "severity": set(SEVERITIES),
        "fault": set(ERRORS),
        "database": set(DATABASES),
        "category": {category.value for category in TaskCategory},
        "priority": {priority.name for priority in TaskPriority},
        "duty": {"true", "false"},
        "kind": {"realised", "unrealised", "fees"},
        "orchestrator_mode": {mode.value for mode in OperatingMode},
        "orchestrator_phase": {phase.value for phase in Phase},
        "orchestrator_budget_type": set(BUDGET_TYPES),
        "le": {sample.labels["le"] for _, sample in samples() if "le" in sample.labels},
        "version": None,
        "python": None,
        "policy": None,
        "memory_limits": None,
    }


def test_no_label_takes_a_value_that_has_no_end() -> None:
    known = label_values()
    for _, sample in samples():
        for label, said in sample.labels.items():
            allowed = known[label]
            assert allowed is None or said in allowed, (sample.name, label, said)


def test_a_box_with_every_task_on_is_a_few_thousand_lines() -> None:
    assert len(list(samples())) < 2000


def test_the_same_is_said_in_open_metrics() -> None:
    text = Exporter(Seen()).text(open_metrics=True)

    # Its parser refuses what the format forbids; what the collecting took differs from time to time.
    named = {family.name for family in parse_open_metrics(text)}  # type: ignore[no-untyped-call]

    assert {f"{name}_info" if name == "orchestrator_build" else name for name in named} == {
        name.removesuffix("_total") for name in families()
    }


# --- what they say ----------------------------------------------------------------------------------------


def test_the_first_half_hour_of_a_weekend_is_told_in_seconds() -> None:
    """Friday 18:30 in New York: research from 18:00 to Monday 02:00 is 56 h, of which 55.5 are left."""
    text = Exporter(Seen()).text()

    assert value(text, "orchestrator_window_research_available_seconds") == 56 * 3600
    assert value(text, "orchestrator_window_research_elapsed_seconds") == 1800
    assert value(text, "orchestrator_window_research_used_seconds") == 0
    assert value(text, "orchestrator_window_utilisation_ratio") == 0
    assert value(text, "orchestrator_research_budget_remaining_seconds") == 55.5 * 3600
    assert value(text, "orchestrator_budget_type", orchestrator_budget_type="weekend") == 1
    assert value(text, "orchestrator_budget_type", orchestrator_budget_type="overnight") == 0
    assert value(text, "orchestrator_window_extended") == 1
    assert value(text, "orchestrator_mode", orchestrator_mode="research") == 1
    assert value(text, "orchestrator_phase", orchestrator_phase="WEEKEND") == 1


def test_a_daemon_that_is_down_is_down_and_has_no_start() -> None:
    text = Exporter(Seen()).text()

    assert value(text, "orchestrator_up") == 0
    assert "\norchestrator_daemon_start_time_seconds " not in text


def test_a_daemon_that_runs_says_since_when_and_what_it_is() -> None:
    who = {"pid": 0, "since": "2026-11-20T22:30:00+00:00", "version": "1.2.3"}
    text = Exporter(Seen(daemon=who)).text()

    assert value(text, "orchestrator_up") == 1
    # `date -u -d 2026-11-20T22:30:00 +%s`
    assert value(text, "orchestrator_daemon_start_time_seconds") == 1795213800
    assert 'orchestrator_build_info{memory_limits="' in text
    assert 'version="1.2.3"' in text


def test_what_is_not_known_has_no_sample() -> None:
    resources = {**Seen().view()["resources"], "temperature_c": None, "clock_synced": None}
    text = Exporter(Seen(resources=resources)).text()

    assert "# TYPE orchestrator_temperature_celsius gauge\n# HELP" in text
    assert "\norchestrator_clock_synchronised " not in text


def test_a_task_is_blocked_only_when_its_hour_is_there() -> None:
    view = Seen().view()
    held = [{"reason": "MEMORY", "passed": False}, {"reason": "SLOTS", "passed": False}]
    early = [{"reason": "NOT_DUE", "passed": False}, *held]
    tasks = [
        {**t, "failures": {"health_check": held, "cleanup_logs": early}.get(t["name"], [])}
        for t in view["tasks"]
    ]
    text = Exporter(Seen(tasks=tasks)).text()

    def blocked(task: str) -> set[str]:
        wanted = re.finditer(rf'orchestrator_task_blocked{{reason="(\w+)",task="{task}"}} 1.0', text)
        return {match[1] for match in wanted}

    assert blocked("health_check") == {"memory", "slots"}
    assert blocked("cleanup_logs") == set()


def test_a_fault_is_one_of_the_table_s_even_if_it_has_no_name_there() -> None:
    text = Exporter(Seen(fault="moon_phase")).text()

    assert value(text, "orchestrator_fault", fault="unknown_fault") == 1
    assert value(text, "orchestrator_fault", fault="disk_full") == 0


def test_every_count_is_there_from_the_beginning() -> None:
    """increase() of a counter that appears at 1 is 0: the first failure would be missed."""
    found = {
        (sample.labels["task"], sample.labels["result"])
        for family, sample in samples()
        if family.name == "orchestrator_task_runs"
    }

    enabled = [name for name, spec in Seen().specs.items() if spec.enabled]
    assert found == {(task, outcome.value) for task in enabled for outcome in Outcome}


# --- Grafana and the alert rules --------------------------------------------------------------------------

FROM_ELSEWHERE = {"up", "node_textfile_mtime_seconds"}
"""Metrics that Prometheus and node_exporter make themselves."""
WORDS = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
PROMQL = {
    *(
        "sum",
        "max",
        "min",
        "avg",
        "count",
        "topk",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "and",
        "or",
    ),
    *("unless", "increase", "rate", "changes", "time", "clamp_min", "histogram_quantile", "label_replace"),
    *("absent", "vector", "bool", "max_over_time", "avg_over_time", "offset", "predict_linear", "inf"),
}


def metrics_of(expression: str) -> set[str]:
    """Return the names in a PromQL expression that are neither functions, labels nor text."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left)\s*\([^)]*\)", "", bare)
    return {word for word in WORDS.findall(bare) if word not in PROMQL}


def exported() -> set[str]:
    """Return every name that a scrape has samples of, or would have."""
    suffixes = {"counter": ("_total",), "summary": ("_sum", "_count"), "info": ("_info",)}
    suffixes["histogram"] = ("_bucket", "_sum", "_count")
    named = set()
    for name, family in families().items():
        named |= {f"{name}{suffix}" for suffix in suffixes.get(family.type, ("",))}
    return named


def board() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DOCS / "grafana" / "daily-orchestrator.json").read_text())
    return read


def rules() -> list[dict[str, Any]]:
    read = importlib.import_module("yaml").safe_load((DOCS / "grafana" / "alert-rules.yml").read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    panels = [target["expr"] for panel in board()["panels"] for target in panel.get("targets", [])]
    return [*panels, *(rule["expr"] for rule in rules())]


def test_every_metric_that_is_asked_for_is_exported() -> None:
    asked = set().union(*map(metrics_of, expressions()))

    assert asked - exported() - FROM_ELSEWHERE == set()
    assert len(asked & exported()) > 30


def test_every_expression_is_balanced() -> None:
    for expression in expressions():
        for left, right in ("()", "[]", "{}"):
            assert expression.count(left) == expression.count(right), expression


def test_labels_that_are_asked_for_are_ones_there_are() -> None:
    known = {label for _, sample in samples() for label in sample.labels} | {"job", "instance", "file"}
    for expression in expressions():
        for matcher in re.findall(r"\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)\s*[=!]", matcher)) <= known, expression


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """Grafana wants the schema's version, ids of their own, and a data source that is chosen on the page."""
    read = board()
    panels = read["panels"]
    ids = [panel["id"] for panel in panels]

    assert read["schemaVersion"] >= 36
    assert read["id"] is None
    assert len(ids) == len(set(ids))
    assert "datasource" in {variable["name"] for variable in read["templating"]["list"]}
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
            assert panel["description"], panel["title"]


def test_no_panel_lies_on_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_promise_has_a_row() -> None:
    rows = [panel["title"] for panel in board()["panels"] if panel["type"] == "row"]

    assert rows == [
        "Now",
        "1. Trading duties are on time",
        "2. Nothing recorded is lost",
        "3. Memory is never exhausted by us",
        "4. Research time is used",
        "5. Anyone can see why",
        "The box",
        "Trading",
    ]


def test_every_alert_says_what_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]

    assert len(names) == len(set(names)) >= 8
    for rule in rules():
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_the_page_explains_every_metric_and_no_other() -> None:
    page = (DOCS / "metrics.md").read_text()
    named = {name for name in re.findall(r"`(orchestrator_\w+)", page) if name != "orchestrator_"}

    assert (
        exported() - named - {name for name in exported() if name.endswith(("_bucket", "_sum", "_count"))}
        == set()
    )
    whole = exported() | set(families())
    assert named - whole == set()
