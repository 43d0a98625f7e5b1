"""The first page over a real database: what a person sees in one second, and what they can do about it."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.changes import AlertAcknowledged, AlertSaved, Change, RecordSaved, ValueSaved
from orchestration.runs import TaskRecord
from tests.control_desk import FRIDAY_EVENING, HOLDER, FakeDaemon
from tests.dashboard_box import MINUTE, dashboard_box, planned, running

NOW = FRIDAY_EVENING


def page(folder: Path, *changes: Change, up: bool = True, environ: dict[str, str] | None = None) -> str:
    """Return the page of a box whose daemon is up or down, in its words alone."""
    daemon = FakeDaemon(who=dict(HOLDER) if up else None)
    known = {"ORCHESTRATOR_ASSUME_CLOCK_SYNCED": "true", **(environ or {})}
    with dashboard_box(folder, *changes, daemon=daemon, environ=known) as box:
        answer = box.client().get("/")
    assert answer.status_code == 200
    return str(answer.text)


def words(markup: str) -> str:
    """Return what is read on a page."""
    body = markup[markup.index("<main") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def an_alert(severity: str = "warning") -> AlertSaved:
    return AlertSaved(at=NOW - 5 * MINUTE, key="disk", severity=severity, text="the disk is nearly full")


def test_a_box_without_a_complaint_is_said_to_be_well(tmp_path: Path) -> None:
    markup = page(tmp_path)

    assert "✓ All is well" in words(markup)
    assert '<section class="verdict ok"' in markup


def test_the_mode_the_window_and_the_budget_are_shown(tmp_path: Path) -> None:
    shown = words(page(tmp_path))

    assert "RESEARCH weekend ▶ EXTENDED" in shown
    assert "Scheduler status" in shown
    # 18:30 on Friday: half an hour of the 62 to Monday 08:00, and of the 56 to Monday 02:00.
    assert "2026-11-23/WEEKEND, 1 % over, ends in 2 d 13 h" in shown
    assert "0.5 h used, 55.5 h left; PREP from Mon 02:00 EST" in shown
    assert "of 56.0 h, weekend, EXTENDED" in shown


def test_what_runs_is_held_against_its_prediction(tmp_path: Path) -> None:
    begun = planned("daily_report", NOW - timedelta(seconds=15), minutes=0.5)

    markup = page(tmp_path, *running(begun))

    assert "15.0 s of about 30.0 s" in words(markup)
    assert (
        '<progress aria-label="Time of daily_report against its prediction" max="1" value="0.5000">' in markup
    )
    assert 'href="/task/daily_report"' in markup
    assert f'name="run" value="{begun.run.run_id}"' in markup


def test_a_run_from_before_the_clock_was_set_back_has_no_bar_and_no_end(tmp_path: Path) -> None:
    """The rows are six and a half days ahead: nothing is less than nothing."""
    begun = planned("daily_report", NOW + timedelta(days=6, hours=12), minutes=0.5)
    raised = AlertSaved(at=NOW + timedelta(days=6), key="disk", severity="warning", text="it is full")

    markup = page(tmp_path, *running(begun), raised)

    shown = words(markup)
    assert "began before the clock was set back; usually 30.0 s" in shown
    assert "Thu 2026-11-26 18:30 EST, before the clock was set back" in shown
    assert "Time of daily_report against its prediction" not in markup
    assert 'data-label="Done by">unknown' in markup
    assert "-6 d" not in shown


@pytest.mark.parametrize("path", ["/task/monitor_positions", "/tasks"])
def test_a_task_of_which_later_slots_are_done_has_an_instant_before_which_it_does_not_start(
    tmp_path: Path, path: str
) -> None:
    """Its reasons end with Monday's open, 63 hours on; none is no answer beside them."""
    later = NOW + timedelta(days=10)
    record = TaskRecord(last_started_at=later, last_slot=later, attempt_cycle="2026-11-30", settled=True)
    environ = {"ORCHESTRATOR_ASSUME_CLOCK_SYNCED": "true"}
    with dashboard_box(
        tmp_path, RecordSaved(task="monitor_positions", record=record), environ=environ
    ) as box:
        shown = words(box.client().get(path).text)

    assert "none within the known calendar" not in shown
    assert path == "/tasks" or "Next possible start: not before Mon 09:30 EST (in 2 d 15 h)" in shown


def test_a_run_past_its_end_is_overdue(tmp_path: Path) -> None:
    begun = planned("daily_report", NOW - 5 * MINUTE, minutes=0.5)

    shown = words(page(tmp_path, *running(begun)))

    assert "! overdue 5 min, usually 30.0 s; was to be done 4 min ago" in shown


def test_what_happens_next_is_told_with_its_hour(tmp_path: Path) -> None:
    every = RecordSaved(
        task="health_check",
        record=TaskRecord(last_success_at=NOW - MINUTE, last_started_at=NOW - MINUTE, last_slot=NOW),
    )

    shown = words(page(tmp_path, every))

    # Its ticks are 15 minutes apart, and that of 18:30 is used.
    assert "health_check may start Fri 18:45 EST, in 15 min" in shown


