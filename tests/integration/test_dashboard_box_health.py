"""The Health page over a real box: alerts and who was told, checks, backups, and files that are broken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from observability.alert_delivery import Message, Notice, Owed, RaisedAlert
from observability.alert_outbox import NAME, Outbox
from observability.dashboard import told, upkeep
from orchestration.calendar_source import broker_table, load_shipped
from orchestration.changes import (
    AlertAcknowledged,
    AlertSaved,
    Change,
    EventLogged,
    SessionsSaved,
    ValueSaved,
)
from orchestration.runs import Outcome
from orchestration.state.backups import backup_name, checksum_path
from orchestration.state.history import recent_alerts
from scripts import backup_databases, verify_backups
from tests.control_desk import FRIDAY_EVENING, HOLDER, FakeDaemon
from tests.dashboard_box import DashboardBox, dashboard_box, ended, planned

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DISK = AlertSaved(
    at=FRIDAY_EVENING - 5 * HOUR, key="disk", severity="warning", text="the disk is nearly full", task=None
)
NET = AlertSaved(
    at=FRIDAY_EVENING - 3 * HOUR, key="net", severity="error", text="no network", task="refresh_data"
)
OVER = AlertSaved(
    at=FRIDAY_EVENING - HOUR, key="net", severity="info", text="cleared", task=None, cleared=True
)
SEEN = AlertAcknowledged(at=FRIDAY_EVENING - 4 * HOUR, key="disk")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DashboardBox]:
    with dashboard_box(tmp_path, daemon=FakeDaemon(who={**HOLDER, "pid": 2**22 + 1})) as made:
        yield made


def page(box: DashboardBox, *changes: Change) -> str:
    """The text of the page after the daemon has written `changes`, as one line."""
    if changes:
        box.store.commit(changes)
    # A view is kept for half a second.
    box.clock.advance(timedelta(seconds=1))
    answer = box.client().get("/health", headers={"HX-Request": "1"})
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def test_a_box_that_has_just_begun_claims_nothing(box: DashboardBox) -> None:
    text = page(box)

    assert "Unknown: neither health_check nor pre_market_check has reported yet" in text
    assert "There is no backup yet" in text
    assert "Unknown: adaptive_optimization has not written a score yet" in text
    assert "performance.db" in text
    assert "not looked through" in text
    # The daemon's process is not there to be asked.
    assert "Its memory unknown: it cannot be asked" in text


def test_an_open_alert_can_be_acknowledged_and_one_that_was_says_when(box: DashboardBox) -> None:
    box.store.commit([DISK])
    before = box.client().get("/health").text

    text = page(box, SEEN)

    assert 'name="alert" value="disk"' in before
    assert "the disk is nearly full disk Fri 13:30 EST 5 h ago ✓ Fri 14:30 EST" in text
    assert "Open alerts ! 1 all acknowledged" in text


def test_a_past_alert_says_how_long_it_stood(box: DashboardBox) -> None:
    text = page(box, NET, OVER)

    assert "no network net 2 h no unknown" in text
    assert "Open alerts ✓ 0 nothing stands" in text


def test_who_was_told_is_read_from_what_the_delivery_keeps(box: DashboardBox) -> None:
    """The mail took it, the telephone takes nothing and is still owed it."""
    box.store.commit([DISK])
    (row,) = recent_alerts(box.source.engine)
    alert = RaisedAlert(
        key=row.key, severity=row.severity, text=row.text, task=row.task, raised_at=row.raised_at
    )
    notice = Notice(alert=alert, owed=Owed.RAISED)
    with closing(Outbox(box.folder / NAME)) as outbox:
        outbox.begin({"mail": ("mail", "f1"), "phone": ("phone", "f2")}, FRIDAY_EVENING)
        outbox.keep([(name, alert.identity, notice) for name in ("mail", "phone")], {})
        number = outbox.write("mail", Message(title="t", text="t", notices=(notice,)), FRIDAY_EVENING)
        taken = replace(notice, owed=None, told="warning", told_at=FRIDAY_EVENING)
        outbox.sent(number, "mail", {alert.identity: taken}, None, FRIDAY_EVENING)
        outbox.failed(None, "phone", "no answer in 10 s", FRIDAY_EVENING)

    text = page(box)

    assert "mail; not yet: phone" in text
    assert "phone takes nothing since Fri 18:30 EST (1 times in a row): no answer in 10 s" in text


@pytest.mark.parametrize("content", [b"", b"no database at all" * 200])
def test_a_delivery_file_that_cannot_be_read_is_told_and_the_page_stands(
    box: DashboardBox, content: bytes
) -> None:
    (box.folder / told.NAME).write_bytes(content)

    assert "alerts.db cannot be read" in page(box, DISK)


def test_the_newest_check_is_shown_with_its_levels(box: DashboardBox) -> None:
    """pre_market_check is the newer one here; of health_check the other is not shown."""

    def items(text: str) -> dict[str, Any]:
        found = [
            {"name": "disk", "level": "warn", "text": text},
            {"name": "temperature", "level": "unknown", "text": "no sensor"},
            {"name": "performance.db", "level": "ok", "text": "whole, 4.1 MB"},
        ]
        return {"level": "warn", "items": found}

    early = ended(planned("health_check", FRIDAY_EVENING - 9 * HOUR), 1, report=items("older"))
    late = ended(planned("pre_market_check", FRIDAY_EVENING - 8 * HOUR), 1, report=items("1 GB free"))

    text = page(box, *early, *late)

    assert "pre_market_check, Fri 10:30 EST" in text
    assert "disk ! warning 1 GB free temperature · unknown unknown: no sensor" in text
    assert "older" not in text
    assert "✓ ok whole, 4.1 MB, Fri 10:31 EST" in text


def test_a_check_that_failed_is_shown_all_the_same(box: DashboardBox) -> None:
    report = {"level": "fail", "items": [{"name": "disk", "level": "fail", "text": "12 MB free"}]}
    run = ended(planned("health_check", FRIDAY_EVENING - HOUR), 1, Outcome.FAILED, report=report)

    assert "disk ✗ bad 12 MB free" in page(box, *run)


def test_backups_are_shown_with_their_age_and_whether_they_restore(
    box: DashboardBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One made now and found good by the job itself; an older one of another database, never tried."""
    result = box.folder / "result.json"
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(result))
    assert backup_databases.main(["--state-dir", str(box.folder)]) == 0
    backups = box.folder / "backups"
    old = backups / backup_name("ledger", FRIDAY_EVENING - 3 * DAY)
    old.write_bytes(b"x" * 2000)
    checksum_path(old).write_text("0  x\n")
    assert verify_backups.main(["--backup-dir", str(backups)]) == 1
    run = ended(
        planned("verify_backups", FRIDAY_EVENING - HOUR),
        1,
        Outcome.FAILED,
        report=json.loads(result.read_text()),
    )

    text = page(box, *run)

    assert (
        "ledger Tue 18:30 EST 3 d ago ! too old 2.0 kB 1 ✗ does not restore: its content is not what" in text
    )
    assert re.search(r"performance \S+ [^!]*✓ new enough [\d.]+ kB 1 ✓ restores", text)


