"""Jobs that misbehave: they flood their output, take too much memory, or leave processes behind."""

from __future__ import annotations

import sys

import pytest

from tests.acceptance.daemon import Daemon, task, wait_for

HOG = "import time; b = bytearray(300_000_000); b[::4096] = b'x' * len(b[::4096]); time.sleep(60)"


@pytest.mark.timeout(300)  # a small and busy box needs a minute and more for so much
def test_a_flood_of_output_leaves_a_bounded_log_and_the_daemon_as_small_as_it_was(daemon: Daemon) -> None:
    flood_mb = 400
    daemon.write_tasks(
        daemon.job("quiet", "true"),
        task(
            "flood",
            ["/bin/sh", "-c", f"head -c {flood_mb}000000 /dev/zero | tr '\\0' x; echo; echo the last"],
        ),
    )

    daemon.start()
    daemon.wait_outcomes("quiet", "succeeded")
    before_mb = daemon.rss_mb()
    daemon.wait_outcomes("flood", "succeeded", limit_s=240)

    [log] = (daemon.logs / "runs" / "flood").glob("*.log")
    assert log.stat().st_size <= 10_000_000
    assert log.read_bytes().endswith(b"the last\n")
    assert daemon.rss_mb() < before_mb + 3


def test_a_job_beyond_its_memory_is_ended_recorded_so_and_not_tried_again_at_once(daemon: Daemon) -> None:
    daemon.write_tasks(
        task("hog", [sys.executable, "-c", HOG], memory_mb=50, max_attempts=3, backoff="1s"),
        daemon.job("other", "sleep 1"),
    )

    daemon.start()
    daemon.wait_outcomes("hog", "out_of_memory")
    daemon.wait_outcomes("other", "succeeded")

    [run] = daemon.runs("hog")
    assert run["stop_cause"] == "memory"
    assert "over its memory limit" in run["detail"]
    assert run["peak_memory_mb"] > 50
    wait_for(
        lambda: daemon.rows("SELECT 1 FROM decisions WHERE task = 'hog' AND reason = 'BACKOFF'"),
        "BACKOFF of hog",
    )
    assert daemon.command_daemon("snapshot").ok


def test_nothing_that_a_job_leaves_behind_outlives_it(daemon: Daemon) -> None:
    children = (
        "sleep 300 &\n"
        "(trap '' TERM; sleep 300) &\n"
        "setsid sleep 300 &\n"
        "setsid sh -c 'trap \"\" TERM; sleep 300 & wait' &\n"
        "sleep 0.3"
    )
    daemon.write_tasks(daemon.job("leaver", children), daemon.job("after", "true", dependencies=["leaver"]))

    daemon.start()
    daemon.wait_seen("stop", "leaver")
    assert daemon.left_behind() != []
    daemon.wait_outcomes("after", "succeeded")

    # Its end counts only when nothing of it is left.
    assert daemon.left_behind() == []
    [run] = daemon.runs("leaver")
    assert (run["outcome"], run["exit_code"]) == ("succeeded", 0)
    assert "it left behind were ended" in run["detail"]


def test_a_stop_reaches_grandchildren_in_sessions_of_their_own(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("tree", "setsid sh -c 'trap \"\" TERM; sleep 300' & sleep 300"))

    daemon.start({"ORCHESTRATOR_STOP_GRACE": "1s"})
    daemon.wait_seen("start", "tree")
    wait_for(lambda: len(daemon.left_behind()) >= 4, "the tree has grown")
    assert daemon.stop() == 0

    assert daemon.left_behind() == []
    assert daemon.outcomes("tree") == ["killed"]


def test_a_job_past_its_timeout_is_stopped_and_recorded_so(daemon: Daemon) -> None:
    daemon.write_tasks(
        daemon.job("slow", "sleep 60", timeout_minutes=0.02, estimated_minutes=0.01, max_attempts=1)
    )

    daemon.start()
    daemon.wait_outcomes("slow", "timed_out")

    assert daemon.left_behind() == []


def test_a_command_that_does_not_exist_says_so_and_harms_nothing(daemon: Daemon) -> None:
    daemon.write_tasks(task("wrong", ["no_such_command_here"]), daemon.job("right", "true"))

    daemon.start()
    daemon.wait_outcomes("right", "succeeded")
    daemon.wait_outcomes("wrong", "failed")

    [run] = daemon.runs("wrong")
    assert run["exit_code"] == 127
    [log] = (daemon.logs / "runs" / "wrong").glob("*.log")
    assert "no_such_command_here" in log.read_text()


def test_a_task_that_keeps_failing_is_quarantined_and_said(daemon: Daemon) -> None:
    daemon.write_tasks(
        daemon.job("bad", "exit 4", estimated_minutes=0.01, timeout_minutes=0.5, max_attempts=9, backoff="1s")
    )

    daemon.start()
    wait_for(lambda: daemon.said("task.blocked", task="bad", reason="QUARANTINED"), "QUARANTINED")

    assert daemon.outcomes("bad") == ["failed"] * 3
    assert daemon.rows("SELECT key FROM alerts WHERE key = 'quarantined:bad' AND cleared_at IS NULL")
