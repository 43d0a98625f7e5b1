"""One behavioural suite for every `Store`."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.changes import (
    AlertSaved,
    BlockedSaved,
    EventLogged,
    OpenRun,
    RecordSaved,
    RunEnded,
    RunPlanned,
    RunStarted,
    RunStopping,
    SessionsSaved,
    Stored,
    ValueSaved,
)
from orchestration.decisions import Blocked, Gate, Reason
from orchestration.errors import StoreError
from orchestration.ports import Store
from orchestration.runs import (
    ActiveRun,
    Estimate,
    Outcome,
    RunKey,
    RunStatus,
    StopCause,
    TaskRecord,
    TaskResult,
)
from orchestration.state.memory import MemoryStore
from orchestration.state.retention import Retention
from orchestration.state.store import SqlStore
from orchestration.types import Session

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
RETENTION = Retention(
    runs=timedelta(days=10), runs_per_task=3, waits=timedelta(days=2), skips=timedelta(days=5)
)


@pytest.fixture(params=["memory", "sqlite file", "sqlite in memory"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Return a function that opens the store, the second time as a restarted daemon would."""
    opened: list[Store] = []

    def open_store() -> Store:
        if request.param == "sqlite file":
            for store in opened:
                store.close()
            opened.append(SqlStore(tmp_path / "performance.db", retention=RETENTION, now=lambda: NOW))
        elif not opened:
            in_memory = request.param == "memory"
            opened.append(
                MemoryStore(retention=RETENTION) if in_memory else SqlStore("sqlite://", retention=RETENTION)
            )
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def active(task: str = "job", slot: str = "once", attempt: int = 1, *, at: datetime = NOW) -> ActiveRun:
    return ActiveRun(
        key=RunKey(task, "2026-11-23", slot, attempt),
        started_at=at,
        predicted_end=at + timedelta(minutes=7),
        reserved_mb=123.5,
        cpus=2,
        stop_at=at + timedelta(hours=1),
        filler=True,
    )


def ended(run: ActiveRun, outcome: Outcome = Outcome.SUCCEEDED, *, at: datetime = NOW) -> RunEnded:
    return RunEnded(result=TaskResult(key=run.key, outcome=outcome, started_at=at, ended_at=at, exit_code=0))


def test_a_new_store_knows_nothing(reopen: Callable[[], Store]) -> None:
    assert reopen().load() == Stored()


def test_a_planned_run_is_found_again_as_it_was_planned(reopen: Callable[[], Store]) -> None:
    run = active()

    reopen().commit([RunPlanned(run=run, pool="local", predicted_minutes=7.0, log="logs/job.log")])

    assert reopen().load().open_runs == (OpenRun(run=run, status=RunStatus.PLANNED),)


def test_a_started_run_is_found_again_with_its_pid_and_start(reopen: Callable[[], Store]) -> None:
    run, started_at = active(), NOW + timedelta(milliseconds=3)
    store = reopen()
    store.commit([RunPlanned(run=run)])

    store.commit([RunStarted(run_id=run.run_id, pid=4711, started_at=started_at)])

    (found,) = reopen().load().open_runs
    assert (found.status, found.pid, found.run.started_at) == (RunStatus.RUNNING, 4711, started_at)


def test_a_run_asked_to_stop_is_found_again_with_the_cause(reopen: Callable[[], Store]) -> None:
    run, asked_at = active(), NOW + timedelta(minutes=3)
    store = reopen()
    store.commit([RunPlanned(run=run), RunStarted(run_id=run.run_id, pid=1, started_at=NOW)])

    store.commit([RunStopping(run_id=run.run_id, cause="reclaim", asked_at=asked_at)])

    (found,) = reopen().load().open_runs
    assert (found.run.stopping, found.run.stop_asked_at) == (StopCause.RECLAIM, asked_at)


def test_a_cause_of_a_newer_version_reads_as_the_operators(reopen: Callable[[], Store]) -> None:
    run = active()

    reopen().commit([RunPlanned(run=run), RunStopping(run_id=run.run_id, cause="eclipse", asked_at=NOW)])

    assert reopen().load().open_runs[0].run.stopping is StopCause.OPERATOR


def test_an_ended_run_is_no_longer_open(reopen: Callable[[], Store]) -> None:
    run = active()
    store = reopen()
    store.commit([RunPlanned(run=run)])

    store.commit([ended(run)])

    assert reopen().load().open_runs == ()


def test_open_runs_come_in_the_order_of_their_planning(reopen: Callable[[], Store]) -> None:
    later, sooner = active("aaa", at=NOW + timedelta(seconds=1)), active("zzz")

    reopen().commit([RunPlanned(run=later), RunPlanned(run=sooner)])

    assert [found.run.task for found in reopen().load().open_runs] == ["zzz", "aaa"]


