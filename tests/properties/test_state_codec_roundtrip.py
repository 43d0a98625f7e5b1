"""Whatever the daemon knows comes back from JSON as it was."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.decisions import (
    Blocked,
    Decision,
    Gate,
    Prediction,
    RaiseAlert,
    Reason,
    SkipSlot,
    StartRun,
    StopRun,
)
from orchestration.runs import ActiveRun, Estimate, Outcome, RunKey, StopCause, TaskRecord
from orchestration.state import codec
from orchestration.types import OperatingMode, Phase, ResearchBudget, Session, Stretch, TimeWindow

EARLIEST, LATEST = datetime(1970, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001  # hypothesis adds the zone
INSTANTS = st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=8)
KEYS = st.builds(RunKey, TEXTS, TEXTS, TEXTS, st.integers(1, 9))
GATES = st.builds(
    Gate,
    st.sampled_from(Reason),
    st.booleans(),
    TEXTS,
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.none() | INSTANTS,
)
BLOCKED = st.builds(Blocked, TEXTS, st.lists(GATES, max_size=3).map(tuple), st.none() | INSTANTS)

STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXTS,
    "int": st.integers(-(2**40), 2**40),
    "float": NUMBERS,
    "bool": st.booleans(),
    "date": st.dates(date(1990, 1, 1), date(2100, 1, 1)),
    "datetime": INSTANTS,
    "tuple[datetime, ...]": st.lists(INSTANTS, max_size=3).map(tuple),
    "Outcome": st.sampled_from(Outcome),
    "StopCause": st.sampled_from(StopCause),
    "OperatingMode": st.sampled_from(OperatingMode),
    "Phase": st.sampled_from(Phase),
    "RunKey": KEYS,
    "Gate": GATES,
    "Prediction": st.builds(Prediction, NUMBERS, NUMBERS),
}


def made(of: Any) -> st.SearchStrategy[Any]:
    """Return a strategy that draws every field of `of`, also those that have a default."""
    drawn: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(of):
        name = str(field.type)
        strategy = STRATEGIES[name.removesuffix(" | None")]
        drawn[field.name] = st.none() | strategy if name.endswith(" | None") else strategy
    return st.builds(of, **drawn)


for _of in (Estimate, TimeWindow):
    STRATEGIES[_of.__name__] = made(_of)
ACTIONS = st.one_of(made(StartRun), made(StopRun), made(SkipSlot), made(RaiseAlert))
DECISIONS = st.builds(
    Decision,
    at=INSTANTS,
    stretch=made(Stretch),
    budget=made(ResearchBudget),
    actions=st.lists(ACTIONS, max_size=3).map(tuple),
    blocked=st.dictionaries(TEXTS, BLOCKED, max_size=3),
    wake_at=INSTANTS,
    polls=st.booleans(),
)


def through_json(written: object) -> Any:
    return json.loads(json.dumps(written))


@given(made(TaskRecord))
def test_every_record_comes_back(record: TaskRecord) -> None:
    assert codec.RECORD.from_dict(through_json(codec.RECORD.to_dict(record))) == record


@given(made(ActiveRun))
def test_every_run_comes_back(run: ActiveRun) -> None:
    assert codec.ACTIVE_RUN.from_dict(through_json(codec.ACTIVE_RUN.to_dict(run))) == run


@given(made(Session))
def test_every_session_comes_back(session: Session) -> None:
    assert codec.SESSION.from_dict(through_json(codec.SESSION.to_dict(session))) == session


@given(BLOCKED)
def test_every_blocked_task_comes_back(blocked: Blocked) -> None:
    assert codec.blocked_from_dict(through_json(codec.blocked_to_dict(blocked))) == blocked


@settings(max_examples=50)
@given(DECISIONS)
def test_every_decision_comes_back(decision: Decision) -> None:
    assert codec.decision_from_dict(through_json(codec.decision_to_dict(decision))) == decision


@given(made(TaskRecord), st.dictionaries(st.text("xyz", min_size=1), st.integers()))
def test_keys_of_a_newer_version_change_nothing(record: TaskRecord, more: dict[str, int]) -> None:
    assert codec.RECORD.from_dict({**more, **codec.RECORD.to_dict(record)}) == record