def test_a_daemon_that_is_down_is_told_with_its_last_sign_of_life(tmp_path: Path) -> None:
    daemon = FakeDaemon(who=None)
    with dashboard_box(tmp_path, daemon=daemon) as box:
        an_hour_ago = (NOW - 60 * MINUTE).timestamp()
        for file in tmp_path.glob("performance.db*"):
            os.utime(file, (an_hour_ago, an_hour_ago))
        shown = words(box.client().get("/").text)

    assert "✗ No daemon is running" in shown
    assert "The last sign of life was 1 h ago, on Fri 17:30 EST." in shown
    assert "nothing without a daemon" in shown


def test_a_log_that_looking_has_made_is_no_sign_of_life(tmp_path: Path) -> None:
    """A daemon that ends takes its write-ahead log away, and every reader makes an empty one."""
    with dashboard_box(tmp_path, daemon=FakeDaemon(who=None)) as box:
        box.store.close()
        assert not (tmp_path / "performance.db-wal").exists()
        an_hour_ago = (NOW - 60 * MINUTE).timestamp()
        os.utime(tmp_path / "performance.db", (an_hour_ago, an_hour_ago))
        shown = words(box.client().get("/").text)
        assert (tmp_path / "performance.db-wal").exists()
        scraped = re.search(
            r"^orchestrator_daemon_last_write\S+ (\S+)$", box.client().get("/metrics").text, re.M
        )

    assert "The last sign of life was 1 h ago" in shown
    assert scraped is not None
    assert float(scraped[1]) == an_hour_ago


def test_nothing_can_be_stopped_where_no_daemon_runs(tmp_path: Path) -> None:
    begun = planned("daily_report", NOW - MINUTE)

    assert 'action="/actions/stop"' in page(tmp_path / "up", *running(begun))
    assert 'action="/actions/stop"' not in page(tmp_path / "down", *running(begun), up=False)


def test_an_open_alert_can_be_acknowledged(tmp_path: Path) -> None:
    markup = page(tmp_path, an_alert())

    assert "! 1 open alert" in words(markup)
    assert "! warning the disk is nearly full Fri 18:25 EST, 5 min ago" in words(markup)
    assert re.search(r'action="/actions/acknowledge".*?name="alert" value="disk"', markup, re.DOTALL)


def test_an_acknowledged_alert_stands_and_no_longer_cries(tmp_path: Path) -> None:
    markup = page(tmp_path, an_alert("critical"), AlertAcknowledged(at=NOW - MINUTE, key="disk"))

    assert "✓ All is well but for 1 open alert, seen already" in words(markup)
    assert "seen 1 min ago" in words(markup)
    assert 'action="/actions/acknowledge"' not in markup


@pytest.mark.parametrize(
    ("paused", "said", "offered"),
    [
        ("", "All is well", ["Pause research", "Pause everything"]),
        ("research", "paused: research", ["Resume", "Pause everything"]),
        ("all", "paused: everything", ["Resume"]),
    ],
)
def test_what_is_paused_can_be_resumed(tmp_path: Path, paused: str, said: str, offered: list[str]) -> None:
    markup = page(tmp_path, ValueSaved(key="paused", value=paused, at=NOW))

    assert said in words(markup)
    buttons = re.findall(r"<button[^>]*>(Pause[^<]*|Resume)</button>", markup)
    assert sorted(buttons) == sorted(offered)


def test_a_halt_of_trading_is_the_first_thing_seen(tmp_path: Path) -> None:
    with dashboard_box(tmp_path, daemon=FakeDaemon(who=dict(HOLDER))) as box:
        box.source.desk.kill_switch.set("the fills look wrong", "operator", NOW)
        markup = box.client().get("/").text

    assert "✗ TRADING IS HALTED" in words(markup)
    assert "the fills look wrong" in words(markup)
    assert 'action="/actions/resume-trading"' in markup


@pytest.mark.parametrize(("up", "system"), [(True, "the box is well"), (False, "nothing to show")])
def test_the_leds_are_shown_as_they_are(tmp_path: Path, up: bool, system: str) -> None:
    panel = ValueSaved(
        key="panel", value=json.dumps({"mode": "research", "extended": True, "error": None}), at=NOW
    )

    assert f"system {system} trading nothing to show" in words(page(tmp_path, panel, up=up))


def test_a_fault_of_the_panel_is_told_with_its_remedy(tmp_path: Path) -> None:
    panel = ValueSaved(
        key="panel",
        value=json.dumps({"mode": "research", "extended": True, "error": "disk_full"}),
        at=NOW,
    )

    shown = words(page(tmp_path, panel))

    assert "✗ The disk is nearly full; `orchestratorctl run cleanup_logs`" in shown


def test_every_button_says_what_it_is_for(tmp_path: Path) -> None:
    markup = page(tmp_path, an_alert(), *running(planned("daily_report", NOW - MINUTE)))

    assert 'aria-label="Stop daily_report"' in markup
    assert 'aria-label="Acknowledge disk"' in markup


def test_the_page_holds_no_style_or_script_of_its_own(tmp_path: Path) -> None:
    markup = page(tmp_path, an_alert(), *running(planned("daily_report", NOW - MINUTE)))

    assert "style=" not in markup
    assert not re.search(r"<script(?! src=)", markup)
    assert not re.search(r"\son\w+=", markup)
