"""Killed at every step from the committed row to the forgotten run: no job runs twice, none is forgotten."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest

from orchestration.crash_points import POINTS
from tests.acceptance.daemon import Daemon, wait_for

# Two runs, one after the other, and a commit of the last one's start: what each point is passed in.
PASSAGES = dict.fromkeys(POINTS, (1, 2)) | {"commit.before": (1, 2, 3, 4), "commit.after": (1, 2, 3, 4)}
EVERYWHERE = [f"{point}:{number}" for point, numbers in PASSAGES.items() for number in numbers]
BY_DEFAULT = frozenset(
    {
        "commit.before:1",
        "commit.after:1",
        "spawn.directory:1",
        "spawn.after:1",
        "reap.after:1",
        "record.after:1",
    }
)
UNSTARTED = {
    **{f"{point}:{number}": number for point in ("spawn.before", "spawn.directory") for number in (1, 2)},
    "commit.after:1": 1,
    "commit.after:3": 2,
}
"""Here the row of this run is committed and its process does not exist."""
ADOPTED_AT = "spawn.after:1"
"""Here it runs when the next daemon comes."""


def crash_cases(names: Sequence[str]) -> list[object]:
    return [pytest.param(n, marks=[] if n in BY_DEFAULT else [pytest.mark.slow]) for n in names]


def two_jobs(daemon: Daemon, at: str) -> None:
    # After the spawn the first one is still there when the next daemon comes: it waits to be adopted.
    adopted = f'while [ ! -e "{daemon.folder}/adopted" ]; do sleep 0.05; done'
    daemon.write_tasks(
        daemon.job("first", adopted if at == ADOPTED_AT else "sleep 0.1"),
        # Not idempotent: were it taken for lost it would never run again, and the test would fail.
        daemon.job("second", "sleep 0.1", dependencies=["first"], idempotent=False),
    )


def crash(daemon: Daemon, at: str) -> None:
    daemon.start({"ORCHESTRATOR_CRASH_AT": at}, ready=False)
    assert daemon.wait() == -signal.SIGKILL, f"{at} was not reached: {daemon.stderr()}"


def finish(daemon: Daemon) -> None:
    """Let a new daemon bring both jobs to their end, and another one look whether anything is left to do."""
    daemon.start()
    (daemon.folder / "adopted").touch()
    for name in ("first", "second"):
        wait_for(lambda name=name: "succeeded" in daemon.outcomes(name), f"the success of {name}")  # type: ignore[misc]
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.stop() == 0


def assert_each_ran_once(daemon: Daemon) -> None:
    for name in ("first", "second"):
        assert len(daemon.seen("start", name)) == 1, daemon.witness.read_text()
        assert len(daemon.seen("stop", name)) == 1
        outcomes = daemon.outcomes(name)
        assert outcomes[-1] == "succeeded"
        assert outcomes.count("succeeded") == 1
    assert daemon.seen("overlap") == []
    assert daemon.left_behind() == []
    assert list((daemon.state / "runs").glob("*.*")) == []


@pytest.mark.parametrize("at", crash_cases(EVERYWHERE))
def test_killed_at_any_step_each_job_still_runs_exactly_once(daemon: Daemon, at: str) -> None:
    """A run that was planned and never started is INTERRUPTED, and its next attempt is the one that runs."""
    two_jobs(daemon, at)

    crash(daemon, at)
    finish(daemon)

    assert_each_ran_once(daemon)
    for number, name in enumerate(("first", "second"), start=1):
        unstarted = UNSTARTED.get(at) == number
        assert daemon.outcomes(name) == (["interrupted", "succeeded"] if unstarted else ["succeeded"])
    assert bool(daemon.said("run.recovered", fate="never_started")) == (at in UNSTARTED)
    assert bool(daemon.said("run.recovered", fate="adopted")) or at != ADOPTED_AT


@pytest.mark.slow
@pytest.mark.parametrize(
    "again", ["record.before:1", "commit.before:1", "commit.after:1", "record.after:1", "forget.before:1"]
)
@pytest.mark.parametrize("at", ["spawn.after:1", "reap.after:1", "spawn.directory:1"])
def test_killed_again_while_it_recovers_each_job_still_runs_exactly_once(
    daemon: Daemon, at: str, again: str
) -> None:
    two_jobs(daemon, at)

    crash(daemon, at)
    if at == ADOPTED_AT:
        (daemon.folder / "adopted").touch()
        daemon.wait_seen("stop", "first")
        wait_for(lambda: not daemon.left_behind(), "the supervisor's end")
    crash(daemon, again)
    finish(daemon)

    assert_each_ran_once(daemon)


def test_a_supervisor_killed_before_its_job_exists_is_interrupted_and_run_again(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("lost", "true", env={"ORCHESTRATOR_CRASH_AT": "supervisor.started:1"}))

    daemon.start()
    daemon.wait_outcomes("lost", "interrupted", "succeeded")

    assert len(daemon.seen("start", "lost")) == 1
    assert daemon.seen("overlap") == []


def test_a_supervisor_killed_before_it_could_write_the_end_is_interrupted_and_run_again_once(
    daemon: Daemon,
) -> None:
    daemon.write_tasks(daemon.job("lost", "true", env={"ORCHESTRATOR_CRASH_AT": "supervisor.ended:1"}))

    daemon.start()
    daemon.wait_outcomes("lost", "interrupted", "succeeded")

    # The end was never written down, so an idempotent job runs again: at least once, never side by side.
    assert [line[2].rpartition(".")[2] for line in daemon.seen("start", "lost")] == ["1", "2"]
    assert daemon.seen("overlap") == []


def test_orders_whose_end_is_not_known_are_never_sent_again_without_a_word(daemon: Daemon) -> None:
    crashing = {"ORCHESTRATOR_CRASH_AT": "supervisor.ended:1"}
    daemon.write_tasks(daemon.job("orders", "true", idempotent=False, env=crashing))

    daemon.start()
    daemon.wait_outcomes("orders", "unknown")
    assert daemon.stop() == 0
    daemon.start()
    wait_for(lambda: daemon.said("task.blocked", task="orders", reason="NEEDS_RECONCILE"), "NEEDS_RECONCILE")

    assert len(daemon.seen("start", "orders")) == 1
    assert daemon.command_daemon("reconcile", task="orders").ok
    daemon.wait_outcomes("orders", "unknown", "succeeded")
    assert len(daemon.seen("start", "orders")) == 2


def test_daemon_and_supervisor_killed_together_leave_an_interrupted_run_that_runs_again_once(
    daemon: Daemon,
) -> None:
    daemon.write_tasks(daemon.job("lost", "sleep 0.1", env={"ORCHESTRATOR_CRASH_AT": "supervisor.ended:1"}))

    crash(daemon, "spawn.after:1")
    daemon.wait_seen("stop", "lost")
    wait_for(lambda: not daemon.left_behind(), "the supervisor's end")
    daemon.start()
    daemon.wait_outcomes("lost", "interrupted", "succeeded")

    assert len(daemon.seen("start", "lost")) == 2
    assert daemon.seen("overlap") == []
