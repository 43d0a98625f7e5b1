"""MemoryStore and SqlStore know the same after any history."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.changes import (
    AlertSaved,
    BlockedSaved,
    Change,
    EventLogged,
    RecordSaved,
    RunEnded,
    RunPlanned,
    RunStarted,
    RunStopping,
    ValueSaved,
)
from orchestration.decisions import Blocked, Gate, Reason
from orchestration.errors import StoreError
from orchestration.ports import Store
from orchestration.runs import ActiveRun, Estimate, Outcome, RunKey, StopCause, TaskRecord, TaskResult
from orchestration.state.memory import MemoryStore
from orchestration.state.retention import Retention
from orchestration.state.store import SqlStore

START = datetime(2026, 11, 20, tzinfo=UTC)
RETENTION = Retention(
    runs=timedelta(hours=5),
    runs_per_task=3,
    waits=timedelta(hours=2),
    skips=timedelta(hours=4),
    events=timedelta(hours=3),
    alerts=timedelta(hours=3),
)

TASKS = st.sampled_from(["a", "b"])
INSTANTS = st.integers(0, 600).map(lambda minute: START + timedelta(minutes=minute))
KEYS = st.builds(
    RunKey, TASKS, st.just("2026-11-20"), st.sampled_from(["once", "s1", "s2"]), st.integers(1, 2)
)
RUNS = st.builds(
    ActiveRun,
    key=KEYS,
    started_at=INSTANTS,
    predicted_end=INSTANTS,
    reserved_mb=st.floats(0, 1e6),
    stop_at=st.none() | INSTANTS,
)
RUN_IDS = KEYS.map(lambda key: key.run_id)
RESULTS = st.builds(
    TaskResult, key=KEYS, outcome=st.sampled_from(Outcome), started_at=INSTANTS, ended_at=INSTANTS
)
RECORDS = st.builds(
    TaskRecord, attempts=st.integers(0, 3), estimate=st.builds(Estimate, runs=st.integers(0, 2))
)
NO_ROOM = (Gate(Reason.MEMORY, False, "no room", 900.0, 300.0, None),)
BLOCKED = st.builds(Blocked, TASKS, st.just(NO_ROOM), st.none() | INSTANTS)
CAUSES = st.sampled_from(StopCause).map(str)
ALERT_KEYS = st.sampled_from(["heat", "disk"])
SEVERITY = st.just("warning")
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(RunPlanned, run=RUNS),
    st.builds(RunStarted, run_id=RUN_IDS, pid=st.integers(1, 9), started_at=INSTANTS),
    st.builds(RunStopping, run_id=RUN_IDS, cause=CAUSES, asked_at=INSTANTS),
    st.builds(RunEnded, result=RESULTS),
    st.builds(RecordSaved, task=TASKS, record=RECORDS),
    st.builds(ValueSaved, key=st.sampled_from(["mode", "record/a"]), value=st.just("1"), at=INSTANTS),
    st.builds(AlertSaved, at=INSTANTS, key=ALERT_KEYS, severity=SEVERITY, text=TASKS, cleared=st.booleans()),
    st.builds(EventLogged, at=INSTANTS, name=TASKS),
    st.builds(BlockedSaved, task=TASKS, at=INSTANTS, blocked=st.none() | BLOCKED, slot=st.none() | TASKS),
)


def attempt(store: Store, turn: Sequence[Change]) -> int | str | None:
    """Commit; return how it was refused, None if it was not."""
    try:
        store.commit(turn)
    except StoreError as error:
        return error.errno or "refused"
    return None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(CHANGES, max_size=4), max_size=12))
def test_both_stores_refuse_and_know_the_same(turns: list[list[Change]]) -> None:
    memory = MemoryStore(retention=RETENTION)
    with closing(SqlStore("sqlite://", retention=RETENTION, now=lambda: START)) as sql:
        for turn in turns:
            assert attempt(memory, turn) == attempt(sql, turn)
            assert memory.load() == sql.load()


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGES, max_size=25), INSTANTS)
def test_pruning_loses_nothing_that_a_start_needs(changes: list[Change], now: datetime) -> None:
    with closing(SqlStore("sqlite://", retention=RETENTION, now=lambda: START)) as sql:
        for change in changes:
            attempt(sql, [change])
        before = sql.load()

        sql.prune(now)

        assert sql.load() == before
        assert sql.prune(now) == 0