@pytest.mark.parametrize("has_ended", [False, True])
def test_the_same_run_is_never_planned_twice(reopen: Callable[[], Store], has_ended: bool) -> None:
    run = active()
    store = reopen()
    store.commit([RunPlanned(run=run), *([ended(run)] if has_ended else [])])

    with pytest.raises(StoreError) as caught:
        reopen().commit([RunPlanned(run=run)])

    assert caught.value.errno == errno.EEXIST
    assert run.run_id in str(caught.value)


def test_of_a_refused_turn_nothing_is_kept(reopen: Callable[[], Store]) -> None:
    run = active()
    store = reopen()
    store.commit([RunPlanned(run=run)])

    with pytest.raises(StoreError):
        store.commit(
            [
                ValueSaved(key="mode", value='"prep"', at=NOW),
                RecordSaved(task="job", record=TaskRecord(attempts=9, estimate=Estimate(runs=9))),
                RunPlanned(run=run),
            ]
        )

    found = reopen().load()
    assert (found.values, found.records) == ({}, {})


def test_the_store_goes_on_after_a_refused_turn(reopen: Callable[[], Store]) -> None:
    run, estimate = active(), Estimate(runs=3, log_mean=1.5)
    store = reopen()
    store.commit([RunPlanned(run=run)])
    record = RecordSaved(task="job", record=TaskRecord(estimate=estimate))
    with pytest.raises(StoreError):
        store.commit([record, RunPlanned(run=run)])

    store.commit([record])

    assert reopen().load().records["job"].estimate == estimate


def test_a_new_attempt_of_the_same_slot_is_another_run(reopen: Callable[[], Store]) -> None:
    first, second = active(attempt=1), active(attempt=2)
    store = reopen()
    store.commit([RunPlanned(run=first), ended(first, Outcome.FAILED)])

    store.commit([RunPlanned(run=second)])

    assert [found.run for found in reopen().load().open_runs] == [second]


def test_a_run_that_has_ended_is_neither_started_nor_stopped_again(reopen: Callable[[], Store]) -> None:
    run = active()
    store = reopen()
    store.commit([RunPlanned(run=run), ended(run)])

    store.commit(
        [
            RunStarted(run_id=run.run_id, pid=1, started_at=NOW),
            RunStopping(run_id=run.run_id, cause="timeout", asked_at=NOW),
        ]
    )

    assert reopen().load().open_runs == ()


def test_the_end_of_an_unknown_run_is_kept(reopen: Callable[[], Store]) -> None:
    run = active()

    reopen().commit([ended(run, Outcome.FAILED)])

    with pytest.raises(StoreError):
        reopen().commit([RunPlanned(run=run)])


def test_a_record_is_found_again_as_it_was_saved(reopen: Callable[[], Store]) -> None:
    record = TaskRecord(
        last_success_at=NOW,
        last_success_cycle="2026-11-23",
        last_success_window="2026-11-23/WEEKEND",
        last_outcome=Outcome.CHECKPOINTED,
        last_slot=NOW - timedelta(minutes=1),
        attempts=2,
        settled=True,
        recent_failures=(NOW - timedelta(minutes=2), NOW),
        quarantine_level=1,
        paused=True,
        estimate=Estimate(log_mean=1.25, log_error=0.5, runs=7, memory_mb=310.0, memory_floor_mb=500.0),
    )

    reopen().commit([RecordSaved(task="job", record=record)])

    assert reopen().load().records == {"job": record}


def test_the_latest_record_and_estimate_win(reopen: Callable[[], Store]) -> None:
    store = reopen()
    store.commit([RecordSaved(task="job", record=TaskRecord(attempts=1, estimate=Estimate(runs=1)))])
    store.commit([RecordSaved(task="job", record=TaskRecord(attempts=2, estimate=Estimate(runs=1)))])

    store.commit([RecordSaved(task="job", record=TaskRecord(attempts=3, estimate=Estimate(runs=2)))])

    assert reopen().load().records == {"job": TaskRecord(attempts=3, estimate=Estimate(runs=2))}


def test_an_estimate_can_be_forgotten(reopen: Callable[[], Store]) -> None:
    reopen().commit([RecordSaved(task="job", record=TaskRecord(attempts=1, estimate=Estimate(runs=5)))])
    store = reopen()
    store.load()

    store.commit([RecordSaved(task="job", record=TaskRecord(attempts=1))])

    assert reopen().load().records == {"job": TaskRecord(attempts=1)}


def test_an_estimate_is_forgotten_by_a_daemon_that_has_not_loaded(reopen: Callable[[], Store]) -> None:
    reopen().commit([RecordSaved(task="job", record=TaskRecord(estimate=Estimate(runs=5)))])

    reopen().commit([RecordSaved(task="job", record=TaskRecord())])

    assert reopen().load().records == {"job": TaskRecord()}


