"""The codec: what it refuses, ignores and fills in, and the text it writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestration.decisions import Gate, Reason
from orchestration.errors import StoreError
from orchestration.runs import ActiveRun, Estimate, Outcome, RunKey, StopCause, TaskRecord
from orchestration.state import codec

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


def test_an_instant_is_written_in_utc_with_six_decimals_and_a_z() -> None:
    new_york = timezone(timedelta(hours=-5))

    assert codec.to_instant(datetime(2026, 11, 20, 18, 0, tzinfo=new_york)) == "2026-11-20T23:00:00.000000Z"


def test_texts_of_instants_sort_as_the_instants_do() -> None:
    steps = (timedelta(), timedelta(microseconds=1), timedelta(milliseconds=500), timedelta(seconds=1))
    instants = [NOW + step for step in steps]

    assert sorted(map(codec.to_instant, instants)) == [codec.to_instant(at) for at in instants]


def test_an_instant_without_a_zone_is_refused_both_ways() -> None:
    with pytest.raises(ValueError, match="no zone"):
        codec.to_instant(datetime(2026, 11, 20))  # noqa: DTZ001  # the point of the test
    with pytest.raises(ValueError, match="no zone"):
        codec.from_instant("2026-11-20T23:00:00")


def test_fields_that_hold_their_default_are_left_out() -> None:
    written = codec.RECORD.to_dict(TaskRecord(attempts=2, last_success_at=NOW))

    assert written == {"v": 1, "attempts": 2, "last_success_at": "2026-11-20T23:00:00.000000Z"}


def test_keys_of_a_newer_version_are_ignored_and_missing_ones_have_their_default() -> None:
    record = codec.RECORD.from_dict({"v": 9, "attempts": 2, "mood": "fine"})

    assert record == TaskRecord(attempts=2)


def test_an_outcome_of_a_newer_version_is_no_success() -> None:
    assert codec.RECORD.from_dict({"last_outcome": "evaporated"}).last_outcome is Outcome.FAILED


def test_a_stop_cause_of_a_newer_version_is_the_operators() -> None:
    assert codec.read_stop_cause("eclipse") is StopCause.OPERATOR
    assert codec.read_stop_cause("timeout") is StopCause.TIMEOUT
    assert codec.read_stop_cause(None) is None


def test_a_reason_of_a_newer_version_keeps_its_name_in_the_detail() -> None:
    gate = codec.gate_from_dict({"reason": "TOO_HUMID", "passed": False, "detail": "95 %"})

    assert gate == Gate(Reason.NOT_DUE, False, "TOO_HUMID: 95 %")


def test_a_missing_field_without_default_is_named() -> None:
    with pytest.raises(ValueError, match="ActiveRun without 'key'"):
        codec.ACTIVE_RUN.from_dict({"started_at": "2026-11-20T23:00:00Z"})


def test_a_value_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match=r"TaskRecord.last_slot = 'noon'"):
        codec.RECORD.from_dict({"last_slot": "noon"})


def test_a_run_is_written_with_its_whole_key() -> None:
    run = ActiveRun(key=RunKey("a", "c", "once", 2), started_at=NOW, predicted_end=NOW, reserved_mb=1.5)

    assert codec.ACTIVE_RUN.to_dict(run) == {
        "v": 1,
        "key": ["a", "c", "once", 2],
        "started_at": "2026-11-20T23:00:00.000000Z",
        "predicted_end": "2026-11-20T23:00:00.000000Z",
        "reserved_mb": 1.5,
    }


def test_an_action_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'levitate'; expected one of start, stop, skip, alert"):
        codec.action_from_dict({"kind": "levitate"})


def test_a_class_with_a_field_nobody_can_write_is_refused_when_its_codec_is_made() -> None:
    @dataclass(frozen=True)
    class Strange:
        thing: object = None

    with pytest.raises(TypeError, match=r"Strange.thing"):
        codec.Codec(Strange)


def test_a_key_of_the_records_is_not_for_values() -> None:
    codec.check_key("records")

    with pytest.raises(StoreError, match="record/job"):
        codec.check_key("record/job")


def test_an_estimate_reads_back_from_a_table_row_with_more_columns() -> None:
    row = {"task": "a", "log_mean": 1, "runs": 3, "updated_at": "2026-11-20T23:00:00Z"}

    assert codec.ESTIMATE.from_dict(row) == Estimate(log_mean=1.0, runs=3)
