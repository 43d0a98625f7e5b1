"""A daemon that was away says so when it is back: from when to when, how it ended, and what was missed."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.daemon import Daemon, wait_for

DOWN = "SELECT * FROM alerts WHERE key = 'down' ORDER BY id"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
DUTY = {
    "category": "risk",
    "priority": "HIGH",
    "every": "1m",
    "window": "00:00..24:00",
    "on": "all",
    "estimated_minutes": 0.005,
    "timeout_minutes": 0.5,
}


@pytest.fixture
def watched(daemon: Daemon) -> Daemon:
    """A daemon with one duty a minute, at any hour, that tells of absences of half an hour."""
    rules = daemon.folder / "alerts.toml"
    rules.write_text('[[rule]]\nwhen = "daemon_down"\nfor = "30m"\n')
    daemon.environ["ORCHESTRATOR_ALERTS"] = str(rules)
    daemon.write_tasks(daemon.job("duty", "true", **DUTY))
    return daemon


def age(daemon: Daemon, by: timedelta) -> None:
    """Let everything the daemon left lie `by` further back, as if it had been away for so long."""

    def earlier(text: str | None) -> str | None:
        return None if text is None else INSTANT.sub(lambda found: moved(found[0]), text)

    def moved(instant: str) -> str:
        return (datetime.fromisoformat(instant) - by).isoformat(timespec="microseconds")[:-6] + "Z"

    with closing(sqlite3.connect(daemon.state / "performance.db")) as connection, connection:
        connection.create_function("earlier", 1, earlier)
        connection.execute(
            "UPDATE task_runs SET planned_at = earlier(planned_at), ended_at = earlier(ended_at)"
        )
        connection.execute("UPDATE events SET at = earlier(at)")
        connection.execute("UPDATE decisions SET at = earlier(at)")
        connection.execute("UPDATE scheduler_state SET value = earlier(value)")
    alive = daemon.state / "alive"
    then = alive.stat().st_mtime - by.total_seconds()
    os.utime(alive, (then, then))


def test_a_killed_daemon_is_told_of_with_the_duties_it_missed(watched: Daemon) -> None:
    watched.start()
    watched.wait_outcomes("duty", "succeeded")
    watched.kill()
    age(watched, timedelta(hours=1))
    killed_at = datetime.now(UTC)

    watched.start()
    (alert,) = wait_for(lambda: watched.rows(DOWN), "the alert")

    found = re.search(
        r"from (\S+ \S+)Z to (\S+ \S+)Z \(1h(\d+m)?\): it ended without being stopped", alert["text"]
    )
    assert found is not None, alert["text"]
    start, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in found.groups()[:2])
    assert abs(start - (killed_at - timedelta(hours=1))) < timedelta(minutes=3)
    assert abs(end - killed_at) < timedelta(minutes=3)
    assert alert["severity"] == "error"
    # One a minute, but for the last, which is run late.
    missed = re.search(r"Duties missed: duty \((\d+) times\)\.$", alert["text"])
    assert missed is not None, alert["text"]
    assert 58 <= int(missed[1]) <= 62


def test_a_daemon_that_was_stopped_for_long_is_told_of_as_stopped(watched: Daemon) -> None:
    watched.start()
    watched.wait_outcomes("duty", "succeeded")
    watched.stop()
    age(watched, timedelta(hours=2))

    watched.start()
    (alert,) = wait_for(lambda: watched.rows(DOWN), "the alert")
    answer = watched.command_daemon("acknowledge", alert="down")

    assert "it had been stopped" in alert["text"]
    assert answer.ok
    wait_for(lambda: watched.rows(DOWN)[0]["cleared_at"], "the alert is over")


def test_a_first_start_a_restart_and_a_crash_of_a_moment_say_nothing(watched: Daemon) -> None:
    for end in (watched.kill, watched.stop, watched.kill):
        watched.start()
        count = len(watched.said("daemon.started"))
        wait_for(lambda: len(watched.rows("SELECT 1 FROM events")) > 0, "a turn")
        end()

    assert count == 3
    assert watched.rows(DOWN) == []
