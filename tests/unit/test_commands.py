"""Orders from orchestratorctl: carried out once, answered in words, refused with the next step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestration.changes import AlertAcknowledged, EventLogged, RecordSaved, ValueSaved
from orchestration.runs import Outcome, TaskRecord
from orchestration.types import TaskSpec
from tests.unit.deciding import NIGHT, duty
from tests.unit.living import Box

JOB = TaskSpec(name="job", estimated_minutes=10, idempotent=True)
WEEKEND = TaskSpec(name="weekend", phases={"WEEKEND"}, estimated_minutes=10)
OFF = TaskSpec(name="off", enabled=False)


def a_box() -> Box:
    box = Box(JOB, WEEKEND, OFF, duty(phases={"WEEKEND"}), at=NIGHT)
    box.loop.turn()
    return box


def test_a_run_by_hand_starts_outside_its_window_in_the_same_turn() -> None:
    box = a_box()

    ok, text = box.tell("run", task="weekend")

    assert ok
    assert text.startswith("weekend will run as soon as")
    assert box.loop.state.running_tasks["weekend"].key.slot == "manual:0"


@pytest.mark.parametrize(
    ("name", "args", "says"),
    [
        ("run", {"task": "weekedn"}, "no task is called 'weekedn'"),
        ("run", {}, "no task is called ''"),
        ("run", {"task": "off"}, "set `enabled = true`"),
        ("run", {"task": "job"}, "job is running already: job."),
        ("stop", {"run": "weekend"}, "no run is called 'weekend'; running: job"),
        ("reconcile", {"task": "job"}, "no run with an unknown end"),
        ("pause", {"task": "nobody"}, "no task is called 'nobody'"),
        ("dance", {}, "unknown command 'dance'; known: acknowledge, handover"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_with_what_to_do(
    name: str, args: dict[str, str], says: str
) -> None:
    ok, text = a_box().tell(name, **args)

    assert not ok
    assert says in text


@pytest.mark.parametrize("by", ["task", "run id"])
def test_a_run_is_stopped_by_its_task_or_its_id_and_not_started_again(by: str) -> None:
    box = a_box()
    run_id = box.loop.state.running_tasks["job"].run_id

    ok, text = box.tell("stop", run="job" if by == "task" else run_id)
    box.sim.run_until(NIGHT + timedelta(minutes=30))

    assert (ok, text) == (True, f"{run_id} was asked to stop")
    assert [result.outcome for result in box.store.results] == [Outcome.KILLED]


def test_with_nothing_running_a_stop_says_so() -> None:
    box = Box(WEEKEND, at=NIGHT)

    assert box.tell("stop", run="x")[1] == "no run is called 'x'; running: nothing"


def test_pausing_lets_only_duties_start_and_is_written_down() -> None:
    box = a_box()

    ok, text = box.tell("pause")

    assert (ok, box.loop.state.paused) == (True, "research")
    assert "only trading duties start" in text
    assert [c.value for c in box.store.taken if isinstance(c, ValueSaved) and c.key == "paused"] == [
        "research"
    ]
    assert "nothing starts" in box.tell("pause", all="true")[1]
    assert box.loop.state.paused == "all"
    assert box.tell("resume") == (True, "resumed")
    assert box.loop.state.paused is None


def test_one_task_is_paused_and_resumed() -> None:
    box = a_box()

    box.tell("pause", task="weekend")
    paused = box.loop.state.record("weekend").paused
    ok, text = box.tell("resume", task="weekend")

    assert paused
    assert (ok, text, box.loop.state.record("weekend").paused) == (True, "weekend is resumed", False)
    saved = [c.record.paused for c in box.store.taken if isinstance(c, RecordSaved) and c.task == "weekend"]
    assert saved == [True, False]


def test_the_operator_s_word_reconciles() -> None:
    box = a_box()
    box.loop.state = replace(box.loop.state, records={"weekend": TaskRecord(unknown_since=NIGHT)})

    ok, text = box.tell("reconcile", task="weekend")

    assert ok
    assert "reconciled by your word" in text
    assert box.loop.state.record("weekend").unknown_since is None


def test_an_alert_that_is_acknowledged_stands_and_is_known_as_seen() -> None:
    box = a_box()
    box.loop.narrator.remember(frozenset({"failed:study", "disk"}))

    assert box.tell("acknowledge", alert="disk") == (True, "disk is acknowledged")
    assert box.tell("acknowledge", all="true") == (True, "2 alert(s) acknowledged")

    keys = [change.key for change in box.store.taken if isinstance(change, AlertAcknowledged)]
    assert keys == ["disk", "disk", "failed:study"]
    assert box.loop.narrator.standing == {"failed:study", "disk"}


def test_an_alert_that_does_not_stand_cannot_be_acknowledged() -> None:
    ok, text = a_box().tell("acknowledge", alert="gone")

    assert (ok, text) == (False, "no open alert is called 'gone'; open: none")


def test_a_reload_is_done_in_the_same_turn() -> None:
    box = a_box()
    read: list[bool] = []
    box.loop._reload = lambda: read.append(True)

    ok, _ = box.tell("reload")

    assert (ok, read) == (True, [True])


def test_an_order_is_logged_and_kept_and_a_look_is_not() -> None:
    box = a_box()

    box.tell("pause")
    box.tell("snapshot")

    events = [c for c in box.store.taken if isinstance(c, EventLogged) and c.name.startswith("command.")]
    assert [event.name for event in events] == ["command.pause"]
    assert [line["command"] for line in box.scheduler.of("command.done")] == ["pause"]


def test_a_snapshot_shows_everything_at_this_instant() -> None:
    box = a_box()
    box.clock.advance(timedelta(minutes=5))

    ok, text, shown = box.ask("snapshot")

    assert (ok, text) == (True, "")
    # 20:05 New York is 01:05 UTC; 7 h 55 min to PREP.
    assert (shown["at"], shown["mode"], shown["policy"]) == ("2026-11-20T01:05:00Z", "research", "unified")
    assert (shown["window"], shown["cycle"]) == ("2026-11-20/OVERNIGHT", "2026-11-20")
    assert shown["prep_start"] == "2026-11-20T09:00:00Z"
    budget, running, tasks = shown["budget"], shown["running"], shown["tasks"]
    assert isinstance(budget, dict)
    assert budget["research_hours"] == pytest.approx(7.9167, abs=1e-4)
    assert isinstance(running, list)
    assert [(run["task"], run["running_s"], run["stopping"]) for run in running] == [("job", 300, None)]
    assert isinstance(tasks, list)
    by_name = {task["name"]: task for task in tasks}
    assert by_name["job"]["status"] == "running"
    assert by_name["weekend"]["next_at"] == "2026-11-20T23:00:00Z"
    assert [gate["reason"] for gate in by_name["off"]["failures"]] == ["DISABLED"]
    assert (shown["rung"], shown["fault"]) == ("simulated", None)


def test_a_snapshot_shows_what_stops_and_what_was_learned() -> None:
    box = Box(JOB.but(every=timedelta(minutes=20), window="20:00..24:00"), at=NIGHT)
    box.sim.run_until(NIGHT + timedelta(minutes=21))

    box.tell("stop", run="job")
    _, _, shown = box.ask("snapshot")

    running, tasks = shown["running"], shown["tasks"]
    assert isinstance(running, list)
    assert isinstance(tasks, list)
    assert running[0]["stopping"] == "operator"
    assert (tasks[0]["runs_learned"], tasks[0]["last_outcome"]) == (1, "succeeded")
    assert tasks[0]["last_success_at"] == "2026-11-20T01:10:00Z"
