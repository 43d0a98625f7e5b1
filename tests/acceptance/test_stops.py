"""SIGTERM to the daemon: its runs are stopped in order, their ends recorded, the state saved, exit 0."""

from __future__ import annotations

import signal
import time

import pytest

from tests.acceptance.daemon import Daemon, wait_for


def trapping(daemon: Daemon, name: str, handler: str, then: str = "while :; do sleep 0.05; done") -> str:
    """Return a script that handles SIGTERM so; it says `ready` once a signal can no longer come too early."""
    return f'trap \'{handler}\' TERM; echo "ready {name}" >>"{daemon.witness}"; {then}'


def test_runs_are_stopped_recorded_and_run_again_after_the_next_start(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("long", "[ -e go ] || exec sleep 60", cwd=str(daemon.folder)))

    daemon.start()
    daemon.wait_seen("start", "long")
    assert daemon.stop() == 0

    [run] = daemon.runs("long")
    assert (run["outcome"], run["exit_code"], run["stop_cause"]) == ("killed", -signal.SIGTERM, "shutdown")
    assert daemon.left_behind() == []
    assert daemon.said("daemon.stopped")[-1]["left_running"] == 0
    (daemon.folder / "go").touch()
    daemon.start()
    daemon.wait_outcomes("long", "killed", "succeeded")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_checkpoints_when_asked_is_recorded_so(daemon: Daemon, signum: signal.Signals) -> None:
    script = trapping(daemon, "research", "sleep 0.2; exit 75")
    daemon.write_tasks(daemon.job("research", script, interruptible=True))

    daemon.start()
    daemon.wait_seen("ready", "research")
    daemon.signal(signum)

    assert daemon.wait() == 0
    [run] = daemon.runs("research")
    assert (run["outcome"], run["exit_code"]) == ("checkpointed", 75)


def test_a_job_that_ignores_sigterm_is_killed_after_its_grace(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("deaf", trapping(daemon, "deaf", "")))

    daemon.start({"ORCHESTRATOR_STOP_GRACE": "1s", "ORCHESTRATOR_STOP_TIMEOUT": "50s"})
    daemon.wait_seen("ready", "deaf")
    began = time.monotonic()
    assert daemon.stop() == 0
    took_s = time.monotonic() - began

    [run] = daemon.runs("deaf")
    assert (run["outcome"], run["exit_code"]) == ("killed", -signal.SIGKILL)
    assert 0.9 <= took_s < 40  # the whole stop has 50 s
    assert daemon.left_behind() == []


def test_a_job_whose_own_shell_gets_the_signal_too_still_has_its_say(daemon: Daemon) -> None:
    # The shell waits for a child that the same signal ends; only then does its handler run.
    script = trapping(daemon, "shell", 'echo "asked shell" >>witness; exit 9', "sleep 60; sleep 60")
    daemon.write_tasks(daemon.job("shell", script, cwd=str(daemon.folder)))

    daemon.start()
    daemon.wait_seen("ready", "shell")
    assert daemon.stop() == 0

    assert daemon.seen("asked", "shell") != []
    [run] = daemon.runs("shell")
    assert (run["outcome"], run["exit_code"]) == ("killed", 9)


def test_a_run_that_works_orders_winds_down_beyond_the_grace_of_others(daemon: Daemon) -> None:
    wind_down = 'sleep 2; echo "committed orders" >>witness; exit 75'
    daemon.write_tasks(
        daemon.job("reconcile", "true"),
        daemon.job(
            "orders",
            trapping(daemon, "orders", wind_down),
            cwd=str(daemon.folder),
            priority="CRITICAL",
            idempotent=False,
            interruptible=True,
            reconciled_by="reconcile",
        ),
        daemon.job("deaf", trapping(daemon, "deaf", "")),
    )

    daemon.start({"ORCHESTRATOR_STOP_GRACE": "1s"})
    daemon.wait_seen("ready", "orders")
    daemon.wait_seen("ready", "deaf")
    assert daemon.stop() == 0

    assert daemon.seen("committed", "orders") != []
    assert daemon.outcomes("orders") == ["checkpointed"]
    assert daemon.outcomes("deaf") == ["killed"]
    assert daemon.left_behind() == []


def test_a_second_sigterm_while_it_stops_does_no_harm(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("slow", trapping(daemon, "slow", "sleep 0.6; exit 75")))

    daemon.start()
    daemon.wait_seen("ready", "slow")
    daemon.signal(signal.SIGTERM)
    wait_for(lambda: daemon.said("run.stopping"), "run.stopping")
    daemon.signal(signal.SIGTERM)

    assert daemon.wait() == 0
    assert daemon.outcomes("slow") == ["checkpointed"]


def test_nothing_starts_while_it_stops(daemon: Daemon) -> None:
    daemon.write_tasks(
        daemon.job("slow", trapping(daemon, "slow", "exit 0")),
        daemon.job("follows", "true", dependencies=["slow"]),
    )

    daemon.start()
    daemon.wait_seen("ready", "slow")
    assert daemon.stop() == 0

    assert daemon.outcomes("slow") == ["succeeded"]
    assert daemon.runs("follows") == []
    daemon.start()
    daemon.wait_outcomes("follows", "succeeded")
