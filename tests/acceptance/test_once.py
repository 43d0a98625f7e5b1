"""`--once`: one turn, a bounded wait, and a page that says what ran and why the rest waits."""

from __future__ import annotations

import re
import time

import pytest

from tests.acceptance.daemon import Daemon, wait_for

SETUP = (
    "refresh_eod_data",
    "data_quality",
    "backup_databases",
    "health_check",
    "refresh_sessions",
    "daily_report",
)
FLAGS = {
    "timetable": {"USE_UNIFIED_SCHEDULER": "false"},
    "phases": {"USE_UNIFIED_SCHEDULER": "false", "USE_TASK_SCHEDULER": "true"},
    "unified": {"USE_UNIFIED_SCHEDULER": "true"},
}


@pytest.mark.timeout(300)  # seven jobs, which load numpy and pandas, on a small and busy box
@pytest.mark.parametrize("policy", FLAGS)
def test_on_an_empty_state_directory_the_set_up_runs_and_the_page_tells_it(
    daemon: Daemon, policy: str
) -> None:
    daemon.write_tasks(builtins=True)

    ended = daemon.run_to_end("--once", environ=FLAGS[policy], limit_s=280)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    page = ended.stdout
    assert re.search(rf"^mode     (TRADING|RESEARCH|PREP) \([A-Z_]+\), policy {policy}$", page, re.M)
    assert re.search(r"^window   \d{4}-\d\d-\d\d/[A-Z_]+, cycle \d{4}-\d\d-\d\d, until ", page, re.M)
    assert re.search(
        r"^budget   \d+\.\d h of research left in the \w+ window \(\d+%\), PREP from ", page, re.M
    )
    for name in SETUP:
        assert re.search(rf"^ +{name} +succeeded +\d+\.\d\d +(\d+|-)$", page, re.M), page
        assert daemon.outcomes(name) == ["succeeded"]
    assert re.search(r"^waits    \d+ of \d+ tasks$", page, re.M)
    assert re.search(r"^ +vacuum_databases +\S", page, re.M)
    assert "The sample ends on 2013-03-01" in page
    assert "left to the daemon that stays, as they fill whole windows: " in page
    assert daemon.runs("run_weekend_research") == daemon.runs("run_nightly_research") == []


def test_the_wait_is_bounded_and_says_what_it_left_running(daemon: Daemon) -> None:
    daemon.write_tasks(
        daemon.job("sleeper", "sleep 3600", timeout_minutes=120, estimated_minutes=60),
        daemon.job("quick", "true"),
    )

    began = time.monotonic()
    ended = daemon.run_to_end("--once", environ={"ORCHESTRATOR_ONCE_WAIT": "2s"})
    took_s = time.monotonic() - began

    assert 2 <= took_s < 60  # its default is 15 minutes, the sleeper's end an hour away
    assert ended.returncode == 0
    assert re.search(
        r"^left +still running; the next start of the daemon takes them over:\n +sleeper ", ended.stdout, re.M
    )
    assert "ORCHESTRATOR_ONCE_WAIT" in ended.stdout
    assert re.search(r"^ran .*\n +quick +succeeded", ended.stdout, re.M)
    assert len(daemon.left_behind()) >= 2
    assert daemon.outcomes("sleeper") == [None]

    daemon.start()
    wait_for(lambda: daemon.said("run.recovered", fate="adopted"), "the sleeper is adopted")
    assert daemon.stop() == 0
    assert daemon.outcomes("sleeper") == ["killed"]


def test_what_a_run_unblocks_runs_in_the_same_turn_and_a_failure_is_the_exit_code(daemon: Daemon) -> None:
    daemon.write_tasks(
        daemon.job("first", "sleep 0.1"),
        daemon.job("second", "exit 5", dependencies=["first"], max_attempts=1),
        daemon.job("third", "true", dependencies=["second"]),
    )

    ended = daemon.run_to_end("--once")

    assert ended.returncode == 1
    assert re.search(r"^ +second +failed", ended.stdout, re.M)
    assert re.search(r"^ +third +DEPENDENCY_FAILED: failed in this cycle: second", ended.stdout, re.M)
    assert daemon.outcomes("first") == ["succeeded"]
    assert daemon.outcomes("second") == ["failed"]
    assert daemon.runs("third") == []


def test_a_second_turn_does_nothing_twice(daemon: Daemon) -> None:
    daemon.write_tasks(daemon.job("job", "true"))

    first, second = daemon.run_to_end("--once"), daemon.run_to_end("--once")

    assert (first.returncode, second.returncode) == (0, 0)
    assert "nothing was due" in second.stdout
    assert len(daemon.seen("start", "job")) == 1
