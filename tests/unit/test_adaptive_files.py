"""The schemas of the adaptive layer's files, and what is said of a text that breaks them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from adaptive.complaints import complaints, schema_of
from adaptive.positions import parse
from adaptive.types import Status, Strategy

INSTANT = "2026-11-20T23:00:00Z"

# The fields as the issue lists them, file by file.
FIELDS = {
    "multi_agent_summary": """total_agents total_tasks total_waves success_rate avg_execution_time_ms
        avg_confidence_delta retry_rate agent_performance timestamp""",
    "coordination_pattern": "pattern_type agent_assignments success_rate confidence",
    "input_system_health": "overall_health_score health_status component_scores",
    "input_learning_signal": "signal_id type confidence description recommendation",
    "learning_signal": "signal_id type confidence description recommendation",
    "optimization_summary": """phase timestamp total_waves_optimized total_agents total_tasks
        optimization_strategy overall_metrics optimization_results system_health_score execution_time_ms""",
    "scheduled_task": """task_id agent_id wave scheduled_start_time scheduled_end_time actual_start_time
        actual_end_time priority status confidence""",
    "schedule_comparison": """wave planned_success_rate actual_success_rate planned_throughput
        actual_throughput confidence_delta accuracy_score""",
    "optimization_feedback": """feedback_id feedback_type confidence description recommendation
        supporting_evidence timestamp""",
    "optimization_metric": """metric_name value unit target_value threshold_min threshold_max status
        timestamp""",
    "scheduling_anomaly": """anomaly_id anomaly_type severity description affected_waves affected_agents
        recommendation timestamp""",
    "system_health": """overall_health_score health_status component_scores optimization_metrics
        detected_anomalies timestamp""",
}
INPUTS = {"multi_agent_summary", "coordination_pattern", "input_system_health", "input_learning_signal"}

SIGNAL = {"signal_id": "s1", "type": "slow", "confidence": 0.5, "description": "", "recommendation": ""}
PLANNED: dict[str, Any] = {
    "task_id": "a",
    "agent_id": "local/1",
    "wave": 1,
    "scheduled_start_time": 0,
    "scheduled_end_time": 10.5,
    "actual_start_time": None,
    "actual_end_time": None,
    "priority": 3,
    "status": None,
    "confidence": 0.9,
}
RAN = {"actual_start_time": 0.0, "actual_end_time": 9.5}


@pytest.mark.parametrize("name", FIELDS)
def test_a_file_has_exactly_the_fields_of_its_description(name: str) -> None:
    assert list(schema_of(name)["properties"]) == FIELDS[name].split()


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_required_but_the_recommendation_of_an_input(name: str) -> None:
    optional = {"recommendation"} if name == "input_learning_signal" else set()

    assert set(schema_of(name)["required"]) == set(FIELDS[name].split()) - optional


@pytest.mark.parametrize("name", FIELDS)
def test_more_fields_are_allowed_in_inputs_alone(name: str) -> None:
    assert (schema_of(name).get("additionalProperties") is False) == (name not in INPUTS)


@pytest.mark.parametrize("name", [*FIELDS, "coordination_patterns", "heuristic_weights"])
def test_a_schema_is_valid_itself_and_has_words_for_all_its_parts(name: str) -> None:
    schema = schema_of(name)

    Draft202012Validator.check_schema(schema)
    assert [part for part in _typed_parts(schema) if not ("description" in part or "enum" in part)] == []


def _typed_parts(schema: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("type"), str):
            yield schema
        # What an "if" asks is not complained of.
        for key, part in schema.items():
            if key != "if":
                yield from _typed_parts(part)


def test_the_words_of_the_schemas_are_those_of_the_types() -> None:
    statuses = schema_of("scheduled_task")["properties"]["status"]["enum"]
    strategies = schema_of("optimization_summary")["$defs"]["strategy"]["enum"]

    assert statuses == [*(status.value for status in Status), None]
    assert set(strategies) == {strategy.value for strategy in Strategy}


def test_an_unknown_schema_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"schema is 'signal': expected one of .*learning_signal.*"):
        complaints({}, "signal")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"confidence": 1.01}, (("confidence",), "is 1.01, expected a number from 0 to 1")),
        ({"confidence": "0.9"}, (("confidence",), 'is "0.9", expected a number from 0 to 1')),
        ({"confidence": True}, (("confidence",), "is true, expected a number from 0 to 1")),
        ({"signal_id": ""}, (("signal_id",), 'is "", expected a text that is not empty')),
        ({"type": ["slow"]}, (("type",), "is an array of 1, expected a text that is not empty")),
        (
            {"colour": "red"},
            (
                ("colour",),
                "is not known here, expected only signal_id, type, confidence, description, recommendation",
            ),
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_was_expected(
    change: dict[str, object], complaint: tuple[tuple[str, ...], str]
) -> None:
    assert complaints({**SIGNAL, **change}, "learning_signal") == [complaint]


def test_all_missing_fields_are_named_at_once() -> None:
    lacking = {key: SIGNAL[key] for key in ("type", "description", "recommendation")}

    assert complaints(lacking, "learning_signal") == [
        (("signal_id",), "is missing, expected a text that is not empty"),
        (("confidence",), "is missing, expected a number from 0 to 1"),
    ]


def test_a_word_out_of_a_list_is_expected_by_the_whole_list() -> None:
    health = {"overall_health_score": 90, "health_status": "SUPER", "component_scores": {"disk": 101}}

    assert complaints(health, "input_system_health") == [
        (("health_status",), 'is "SUPER", expected one of EXCELLENT, GOOD, FAIR, POOR'),
        (("component_scores", "disk"), "is 101, expected a number from 0 to 100"),
    ]


@pytest.mark.parametrize("text", ["2026-11-20T23:00:00", "2026-11-20T23:00:00+01:00", "yesterday"])
def test_what_we_write_names_its_instants_in_utc(text: str) -> None:
    (complaint,) = complaints({"H16_001": 1.0, "updated_at": text}, "heuristic_weights")

    assert complaint == (
        ("updated_at",),
        f'is "{text}", expected an instant in UTC such as 2026-11-20T23:00:00Z',
    )


def test_a_weight_is_a_number() -> None:
    found = complaints({"H16_001": "heavy", "updated_at": INSTANT}, "heuristic_weights")

    assert found == [(("H16_001",), 'is "heavy", expected a number of at least 0')]


def test_a_task_that_has_not_run_has_neither_times_nor_status() -> None:
    assert complaints(PLANNED, "scheduled_task") == []
    assert complaints({**PLANNED, **RAN}, "scheduled_task") == [
        (("actual_start_time",), "is 0.0, expected null, since it has no status yet"),
        (("actual_end_time",), "is 9.5, expected null, since it has no status yet"),
    ]


@pytest.mark.parametrize("status", ["completed", "failed", "retried"])
def test_a_task_that_ran_has_its_times(status: str) -> None:
    assert complaints({**PLANNED, **RAN, "status": status}, "scheduled_task") == []
    assert [where for where, _ in complaints({**PLANNED, "status": status}, "scheduled_task")] == [
        ("actual_start_time",),
        ("actual_end_time",),
    ]


def test_a_skipped_task_needs_no_times() -> None:
    assert complaints({**PLANNED, "status": "skipped"}, "scheduled_task") == []


@pytest.mark.parametrize(
    ("text", "line", "where", "words"),
    [
        ('{"a": 1,\n "a": 2}', 2, ("a",), "stands twice, expected each key once"),
        ('[1,\n{"b": NaN}]', 2, (1, "b"), "is NaN, expected a finite number"),
        ("[-Infinity]", 1, (0,), "is -Infinity, expected a finite number"),
        ("[1,\n\n1e999]", 3, (1,), "is 1e999, expected a finite number"),
        ('["\\ud800"]', 1, (0,), "holds half of a surrogate pair, expected whole characters"),
        ('{"a":\n tru', 2, ("a",), "has 'tru', expected a value"),
        ('{"a":\n', 2, ("a",), "breaks off, expected a value"),
        ('{"a" 1}', 1, ("a",), "has '1', expected ':'"),
        ("{'a': 1}", 1, (), 'has "\'", expected a key in "quotes"'),
        ("[1\n2]", 2, (), "has '2', expected ',' or ']'"),
        ("[01]", 1, (0,), "has '01', expected a value"),
        ("[]\n[]", 2, (), "has '[', expected the end of the document"),
        ('{"a": "x\n', 1, ("a",), "is broken (Invalid control character at), expected a text in quotes"),
        ("[" * 9999, 1, (0, 0, 0), "nests deeper than 50, expected one of our files"),
    ],
)
def test_broken_json_is_told_with_line_and_field(
    text: str, line: int, where: tuple[str | int, ...], words: str
) -> None:
    assert parse(text).faults == ((line, where, words),)


def test_a_field_stands_in_the_line_of_its_key() -> None:
    document = parse('{"a": [\n1,\n{"b":\n2}],\n"c": 3}', first_line=10)

    found = {where: document.line_of(where) for where in [("a",), ("a", 1), ("a", 1, "b"), ("c",)]}
    assert found == {("a",): 10, ("a", 1): 12, ("a", 1, "b"): 12, ("c",): 14}
    assert document.line_of(("a", 1, "missing")) == 12


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(value=JSON_VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 2]))
def test_json_is_read_as_the_standard_library_writes_it(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    document = parse(json.dumps(value, ensure_ascii=ascii_only, indent=indent))

    assert (document.value, document.faults, document.whole) == (value, (), True)


@settings(max_examples=150)
@given(
    value=JSON_VALUES,
    at=st.integers(0, 10_000),
    length=st.integers(0, 3),
    new=st.text('{}[]",:01e-. \nnulltrueNaN\\u', max_size=3),
)
def test_a_spoilt_text_is_json_to_us_if_it_is_to_the_standard_library(
    value: object, at: int, length: int, new: str
) -> None:
    text = json.dumps(value)
    at %= len(text) + 1
    spoilt = text[:at] + new + text[at + length :]

    document = parse(spoilt)

    expected, is_json = None, False
    with suppress(json.JSONDecodeError):
        expected, is_json = json.loads(spoilt), True
    assert document.whole == is_json
    if is_json and not document.faults:
        assert document.value == expected
        assert not any(map(_is_not_finite, _leaves(document.value)))


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    else:
        yield value


def _is_not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
