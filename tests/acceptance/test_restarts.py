"""The daemon is killed while its runs go on, and comes back: it adopts what runs, learns what has ended."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from tests.acceptance.daemon import Daemon, wait_for


def supervisor_of(daemon: Daemon, name: str) -> int:
    """Return the pid of the supervisor of the run of `name` that has started."""
    [directory] = (daemon.state / "runs").glob(f"{name}.*")
    return int((directory / "started").read_text().split()[0])


def job_of(daemon: Daemon, name: str) -> int:
    return int(daemon.seen("start", name)[-1][3])


def test_a_run_that_outlives_the_daemon_is_taken_over_and_its_exit_code_recorded(daemon: Daemon) -> None:
    go = daemon.folder / "go"
    daemon.write_tasks(
        daemon.job("long", f'while [ ! -e "{go}" ]; do sleep 0.05; done; sleep 0.05; exit 7', max_attempts=1)
    )

    daemon.start()
    daemon.wait_seen("start", "long")
    daemon.kill()
    daemon.start()
    wait_for(lambda: daemon.said("run.recovered", fate="adopted"), "the run is adopted")
    go.touch()
    daemon.wait_outcomes("long", "failed")

    assert [run["exit_code"] for run in daemon.runs("long")] == [7]
    assert len(daemon.seen("start", "long")) == 1
    assert daemon.seen("overlap") == []


def test_runs_that_ended_while_the_daemon_was_away_have_their_true_exit_codes(daemon: Daemon) -> None:
    go = daemon.folder / "go"
    wait = f'while [ ! -e "{go}" ]; do sleep 0.05; done'
    daemon.write_tasks(
        daemon.job("well", wait),
        daemon.job("badly", f"{wait}; exit 3"),
        daemon.job("by_signal", f"{wait}; kill -USR1 $$; sleep 5"),
        daemon.job("later", f"{wait}; exit 75", backoff="1h"),
    )

    daemon.start()
    daemon.wait_seen("start", count=4)
    daemon.kill()
    go.touch()
    wait_for(lambda: not daemon.left_behind(), "the end of every run")
    daemon.start()
    daemon.wait_outcomes("well", "succeeded")
    daemon.wait_outcomes("badly", "failed")
    daemon.wait_outcomes("by_signal", "failed")
    daemon.wait_outcomes("later", "checkpointed")

    codes = {run["task"]: run["exit_code"] for run in daemon.rows("SELECT task, exit_code FROM task_runs")}
    assert codes == {"well": 0, "badly": 3, "by_signal": -signal.SIGUSR1, "later": 75}
    assert len(daemon.seen("start")) == 4


def test_a_run_killed_with_its_supervisor_is_interrupted_and_run_again_once(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("lost", "sleep 0.2; [ -e go ] || sleep 60", cwd=str(daemon.folder)))

    daemon.start()
    daemon.wait_seen("start", "lost")
    daemon.kill()
    os.kill(supervisor_of(daemon, "lost"), signal.SIGKILL)
    os.kill(job_of(daemon, "lost"), signal.SIGKILL)
    (daemon.folder / "go").touch()
    daemon.start()
    daemon.wait_outcomes("lost", "interrupted", "succeeded")

    assert len(daemon.seen("start", "lost")) == 2
    assert len(daemon.seen("stop", "lost")) == 1
    assert daemon.seen("overlap") == []


def test_a_job_whose_supervisor_alone_was_killed_is_ended_before_its_next_attempt(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("lost", "[ -e go ] || sleep 60", cwd=str(daemon.folder)))

    daemon.start()
    daemon.wait_seen("start", "lost")
    daemon.kill()
    os.kill(supervisor_of(daemon, "lost"), signal.SIGKILL)
    (daemon.folder / "go").touch()
    assert daemon.left_behind() != []
    daemon.start()
    daemon.wait_outcomes("lost", "interrupted", "succeeded")

    assert daemon.seen("overlap") == []
    assert "it left behind were ended" in daemon.runs("lost")[0]["detail"]


def test_a_task_that_is_lost_again_and_again_is_given_up(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("lost", 'kill -KILL "$PPID"; sleep 60'))

    daemon.start()
    daemon.wait_outcomes("lost", "interrupted", "interrupted")
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.stop() == 0

    assert daemon.outcomes("lost") == ["interrupted", "interrupted"]
    assert daemon.seen("overlap") == []


@pytest.mark.slow
def test_a_minute_task_is_never_started_twice_for_one_slot_by_restarts(daemon: Daemon) -> None:
    daemon.write_tasks(
        daemon.job("tick", "sleep 0.02", every="2s", estimated_minutes=0.01, timeout_minutes=0.5)
    )

    daemon.start()
    for count in range(1, 5):
        daemon.wait_seen("start", "tick", count=count)
        daemon.kill()
        daemon.start()
    wait_for(lambda: daemon.outcomes("tick").count("succeeded") >= 4, "four successes")
    assert daemon.stop() == 0

    runs = daemon.runs("tick")
    assert {run["outcome"] for run in runs} == {"succeeded"}
    assert len({run["slot"] for run in runs}) == len(runs) == len(daemon.seen("start", "tick"))
    assert daemon.seen("overlap") == []


def test_what_a_restored_history_does_not_know_is_ended_and_cleared_away(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("long", "[ -e go ] || sleep 60", cwd=str(daemon.folder)))

    daemon.start()
    daemon.wait_seen("start", "long")
    daemon.kill()
    for name in ("performance.db", "performance.db-wal", "performance.db-shm"):
        with suppress(FileNotFoundError):
            (daemon.state / name).unlink()
    (daemon.folder / "go").touch()
    daemon.start()
    daemon.wait_outcomes("long", "succeeded")

    assert len(daemon.seen("start", "long")) == 2
    assert daemon.seen("overlap") == []


def test_a_handover_leaves_the_runs_to_the_next_daemon(daemon: Daemon) -> None:
    go = daemon.folder / "go"
    daemon.write_tasks(daemon.job("long", f'while [ ! -e "{go}" ]; do sleep 0.05; done'))

    daemon.start()
    daemon.wait_seen("start", "long")
    assert daemon.command_daemon("handover").ok
    assert daemon.wait() == 0
    daemon.start()
    wait_for(lambda: daemon.said("run.recovered", fate="adopted"), "the run is adopted")
    go.touch()
    daemon.wait_outcomes("long", "succeeded")

    assert len(daemon.seen("start", "long")) == 1
