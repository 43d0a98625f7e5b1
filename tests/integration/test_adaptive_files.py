"""Files of the adaptive layer: what is written can be read, and what is broken is told with its line."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from adaptive.complaints import schema_of
from adaptive.files import AdaptiveFileError, read_array, read_json, read_lines, write_json, write_lines

DOCUMENTS = [
    "multi_agent_summary",
    "input_system_health",
    "optimization_summary",
    "heuristic_weights",
    "system_health",
]
RECORDS = [
    "learning_signal",
    "input_learning_signal",
    "scheduled_task",
    "schedule_comparison",
    "optimization_feedback",
    "optimization_metric",
    "scheduling_anomaly",
]
SYNCED = 30
"""Examples that are written and synced: dear on a busy disk."""
SIGNAL = {"signal_id": "s1", "type": "slow", "confidence": 0.5, "description": "é", "recommendation": "wait"}
WEIGHTS = {"H16_001": 0.5, "updated_at": "2026-11-20T23:00:00Z"}


def valid(schema: Mapping[str, Any], root: Mapping[str, Any]) -> SearchStrategy[Any]:
    """Return values that a schema of ours allows; scheduled tasks still lack the rule of `has_run`."""
    if "$ref" in schema:
        return valid(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return st.one_of([_of_kind(kind, schema, root) for kind in kinds])


def _of_kind(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> SearchStrategy[Any]:
    low, high = schema.get("minimum"), schema.get("maximum")
    match kind:
        case "null":
            return st.none()
        case "integer":
            return st.integers(low, high)
        case "number":
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case "string" if "pattern" in schema:
            return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True)
        case "string":
            return st.text(min_size=schema.get("minLength", 0))
        case "array":
            return st.lists(valid(schema["items"], root) if "items" in schema else st.text(), max_size=3)
    fixed = {key: valid(part, root) for key, part in schema.get("properties", {}).items()}
    optional = {key: fixed.pop(key) for key in [*fixed] if key not in schema.get("required", fixed)}
    found: SearchStrategy[Any] = st.fixed_dictionaries(fixed, optional=optional)
    free = schema.get("additionalProperties")
    if isinstance(free, dict):
        more = st.dictionaries(st.text(min_size=1), valid(free, root), max_size=3)
        return st.builds(lambda one, other: {**other, **one}, found, more)
    return found


def has_run(task: dict[str, Any]) -> dict[str, Any]:
    if "actual_start_time" not in task:
        return task
    times = (None, None) if task["status"] is None else (task["actual_start_time"] or 0.0, 1e9)
    return {**task, "actual_start_time": times[0], "actual_end_time": times[1]}


@settings(max_examples=SYNCED)
@given(named=st.sampled_from(DOCUMENTS).flatmap(lambda name: st.tuples(st.just(name), _document(name))))
def test_a_valid_document_is_read_back_as_it_was_written(named: tuple[str, dict[str, Any]]) -> None:
    name, value = named
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "one.json"
        write_json(path, value, name)

        assert read_json(path, name) == value


@settings(max_examples=SYNCED)
@given(
    named=st.sampled_from(RECORDS).flatmap(
        lambda name: st.tuples(st.just(name), st.lists(_document(name), max_size=3))
    )
)
def test_valid_records_are_read_back_as_they_were_written(named: tuple[str, list[dict[str, Any]]]) -> None:
    name, values = named
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.jsonl"
        write_lines(path, values, name)

        assert read_lines(path, name, least=0) == values


def _document(name: str) -> SearchStrategy[dict[str, Any]]:
    return valid(schema_of(name), schema_of(name)).map(has_run)


@settings(max_examples=60)
@given(name=st.sampled_from(DOCUMENTS), drawn=st.data())
def test_a_document_cut_at_any_byte_is_refused_with_its_line(name: str, drawn: st.DataObject) -> None:
    value = drawn.draw(_document(name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.json"
        content = json.dumps(value, ensure_ascii=False, indent=2).encode()
        cut = content[: drawn.draw(st.integers(0, len(content) - 1))]
        path.write_bytes(cut)

        with pytest.raises(AdaptiveFileError) as refusal:
            read_json(path, name)

        (fault,) = refusal.value.faults
        assert 1 <= (fault.line or 0) <= cut.count(b"\n") + 1
        assert str(refusal.value).startswith(f"{path}, line {fault.line}")


@settings(max_examples=60)
@given(name=st.sampled_from(RECORDS), drawn=st.data())
def test_records_cut_within_a_line_are_refused_with_that_line(name: str, drawn: st.DataObject) -> None:
    values = drawn.draw(st.lists(_document(name), min_size=1, max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.jsonl"
        *whole, last = [json.dumps(value, ensure_ascii=False).encode() for value in values]
        torn = last[: drawn.draw(st.integers(1, len(last) - 1))]
        path.write_bytes(b"\n".join([*whole, torn]))

        with pytest.raises(AdaptiveFileError, match=rf"one\.jsonl, line {len(values)}[,:]"):
            read_lines(path, name)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "signals.jsonl"
    path.write_text(content)

    with pytest.raises(AdaptiveFileError, match=r"signals\.jsonl: is empty, expected 1 or more lines"):
        read_lines(path, "learning_signal")
    with pytest.raises(
        AdaptiveFileError, match=r"signals\.jsonl, line 1: is empty, expected learning_signal"
    ):
        read_json(path, "learning_signal")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdaptiveFileError, match=r"weights\.json: is missing, expected a file"):
        read_json(tmp_path / "weights.json", "heuristic_weights")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(AdaptiveFileError, match=r"cannot be read \(Is a directory\), expected a file"):
        read_json(tmp_path, "heuristic_weights")


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_bytes(b'{"H16_001": 1,\n"\xff": 2}')

    with pytest.raises(AdaptiveFileError, match=r"weights\.json, line 2: is not UTF-8 text, expected JSON"):
        read_json(path, "heuristic_weights")


def test_all_that_is_wrong_with_a_document_is_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text('{\n  "H16_001": -1,\n  "H16_002": NaN,\n  "H16_003": 1,\n  "H16_003": 2\n}\n')

    with pytest.raises(AdaptiveFileError) as refusal:
        read_json(path, "heuristic_weights")

    assert str(refusal.value).splitlines() == [
        f"{path}, line 1, field updated_at: is missing, "
        "expected an instant in UTC such as 2026-11-20T23:00:00Z",
        f"{path}, line 2, field H16_001: is -1, expected a number of at least 0",
        f"{path}, line 3, field H16_002: is NaN, expected a finite number",
        f"{path}, line 5, field H16_003: stands twice, expected each key once",
    ]


def test_every_broken_line_of_records_is_told(tmp_path: Path) -> None:
    path = tmp_path / "signals.jsonl"
    whole = json.dumps(SIGNAL)
    path.write_text("\n".join([whole, whole[:20], whole.replace("0.5", "5"), "[]", whole]))

    with pytest.raises(AdaptiveFileError) as refusal:
        read_lines(path, "learning_signal")

    # whole[:20] is {"signal_id": "s1",␣ and the comma asks for a key
    assert str(refusal.value).splitlines() == [
        f'{path}, line 2: breaks off, expected a key in "quotes"',
        f"{path}, line 3, field confidence: is 5, expected a number from 0 to 1",
        f"{path}, line 4: is an array of 0, expected an object, one signal",
    ]


def test_a_field_within_arrays_is_named_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "patterns.json"
    pattern = {"pattern_type": "p", "agent_assignments": {"a": ["t", 2]}, "success_rate": 1, "confidence": 1}
    path.write_text(json.dumps([pattern, pattern], indent=1))

    with pytest.raises(AdaptiveFileError, match=r"line 7, field \[0\]\.agent_assignments\.a\[1\]: is 2"):
        read_array(path, "coordination_patterns")


def test_only_the_first_twenty_of_many_faults_are_told(tmp_path: Path) -> None:
    path = tmp_path / "signals.jsonl"
    path.write_text("{\n" * 25)

    with pytest.raises(AdaptiveFileError) as refusal:
        read_lines(path, "learning_signal")

    told = str(refusal.value).splitlines()
    assert len(told) == 21
    assert told[-1] == f"{path}: and 5 more"


@pytest.mark.parametrize("wrong", [float("nan"), -1, None, "1", {1, 2}, object()])
def test_nothing_invalid_is_written(tmp_path: Path, wrong: object) -> None:
    path = tmp_path / "weights.json"
    write_json(path, WEIGHTS, "heuristic_weights")

    with pytest.raises(AdaptiveFileError, match=r"weights\.json"):
        write_json(path, {**WEIGHTS, "H16_001": wrong}, "heuristic_weights")

    assert read_json(path, "heuristic_weights") == WEIGHTS
    assert list(tmp_path.iterdir()) == [path]


def test_one_invalid_record_keeps_all_from_being_written(tmp_path: Path) -> None:
    path = tmp_path / "signals.jsonl"

    with pytest.raises(AdaptiveFileError, match=r"line 2, field confidence: is missing"):
        write_lines(path, [SIGNAL, {k: v for k, v in SIGNAL.items() if k != "confidence"}], "learning_signal")

    assert not path.exists()


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.mkdir()

    with pytest.raises(OSError, match="directory"):
        write_json(path, WEIGHTS, "heuristic_weights")

    assert list(tmp_path.iterdir()) == [path]


def test_tuples_and_read_only_mappings_are_written_as_arrays_and_objects(tmp_path: Path) -> None:
    path = tmp_path / "patterns.json"
    assignments = MappingProxyType({"local/1": ("a", "b")})
    pattern = {"pattern_type": "p", "agent_assignments": assignments, "success_rate": 1.0, "confidence": 0.5}

    write_json(path, (pattern,), "coordination_patterns")

    assert read_array(path, "coordination_patterns") == [
        {**pattern, "agent_assignments": {"local/1": ["a", "b"]}}
    ]


def test_records_are_one_to_a_line_and_none_is_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "signals.jsonl"

    write_lines(path, [SIGNAL, SIGNAL], "learning_signal")
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [SIGNAL, SIGNAL]

    write_lines(path, [], "learning_signal")
    assert path.read_text() == ""
