"""What the pages read from: one view for all readers, made anew as soon as something is written."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from observability.dashboard.app import create_app, warm
from observability.dashboard.security import Access
from observability.dashboard.source import VIEW_LASTS_S
from orchestration.changes import AlertSaved, ValueSaved
from orchestration.halt import FILE_NAME
from tests.control_desk import FRIDAY_EVENING
from tests.dashboard_box import MINUTE, dashboard_box, ended, planned


def test_a_view_is_kept_while_nothing_is_written_and_it_is_young(tmp_path: Path) -> None:
    with dashboard_box(tmp_path) as box:
        first, second = box.source.view(), box.source.view()
        box.clock.advance(timedelta(seconds=VIEW_LASTS_S))
        third = box.source.view()

    assert first is second
    assert third is not first


def test_what_is_written_is_seen_at_the_same_instant(tmp_path: Path) -> None:
    heat = AlertSaved(at=FRIDAY_EVENING, key="temperature", severity="error", text="81 C")
    with dashboard_box(tmp_path) as box:
        before, version = box.source.view(), box.source.version()
        box.store.commit([heat, ValueSaved(key="paused", value="research", at=FRIDAY_EVENING)])
        changed, after = box.source.version(), box.source.view()

    assert changed != version
    assert (before["paused"], before["alerts"]) == (None, [])
    assert (after["paused"], [alert["key"] for alert in after["alerts"]]) == ("research", ["temperature"])


def test_a_halt_is_a_change_though_no_database_has_one(tmp_path: Path) -> None:
    with dashboard_box(tmp_path) as box:
        version = box.source.version()
        (tmp_path / FILE_NAME).write_text("the news\n")

        assert box.source.version() != version
        assert box.source.view()["halted"] == "the news"


def test_a_database_that_was_put_in_the_place_of_another_is_the_one_that_is_read(tmp_path: Path) -> None:
    restored = tmp_path / "restored"
    panel = {"mode": "trading", "extended": False, "error": None}
    with dashboard_box(restored, ValueSaved(key="panel", value=json.dumps(panel), at=FRIDAY_EVENING)):
        pass
    with dashboard_box(tmp_path) as box:
        before, version = box.source.view()["panel"], box.source.version()
        box.store.close()  # as the daemon is stopped before a backup is put back
        (restored / "performance.db").replace(tmp_path / "performance.db")

        assert before is None
        assert box.source.version() != version
        assert box.source.view()["panel"] == panel


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        (
            "UPDATE alembic_version SET version_num = '0001'; ALTER TABLE alerts DROP COLUMN acknowledged_at",
            "/",
            "as soon as this version's daemon has started",
        ),
        (
            "ALTER TABLE alerts DROP COLUMN acknowledged_at",
            "/",
            "is damaged (it is not as its revision 0002 says",
        ),
        ("UPDATE task_runs SET outcome = 'promoted'", "/run/{}", "'promoted' is not a valid Outcome"),
        ("UPDATE task_runs SET report = 'torn'", "/run/{}", "the run {} cannot be read"),
    ],
)
def test_what_another_version_has_written_is_told_in_a_sentence(
    tmp_path: Path, change: str, path: str, said: str
) -> None:
    done = planned("daily_report", FRIDAY_EVENING - 10 * MINUTE)
    with dashboard_box(tmp_path, *ended(done, 5)) as box:
        with closing(sqlite3.connect(tmp_path / "performance.db", isolation_level=None)) as other:
            other.executescript(change)
        answer = box.client().get(path.format(done.run.run_id))

    assert answer.status_code == 503
    assert said.format(done.run.run_id) in unescape(answer.text)
    assert "SELECT" not in answer.text


def test_what_a_daemon_left_that_cannot_be_read_is_taken_for_nothing(tmp_path: Path) -> None:
    with dashboard_box(tmp_path, ValueSaved(key="panel", value="{broken", at=FRIDAY_EVENING)) as box:
        assert box.source.view()["panel"] is None


def test_the_box_is_read_before_the_first_reader_comes(tmp_path: Path) -> None:
    with dashboard_box(tmp_path) as box:
        warm(create_app(box.source, Access()))
        made = box.source._made_at

    assert made == box.clock.monotonic()


def test_a_box_that_cannot_be_read_yet_is_served_all_the_same(tmp_path: Path) -> None:
    with dashboard_box(tmp_path) as box:
        box.store.close()
        (tmp_path / "performance.db").unlink()
        warm(create_app(box.source, Access()))
        with box.client() as reader:
            answer = reader.get("/")

    assert answer.status_code == 503
    assert "no daemon has run" in answer.text
