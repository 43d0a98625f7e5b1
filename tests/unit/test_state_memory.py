"""MemoryStore: what it offers beyond every store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orchestration.changes import (
    AlertSaved,
    BlockedSaved,
    EventLogged,
    OpenRun,
    RunEnded,
    RunPlanned,
    Stored,
)
from orchestration.runs import ActiveRun, Outcome, RunKey, RunStatus, TaskRecord, TaskResult
from orchestration.state.memory import MemoryStore

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


def planned(task: str, slot: str = "once") -> RunPlanned:
    run = ActiveRun(
        key=RunKey(task, "2026-11-23", slot, 1), started_at=NOW, predicted_end=NOW, reserved_mb=1.0
    )
    return RunPlanned(run=run)


def ended(change: RunPlanned, outcome: Outcome = Outcome.SUCCEEDED) -> RunEnded:
    return RunEnded(result=TaskResult(key=change.run.key, outcome=outcome, ended_at=NOW))


def raised(key: str, *, minutes: int = 0, text: str = "hot", cleared: bool = False) -> AlertSaved:
    at = NOW + timedelta(minutes=minutes)
    return AlertSaved(at=at, key=key, severity="warning", text=text, cleared=cleared)


def test_results_are_kept_in_their_order() -> None:
    first, second = planned("a"), planned("b")
    store = MemoryStore()
    store.commit([first, second])

    store.commit([ended(second), ended(first)])

    assert [result.key.task for result in store.results] == ["b", "a"]


def test_without_rows_results_are_folded_into_counts() -> None:
    store = MemoryStore(keep_rows=False)
    changes = [planned("a", f"slot{n}") for n in range(5)]
    for n, change in enumerate(changes):
        store.commit([change, ended(change, Outcome.FAILED if n == 0 else Outcome.SUCCEEDED)])
    store.commit([EventLogged(at=NOW, name="mode.changed"), BlockedSaved(task="a", at=NOW, blocked=None)])
    store.commit([raised("heat"), raised("heat", cleared=True), raised("heat")])

    assert store.outcomes == {("a", Outcome.FAILED): 1, ("a", Outcome.SUCCEEDED): 4}
    assert store.counts == {"events": 1, "decisions": 1, "alerts": 2}
    assert (store.results, store.events, store.decisions, store.alerts) == ([], [], [], [])
    assert store.load() == Stored(alerts=frozenset({"heat"}))


def test_a_result_counts_once() -> None:
    change = planned("a")
    store = MemoryStore()

    store.commit([change, ended(change), ended(change, Outcome.FAILED)])

    assert store.outcomes == {("a", Outcome.SUCCEEDED): 1}


def test_it_begins_with_what_it_is_given() -> None:
    run = planned("a").run
    stored = Stored(
        records={"a": TaskRecord(attempts=1)},
        open_runs=(OpenRun(run=run, status=RunStatus.RUNNING, pid=3),),
        values={"mode": '"prep"'},
        alerts=frozenset({"heat"}),
    )

    store = MemoryStore(stored)

    assert store.load() == stored


def test_what_was_loaded_does_not_change_with_the_store() -> None:
    store = MemoryStore()
    before = store.load()

    store.commit([planned("a")])

    assert before.open_runs == ()


def test_an_alert_raised_again_is_one_row_with_the_newest_text() -> None:
    store = MemoryStore()

    store.commit([raised("heat"), raised("heat", minutes=5, text="hotter")])

    assert [(alert.at, alert.text) for alert in store.alerts] == [(NOW, "hotter")]


def test_an_alert_it_began_with_can_clear() -> None:
    store = MemoryStore(Stored(alerts=frozenset({"heat"})))

    store.commit([raised("heat", text="hotter"), raised("heat", cleared=True)])
    store.close()

    assert store.load().alerts == frozenset()
