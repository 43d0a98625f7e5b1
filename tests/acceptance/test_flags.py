"""Turning a flag off and on again loses nothing: history and records are the same under every policy."""

from __future__ import annotations

from tests.acceptance.daemon import Daemon, wait_for

NEITHER = {"USE_UNIFIED_SCHEDULER": "false"}


def test_a_flag_is_rolled_back_and_forward_without_losing_or_repeating_anything(daemon: Daemon) -> None:
    first = daemon.job("first", "true")
    daemon.write_tasks(first)
    daemon.start()
    daemon.wait_outcomes("first", "succeeded")
    assert daemon.stop() == 0
    records = daemon.rows("SELECT value FROM scheduler_state WHERE key LIKE '%first%'")

    daemon.write_tasks(first, daemon.job("second", "true", dependencies=["first"]))
    daemon.start(NEITHER)
    daemon.wait_outcomes("second", "succeeded")
    assert daemon.stop() == 0
    daemon.write_tasks(
        first, daemon.job("second", "true"), daemon.job("third", "true", dependencies=["second"])
    )
    daemon.start()
    daemon.wait_outcomes("third", "succeeded")
    assert daemon.stop() == 0

    assert [line["policy"] for line in daemon.said("daemon.started")] == ["unified", "timetable", "unified"]
    assert daemon.outcomes("first") == ["succeeded"]
    assert daemon.outcomes("second") == ["succeeded"]
    assert records
    assert daemon.rows("SELECT value FROM scheduler_state WHERE key LIKE '%first%'") == records


def test_a_run_goes_on_while_the_flag_changes(daemon: Daemon) -> None:
    go = daemon.folder / "go"
    daemon.write_tasks(daemon.job("long", f'while [ ! -e "{go}" ]; do sleep 0.05; done'))

    daemon.start()
    daemon.wait_seen("start", "long")
    assert daemon.command_daemon("handover").ok
    assert daemon.wait() == 0
    daemon.start(NEITHER)
    wait_for(lambda: daemon.said("run.recovered", fate="adopted"), "the run is adopted")
    go.touch()

    daemon.wait_outcomes("long", "succeeded")
    assert len(daemon.seen("start", "long")) == 1