def test_the_latest_value_of_a_key_wins(reopen: Callable[[], Store]) -> None:
    store = reopen()
    store.commit([ValueSaved(key="mode", value='"research"', at=NOW)])

    store.commit(
        [ValueSaved(key="mode", value='"prep"', at=NOW), ValueSaved(key="paused", value="null", at=NOW)]
    )

    assert reopen().load().values == {"mode": '"prep"', "paused": "null"}


def test_a_value_cannot_take_the_place_of_a_record(reopen: Callable[[], Store]) -> None:
    with pytest.raises(StoreError, match="record/job"):
        reopen().commit([ValueSaved(key="record/job", value="{}", at=NOW)])


def session(day: int, *, is_early_close: bool = False) -> Session:
    opens = datetime(2026, 11, day, 14, 30, tzinfo=UTC)
    return Session(
        exchange="XNYS",
        day=date(2026, 11, day),
        open=opens,
        close=opens + timedelta(hours=3.5 if is_early_close else 6.5),
        break_start=opens + timedelta(hours=1),
        break_end=opens + timedelta(hours=2),
        is_early_close=is_early_close,
    )


def test_a_session_table_replaces_the_old_one_of_its_exchange_whole(reopen: Callable[[], Store]) -> None:
    tokyo = Session(exchange="JPX", day=date(2026, 11, 24), open=NOW, close=NOW + timedelta(hours=6))
    store = reopen()
    store.commit(
        [
            SessionsSaved(exchange="XNYS", sessions=(session(20),), source="pmc 5.0", at=NOW),
            SessionsSaved(exchange="JPX", sessions=(tokyo,), source="pmc 5.0", at=NOW),
        ]
    )

    new = (session(27, is_early_close=True), session(23))
    store.commit([SessionsSaved(exchange="XNYS", sessions=new, source="pmc 5.1", at=NOW)])

    found = reopen().load()
    assert found.sessions == {"XNYS": (new[1], new[0]), "JPX": (tokyo,)}
    assert found.session_source == {"XNYS": "pmc 5.1", "JPX": "pmc 5.0"}


def alert(key: str, *, at: datetime = NOW, cleared: bool = False) -> AlertSaved:
    return AlertSaved(at=at, key=key, severity="warning", text="it is hot", cleared=cleared)


def test_an_alert_is_open_until_it_clears(reopen: Callable[[], Store]) -> None:
    store = reopen()
    store.commit([alert("heat"), alert("disk"), alert("heat")])
    assert reopen().load().alerts == {"heat", "disk"}

    reopen().commit([alert("heat", cleared=True), alert("never raised", cleared=True)])

    assert reopen().load().alerts == {"disk"}


def test_an_empty_turn_writes_nothing(reopen: Callable[[], Store]) -> None:
    reopen().commit([])

    assert reopen().load() == Stored()


def test_prune_drops_what_is_older_than_its_retention(reopen: Callable[[], Store]) -> None:
    store = reopen()
    gate = Gate(Reason.MEMORY, False, "needs 900, has 300", 900.0, 300.0)
    blocked = Blocked("job", (gate,))
    day = timedelta(days=1)
    store.commit(
        [
            BlockedSaved(task="job", at=NOW - 6 * day, blocked=blocked, slot="2026-11-14T02:00:00Z"),  # goes
            BlockedSaved(task="job", at=NOW - 4 * day, blocked=blocked, slot="2026-11-16T02:00:00Z"),
            BlockedSaved(task="job", at=NOW - 3 * day, blocked=blocked),  # goes
            BlockedSaved(task="job", at=NOW - 1 * day, blocked=None),
            BlockedSaved(task="other", at=NOW - 30 * day, blocked=blocked),  # still the present reason
            EventLogged(at=NOW - 91 * day, name="mode.changed"),  # goes
            EventLogged(at=NOW - 89 * day, name="mode.changed", detail={"to": "prep"}),
            alert("old", at=NOW - 500 * day),
            alert("old", at=NOW - 499 * day, cleared=True),  # goes
            alert("still open", at=NOW - 500 * day),
        ]
    )

    assert store.prune(NOW) == 4
    assert reopen().prune(NOW) == 0


def test_prune_keeps_open_runs_and_the_newest_of_each_task(reopen: Callable[[], Store]) -> None:
    store = reopen()
    old_open = active("stuck", at=NOW - timedelta(days=60))
    old = active("yearly", at=NOW - timedelta(days=11))
    minutes = [active("minute", f"slot{n}", at=NOW - timedelta(minutes=n)) for n in range(5)]
    store.commit([RunPlanned(run=run) for run in [old_open, old, *minutes]])
    store.commit([ended(run) for run in [old, *minutes]])

    gone = store.prune(NOW)  # `old` by age; two of the five minute runs by number

    assert gone == 3
    assert [found.run for found in reopen().load().open_runs] == [old_open]
    reopen().commit([RunPlanned(run=run) for run in (old, minutes[3], minutes[4])])