def test_what_was_learned_is_shown_with_the_worst_anomaly_first(box: DashboardBox) -> None:
    folder = box.folder / "adaptive"
    folder.mkdir()
    health = {
        "overall_health_score": 61.4,
        "health_status": "FAIR",
        "component_scores": {"optimization_accuracy": 88.0, "schedule_adherence": None},
        "optimization_metrics": [],
        "detected_anomalies": 2,
        "timestamp": "2026-11-20T05:00:00Z",
    }
    (folder / "system_health.json").write_text(json.dumps(health))
    anomalies = [
        {"severity": severity, "description": f"{severity} one.", "recommendation": "Look."}
        for severity in ("low", "high")
    ]
    (folder / "scheduling_anomalies.jsonl").write_text("\n".join(map(json.dumps, anomalies)))

    text = page(box)

    assert "Adaptive score ! 61 of 100, fair; 2 anomalies" in text
    assert "schedule adherence unknown" in text
    assert "✗ High: high one. Look. · Low: low one. Look." in text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"overall_health_score": "much"}', "x" * 2_000_000])
def test_what_was_learned_may_be_broken_and_the_page_stands(tmp_path: Path, content: str) -> None:
    (tmp_path / "system_health.json").write_text(content)

    found = upkeep.learned(tmp_path)

    assert found.score is None
    assert "cannot be read" in found.remark


def test_events_are_shown_and_a_step_of_the_clock_is_marked(box: DashboardBox) -> None:
    started = EventLogged(at=FRIDAY_EVENING - HOUR, name="window.started", detail={"mode": "research"})

    text = page(box, started, EventLogged(at=FRIDAY_EVENING, name="clock.stepped"))

    assert "Fri 18:30 EST ! clock.stepped Fri 17:30 EST window.started mode=research" in text


def test_a_policy_that_only_a_newer_daemon_knows_is_told_and_the_settings_one_is_shown(
    box: DashboardBox,
) -> None:
    newer = ValueSaved(key="daemon", value='{"policy": "clairvoyant"}', at=FRIDAY_EVENING)

    text = page(box, newer)

    assert "does not know the daemon's policy 'clairvoyant': unified is shown; restart it" in text
    assert "Policy unified" in text


def test_your_corrections_to_come_are_shown_beside_the_calendar(tmp_path: Path) -> None:
    (tmp_path / "overrides.csv").write_text("2026-11-25,closed,storm\n")
    with dashboard_box(tmp_path) as box:
        text = page(box)

    assert "Nothing is known to disagree with it" in text
    assert "2026-11-25 closed: storm" in text


def test_a_day_on_which_calendar_and_broker_disagree_is_told(tmp_path: Path) -> None:
    """The broker closes the Monday after at 13:00 in New York, the table at 16:00."""
    monday = FRIDAY_EVENING.date() + 3 * DAY
    table = load_shipped()
    broker = broker_table("XNYS", "alpaca")
    theirs = [replace(each, exchange=broker) for each in table if abs(each.day - monday) < 30 * DAY]
    theirs = [replace(each, close=each.close - 3 * HOUR) if each.day == monday else each for each in theirs]
    saved = [
        SessionsSaved(exchange=name, sessions=tuple(sessions), source="test", at=FRIDAY_EVENING)
        for name, sessions in (("XNYS", table), (broker, theirs))
    ]
    with dashboard_box(tmp_path, *saved, environ={"ORCHESTRATOR_BROKER": "alpaca"}) as box:
        text = page(box)

    assert f"Calendar and broker disagree, the more careful holds: {monday}: table" in text
